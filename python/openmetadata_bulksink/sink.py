"""Upstream's `MetadataRestSink`, with its hot path going through the native engine (rules A1, A5, A6).

Upstream's own methods stay in charge of what a record is and how it is routed: a class of records goes native only
after upstream's `write_create_request` has put one into its buffer. This file decides no request, no retry and no
setting.
"""

from __future__ import annotations

import sys
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from openmetadata_bulksink import accelerate, connection, eligibility, fence, grace, records, settings, tags
from openmetadata_bulksink.log import log
from openmetadata_bulksink.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from openmetadata_bulksink._native import BulkSink
    from openmetadata_bulksink.upstream import Status, UpstreamSink
else:
    UpstreamSink = object

#: Records other than create requests that the native side takes itself.
_OURS = frozenset({"Barrier", "OMetaLifeCycleData", tags.RECORD})

#: First server release with `/bulk`.
_FIRST_SERVER = (1, 11)

#: How often both clients are asked before the native one counts as unable to reach the server.
_TRIES = 3


class NativeSink(UpstreamSink):
    """What is mixed in before upstream's class (`sink_class`).

    A sink begins undecided; the first record that upstream would buffer decides, once: native (`_writer` is set), or
    upstream untouched (`_undecided` is False and `_writer` None).
    """

    _exactly: type | None = None

    _undecided = False
    _writer: Writer | None = None
    _closed = False

    # A subclass may have an `__init__` that does not call ours: everything goes upstream's way then.
    _forms: Mapping[type, records.Form] = MappingProxyType({})
    _tag_class: type | None = None

    def __init__(self, config: Any, metadata: Any) -> None:
        super().__init__(config, metadata)
        self._forms = {}
        self._singles: set[type] = set()
        self._scopes: dict[type, Any] = {}
        self._tag_class = None
        self._tag_forms: tags.Forms | None = None
        self._undo: list[Any] = []
        self._owner = threading.get_ident()
        self._routing = threading.RLock()
        self._labels_pending = False
        #: What the engine raises for a record that it cannot take; everything else is not about the record.
        self._refusals: tuple[type[Exception], ...] = (ValueError, TypeError)
        self._upstream = sys.modules[type(self).__module__] if type(self) is self._exactly else None
        if self._upstream is None or settings.switched_off():
            return
        self._nothing = self._upstream.Either(right=None)
        self._tuning = _tuning()
        reason = eligibility.why_not_native(metadata)
        if reason is not None:
            _say_why_not(reason)
            return
        settings.writing(config, self._tuning)
        self._users_config = config
        self.config = config.model_copy(update={"bulk_sink_batch_size": 1})
        self._undecided = True
        self._undo.append(accelerate.before_tables(self._tuning.accelerators, self, self._goes_native))

    # --- records ---

    def run(self, record: Any) -> Any:
        """What upstream's loop calls. Waits stand outside of upstream's `except Exception` here: an exception that a
        signal handler raises (schedulers end tasks that way) must end the run, not become the failure of a record.
        """
        form = self._forms.get(type(record))
        if form is not None:
            left = self._write(form, record).left
        elif type(record) is self._tag_class and not tags.is_nameless(record):
            left = self._write_tag(record).left
        else:
            if self._writer is not None:
                self._wait_before(record)
            return super().run(record)
        if left is not None:
            self.status.failed(left)
        return None

    def _run(self, record: Any, *args: Any, **kwargs: Any) -> Any:
        form = self._forms.get(type(record))
        if form is not None:
            return self._write(form, record)
        if self._writer is None and not self._undecided:
            return super()._run(record, *args, **kwargs)
        name = type(record).__name__
        if name == "Barrier":
            if self._writer is not None:
                self._writer.barrier(self._tuning.strict_barrier)
                return self._nothing
        elif name == "OMetaLifeCycleData":
            if self._goes_native():
                return self._write_life_cycle(record)
        elif name == tags.RECORD:
            if not tags.is_nameless(record) and self._goes_native():
                self._tag_class = type(record)
                return self._write_tag(record)
        elif name.startswith("Create"):
            return self._learn(record, *args, **kwargs)
        elif self._writer is not None:
            self._wait_before(record)  # for callers of `_run`; behind `run` there is nothing left to wait for
        return super()._run(record, *args, **kwargs)

    def _learn(self, record: Any, *args: Any, **kwargs: Any) -> Any:
        """Let upstream route a create request. One at a time while it is open whether its class ends up in the one
        buffer.
        """
        if type(record) in self._singles:
            return super()._run(record, *args, **kwargs)
        with self._routing:
            result = super()._run(record, *args, **kwargs)
            if self._writer is not None and type(record) not in self._forms and not self.buffer:
                self._singles.add(type(record))
            return result

    def _write(self, form: records.Form, record: Any) -> Any:
        """One create request into the engine. What cannot even be submitted fails here, alone and by name."""
        if self.limit_reached and form.name in self.limit_reached:
            return self._nothing
        writer: Writer = self._writer  # type: ignore[assignment]
        mark = writer.engine.mark()
        made: records.Record | None = None
        try:
            body = records.body_of(form, record)
            made = form.record(record, body)
            if self._labels_pending:
                made = made._replace(needs=_with_mentions(made))
            elif writer.waits_for_tags():
                made = made._replace(needs=(*made.needs, *tags.labels_in(body)))
            writer.submit(made)
        except BaseException as error:  # noqa: BLE001 - signals are raised here, too
            return self._not_submitted(mark, error, _full_name(form, record), "", sent=made is not None)
        return self._nothing

    def _write_life_cycle(self, record: Any) -> Any:
        writer: Writer = self._writer  # type: ignore[assignment]
        mark = writer.engine.mark()
        body: bytes | None = None
        try:
            collection = self.metadata.get_suffix(record.entity).strip("/")
            body = records.life_cycle_body(record.life_cycle)
            writer.submit_life_cycle(collection, record.entity_fqn, body)
        except BaseException as error:  # noqa: BLE001 - signals are raised here, too
            name = str(record.entity_fqn)
            return self._not_submitted(mark, error, name, "The life cycle of ", sent=body is not None)
        return self._nothing

    def _write_tag(self, record: Any) -> Any:
        writer: Writer = self._writer  # type: ignore[assignment]
        mark = writer.engine.mark()
        tagging: tags.Tagging | None = None
        try:
            if self._tag_forms is None:
                self._tag_forms = tags.Forms(record)
            tagging = self._tag_forms.tagging(record)
            if self._labels_pending:
                tagging = tagging._replace(tag=tagging.tag._replace(needs=_with_mentions(tagging.tag)))
            writer.submit_tag(tagging, mark)
        except BaseException as error:  # noqa: BLE001 - signals are raised here, too
            return self._not_submitted(mark, error, tags.label_of(record), "", sent=tagging is not None)
        return self._nothing

    def _not_submitted(self, mark: int, error: BaseException, name: str, what: str, *, sent: bool) -> Any:
        """What stopped a record on its way into the engine; sent: it was on its way. Where the record is the cause, it
        is lost alone, by name. Whatever else was raised there, by a signal handler (Ctrl-C, the SIGTERM of a runner),
        ends the run; a record that the engine has by then is not lost.
        """
        its_own = isinstance(error, self._refusals if sent else Exception)
        if not its_own and self._writer.engine.mark() > mark:  # type: ignore[union-attr]
            raise error
        reason = str(error) or f"it was interrupted by {type(error).__name__}"
        lost = self._left(name, f"{what}{name} cannot be sent: {reason}")
        if its_own:
            return lost
        self.status.failed(lost.left)
        raise error

    def _wait_before(self, record: Any) -> None:
        """Rule A3. Create requests wait by their own request, and ours not at all."""
        scopes_of = self._scopes.get(type(record))
        if scopes_of is None:
            name = type(record).__name__
            scopes_of = fence.nothing if name in _OURS else fence.record_scopes(name)
            self._scopes[type(record)] = scopes_of
        self._writer.wait_for(scopes_of(record), type(record).__name__)  # type: ignore[union-attr]

    # --- upstream's buffers ---

    def _flush_buffer(self) -> Any:
        if not self._goes_native():
            return self._as_upstream_would(self.buffer, super()._flush_buffer)
        waiting, self.buffer = self.buffer, []
        getattr(self, "buffered_entity_names", {}).clear()
        return self._take(waiting)

    def _flush_query_buffer(self) -> Any:
        if not self._goes_native():
            return self._as_upstream_would(self.query_buffer, super()._flush_query_buffer)
        waiting, self.query_buffer = self.query_buffer, []
        self.buffered_query_checksums.clear()
        return self._take(waiting)

    def _take(self, waiting: list[Any]) -> Any:
        """Learn the class of what upstream has just buffered, so that its next record needs no detour, and write it."""
        result = self._nothing
        for record in waiting:
            cls = type(record)
            try:
                form = records.form_of(cls, self.metadata.get_suffix(cls))
            except Exception as error:  # noqa: BLE001
                result = self._left(cls.__name__, f"{cls.__name__} cannot be written: {error}")
                continue
            if form.collection in records.NAMED_BY_LABELS:
                self._labels_pending = True
            written = self._write(form, record)
            self._forms = {**self._forms, cls: form}
            if written.left is not None:
                result = written
        return result

    def _as_upstream_would(self, buffered: list[Any], flush: Any) -> Any:
        """The decision fell against us while a first record stood in a buffer of one: upstream's batch size holds
        again.
        """
        config = getattr(self, "_users_config", None)
        if config is not None and self.config is not config:
            self.config = config
            if 0 < len(buffered) < config.bulk_sink_batch_size:
                return self._nothing
        return flush()

    # --- the decision ---

    def _goes_native(self) -> bool:
        if self._undecided:
            with self._routing:
                if self._undecided:
                    self._decide()
        return self._writer is not None

    def _decide(self) -> None:
        try:
            self._writer = self._start()
        except settings.SettingError:
            raise
        except _NotNative as reason:
            _say_why_not(str(reason))
        self._undecided = False
        if self._writer is None:
            self._take_out()
            # `_as_upstream_would` puts the config back when a buffer is involved; nothing else reads it before.
            self._restore_config_unless_buffered()

    def _restore_config_unless_buffered(self) -> None:
        if not self.buffer and not getattr(self, "query_buffer", None):
            self.config = self._users_config

    def _start(self) -> Writer:
        from openmetadata_bulksink import _native

        self._refusals = (ValueError, TypeError, _native.BulkSinkError)
        try:
            connected = connection.arguments(self.metadata.client)
        except connection.Unusable as reason:
            raise _NotNative(str(reason)) from None
        how = settings.writing(self._users_config, self._tuning)
        engine = self._engine(how, connected)
        version = self._version(engine)
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if len(numbers) == 2 and numbers < _FIRST_SERVER:
            engine.close()
            raise _NotNative(f"the server is {version}, and bulk requests came with 1.11")
        adjusted = settings.writing(self._users_config, self._tuning, version)
        if adjusted != how:
            engine.close()
            engine = self._engine(adjusted, connected)
        writer = Writer(engine, self.metadata.client, self.status, self._upstream.StackTraceError)  # type: ignore[union-attr]
        self._undo.append(accelerate.grant(self.metadata, self._tuning.read_ahead))
        undo, active, aside = accelerate.install(self._tuning.accelerators)
        self._undo += undo
        if self._tuning.term_grace is not None:
            self._undo += grace.install(writer.deliver_within, self._tuning.term_grace)
        log.info(
            "openmetadata-bulksink %s writes to %s (server %s): %s; accelerators: %s%s",
            _native.__version__,
            connected["base_url"],
            version,
            adjusted.describe(),
            ", ".join(active) or "none",
            f" (stepped aside: {'; '.join(aside)})" if aside else "",
        )
        return writer

    def _version(self, engine: BulkSink) -> str:
        """The server's version, asked natively. A fault that comes and goes is no reason against native writing: only
        where upstream's client gets an answer each time and the native one never does, the two differ.
        """
        from openmetadata_bulksink import _native

        problem = None
        for _ in range(_TRIES):
            try:
                return engine.server_version()
            except _native.TransportError as error:
                problem = error
            if not _answers(self.metadata.client):
                # The server is away for both: that is what the engine's retries are for.
                return "not reached yet"
        engine.close()
        raise _NotNative(f"upstream's client reaches the server and the native one does not ({problem})")

    def _engine(self, how: settings.Writing, connected: dict[str, Any]) -> BulkSink:
        from openmetadata_bulksink import _native

        try:
            return _native.BulkSink(
                **settings.engine_arguments(self._tuning, how, connected),
                on_notice=lambda line: log.warning("%s", line),
            )
        except _native.ConfigurationError as error:
            raise _NotNative(str(error)) from None

    # --- the end ---

    def get_status(self) -> Status:
        """On the thread that made the sink and after the last record: the final drain, so that pipeline state,
        printed summary and exit code know every loss. From anywhere else: what is known so far, at once.
        """
        writer = self._writer
        if writer is not None and not writer.closed and threading.get_ident() == self._owner and _after_the_loop():
            known: tuple[type[Exception], ...] = (*self._refusals, RuntimeError)
            try:
                self._wait_to_the_end(writer.finish)
            except known as error:
                log.warning("The final drain ended early: %s", error)
        return super().get_status()

    def close(self) -> None:
        writer = self._writer
        if writer is not None and not self._closed:
            self._wait_to_the_end(writer.close)
            self._closed = True
            self._take_out()
            log.info("openmetadata-bulksink: %s", writer.summary(getattr(self._tuning, "read_ahead", None)))
        elif self._undecided:
            self._undecided = False
            self._take_out()
            self.config = self._users_config
        super().close()

    def _take_out(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _wait_to_the_end(self, wait: Callable[[], None]) -> None:
        """Wait for what is pending, unless this is the second Ctrl-C: then what is left is lost by name. The first one
        is on its way out of the workflow, which must still stop its threads; up to 1.13 it does not where `get_status`
        raises.
        """
        try:
            wait()
        except BaseException as again:
            if not _is_leaving(again):
                raise
            self._writer.give_up()  # type: ignore[union-attr]

    # --- failures ---

    def _left(self, name: str, error: str) -> Any:
        upstream = self._upstream
        return upstream.Either(left=upstream.StackTraceError(name=name, error=error, stackTrace=None))  # type: ignore[union-attr]


def _full_name(form: records.Form, record: Any) -> str:
    try:
        return form.fqn(record, form.parent(record))
    except Exception:  # noqa: BLE001
        return form.name


def _is_leaving(error: BaseException) -> bool:
    """Whether an interruption came while another one was being handled."""
    return not isinstance(error, Exception) and _interrupts(error.__context__)


def _interrupts(error: BaseException | None) -> bool:
    while error is not None:
        if not isinstance(error, (Exception, GeneratorExit)):
            return True
        error = error.__context__
    return False


class _NotNative(Exception):
    """Why this sink stays upstream's, in words."""


def _answers(client: Any) -> bool:
    """Whether the server answers upstream's client at this moment."""
    try:
        return bool(client.get("/system/version"))
    except Exception:  # noqa: BLE001
        return False


def _tuning() -> settings.Tuning:
    """The settings of the environment; says which of its variables are none."""
    for line in settings.unknown():
        log.warning("%s", line)
    return settings.tuning()


def _say_why_not(reason: str) -> None:
    log.info("openmetadata-bulksink is not active: %s. Upstream's own sink writes.", reason)


def _with_mentions(made: records.Record) -> tuple[str, ...]:
    found = dict.fromkeys((*made.needs, *records.mentions(made.body)))
    found.pop(made.fqn, None)
    return tuple(found)


#: Code that runs while records are still coming.
_RUNNING: set[CodeType] = {
    NativeSink.run.__code__,
    NativeSink._run.__code__,
    NativeSink.close.__code__,
    NativeSink._flush_buffer.__code__,
}


def _after_the_loop() -> bool:
    """Whether the caller of `get_status` asks after the last record: not a signal handler in the middle of the run,
    and not upstream's diagnostics, which report from wherever they are.
    """
    current: FrameType | None = sys._getframe(2)
    while current is not None:
        code = current.f_code
        if code in _RUNNING or code.co_name == "execute_internal":
            return False
        if str(current.f_globals.get("__name__", "")).startswith("metadata.ingestion.diagnostics"):
            return False
        current = current.f_back
    return True


def sink_class(parent: type) -> type:
    """The class that takes upstream's place: its name, its module, its dispatcher; `NativeSink` in front."""
    made = type(
        parent.__name__,
        (NativeSink, parent),
        {"__module__": parent.__module__, "__qualname__": parent.__qualname__, "__doc__": parent.__doc__},
    )
    made._exactly = made  # type: ignore[attr-defined]
    return made


def inert_class(parent: type, reason: str) -> type:
    """Upstream's class as it is, in a version that we do not know; it says so when a sink is made."""
    theirs: Any = parent

    def create(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if not settings.switched_off():
            _tuning()
            _say_why_not(reason)
        return theirs.create.__func__(cls, *args, **kwargs)

    return type(
        parent.__name__,
        (parent,),
        {
            "__module__": parent.__module__,
            "__qualname__": parent.__qualname__,
            "__doc__": parent.__doc__,
            "create": classmethod(create),
        },
    )
