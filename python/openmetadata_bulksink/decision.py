"""The decision whether a sink writes natively (rule A7): everything that has to be in place for it, or a reason.

Whatever is raised on the way, nothing is left behind: no engine, no fence, no accelerator.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from openmetadata_bulksink import accelerate, connection, eligibility, final_drain, grace, settings
from openmetadata_bulksink.accelerators import StepsAside, all_of
from openmetadata_bulksink.log import log
from openmetadata_bulksink.state import Native
from openmetadata_bulksink.writer import Writer

if TYPE_CHECKING:
    from openmetadata_bulksink._native import BulkSink

#: First server release with `/bulk`.
_FIRST_SERVER = (1, 11)

#: How often both clients are asked before the native one counts as unable to reach the server.
_TRIES = 3


class NotNative(Exception):
    """Why this sink stays upstream's, in words."""


def go_native(sink: Any, tuning: settings.Tuning, failure: Callable[..., Any]) -> Native:
    """Set everything up for a sink, or raise NotNative. failure: upstream's `StackTraceError`."""
    with ExitStack() as undone:
        try:
            native = _set_up(sink, tuning, failure, undone)
        except (NotNative, settings.SettingError):
            raise
        except Exception as error:  # noqa: BLE001 - somebody's ingestion must not end because of us
            raise NotNative(f"setting it up failed with {eligibility.where(error)}") from None
        undone.pop_all()
        return native


def say_why_not(reason: str) -> None:
    """The one line about a sink that stays upstream's."""
    log.info("openmetadata-bulksink is not active: %s. Upstream's own sink writes.", reason)


def _set_up(sink: Any, tuning: settings.Tuning, failure: Callable[..., Any], undone: ExitStack) -> Native:
    reason = eligibility.why_not_native(sink.metadata, sink)
    if reason is not None:
        raise NotNative(reason)
    from openmetadata_bulksink import _native

    client = sink.metadata.client
    try:
        connected = connection.arguments(client)
    except connection.Unusable as unusable:
        raise NotNative(str(unusable)) from None
    how = settings.writing(sink.config, tuning)
    engine = _engine(tuning, how, connected, undone)
    version = _version(engine, client)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers < _FIRST_SERVER:
        raise NotNative(f"the server is {version}, and bulk requests came with 1.11")
    adjusted = settings.writing(sink.config, tuning, version)
    if adjusted != how:
        engine.close()
        engine = _engine(tuning, adjusted, connected, undone)
    writer = Writer(engine, client, lambda: sink.status, failure)
    undone.callback(writer.give_up)
    writer.fence.install()
    granted = accelerate.grant(sink.metadata, tuning.read_ahead)
    undone.callback(granted)
    undo, active, aside = accelerate.install(tuning.accelerators)
    undo.insert(0, granted)
    undone.callback(all_of(undo))
    if tuning.term_grace is not None:
        undo += grace.install(writer.deliver_within, tuning.term_grace)
    if tuning.report is not None:
        from openmetadata_bulksink.report import file as report

        undo += report.begin(tuning, writer, connected, version, adjusted, (active, aside))
    late = _ask_at_the_end(sink, undo)
    log.info(
        "openmetadata-bulksink %s writes to %s (server %s): %s; accelerators: %s%s",
        _native.__version__,
        connected["base_url"],
        version,
        adjusted.describe(),
        ", ".join(active) or "none",
        f" (stepped aside: {'; '.join(aside)})" if aside else "",
    )
    tracer = eligibility.tracer(client)
    if tracer is not None:
        log.info("%s makes no spans of the requests that openmetadata-bulksink sends itself", tracer)
    if late is not None:
        log.info("What is pending at the end is written in close(), after the state of the run was decided: %s", late)
    return Native(writer, tuning, undo, (ValueError, TypeError, _native.BulkSinkError))


def _ask_at_the_end(sink: Any, undo: list[Any]) -> str | None:
    """Have workflows ask for the final drain. Returns why they will not, if there are workflows here."""
    try:
        undo.append(accelerate.hold("final drain", final_drain.install))
    except StepsAside as reason:
        return str(reason) or None
    undo.append(final_drain.belongs(sink))
    return None


def _engine(tuning: settings.Tuning, how: settings.Writing, connected: dict[str, Any], undone: ExitStack) -> BulkSink:
    from openmetadata_bulksink import _native

    try:
        engine = _native.BulkSink(
            **settings.engine_arguments(tuning, how, connected),
            on_notice=lambda line: log.warning("%s", line),
        )
    except _native.ConfigurationError as error:
        raise NotNative(str(error)) from None
    undone.callback(engine.close, timeout=0)
    return engine


def _version(engine: BulkSink, client: Any) -> str:
    """The server's version, asked natively. A fault that comes and goes is no reason against native writing: only
    where upstream's client gets an answer each time and the native one never does, the two differ.
    """
    from openmetadata_bulksink import _native

    problem = None
    for _ in range(_TRIES):
        try:
            return engine.server_version()
        except _native.ConfigurationError as error:  # a token that no header can hold, for one; it is not in the text
            raise NotNative(str(error)) from None
        except _native.TransportError as error:
            problem = error
        if not _answers(client):
            # The server is away for both: that is what the engine's retries are for.
            return "not reached yet"
    raise NotNative(f"upstream's client reaches the server and the native one does not ({problem})")


def _answers(client: Any) -> bool:
    """Whether the server answers upstream's client at this moment."""
    try:
        return bool(client.get("/system/version"))
    except Exception:  # noqa: BLE001
        return False
