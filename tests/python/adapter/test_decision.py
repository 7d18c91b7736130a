"""One decision for each sink, which leaves nothing behind where it falls against us, or is interrupted (rule A7)."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from openmetadata_bulksink import accelerate, connection, decision, eligibility, final_drain, own
from openmetadata_bulksink.fence import Fence
from openmetadata_bulksink.writer import Writer
from tests.python.adapter import engine_double
from tests.python.adapter.recording_server import RecordingServer
from tests.python.adapter.test_sink import database, life_cycle, table

pytestmark = pytest.mark.upstream

Make = Callable[..., Any]

#: Every step of the decision, as what is called in it.
STEPS = {
    "eligibility": (eligibility, "why_not_native"),
    "the client's connection": (connection, "arguments"),
    "the engine": (engine_double.BulkSink, "__init__"),
    "the server's version": (engine_double.BulkSink, "server_version"),
    "the writer": (Writer, "__init__"),
    "the fence": (Fence, "install"),
    "the accelerators": (accelerate, "install"),
    "the workflow": (final_drain, "install"),
    "the tracers": (eligibility, "tracer"),
    "the last step": (decision, "Native"),
}
steps = pytest.mark.parametrize("step", STEPS)


def is_as_it_was(client: Any) -> bool:
    return "_request" not in vars(client.client) and accelerate._installed == {}


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "metadata.BulkSink"]


@steps
def test_an_exception_in_any_step_means_upstreams_sink(
    step: str,
    make_sink: Make,
    server: RecordingServer,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "metadata")
    sink = make_sink({"bulk_sink_batch_size": 3})

    def fails(*_: Any, **__: Any) -> Any:
        raise OSError("a text with the-token in it")

    monkeypatch.setattr(*STEPS[step], fails)
    for number in range(4):
        sink.run(table(f"t{number}"))
        assert is_as_it_was(client)
    assert all(engine.closed for engine in engine_double.made)
    assert [row["name"] for row in server.rows("tables")] == ["t0", "t1", "t2"]
    assert len(sink.buffer) == 1
    sink.close()
    assert len(server.rows("tables")) == 4
    assert sink.status.failures == []
    said = [line for line in ours(caplog) if "is not active" in line]
    assert len(said) == 1
    assert "OSError" in said[0]
    assert "the-token" not in caplog.text


@steps
def test_an_interruption_in_any_step_leaves_and_takes_all_back(
    step: str, make_sink: Make, server: RecordingServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make_sink()
    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], mock.Mock(side_effect=KeyboardInterrupt))
        before = dict(accelerate._installed)
        with pytest.raises(KeyboardInterrupt):
            sink.run(table("t"))
        # A sink that has not decided listens for the first table of its source.
        assert "_request" not in vars(client.client)
        assert accelerate._installed == before
        assert set(before) <= {"tables that come"}
    assert all(engine.closed for engine in engine_double.made)
    sink.close()
    assert [row["name"] for row in server.rows("tables")] == ["t"]
    assert is_as_it_was(client)


def test_who_goes_on_after_an_interruption_is_asked_again(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    with mock.patch.object(accelerate, "install", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        sink.run(database())
    sink.run(table("t"))
    assert sink._writer is not None
    sink.close()
    assert (len(server.rows("databases")), len(server.rows("tables"))) == (1, 1)


def test_a_token_that_only_upstreams_client_sends(
    make_sink: Make,
    server: RecordingServer,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A blank at its end, which `requests` trims: the native side says what is wrong when it is to build a header."""
    caplog.set_level(logging.INFO, "metadata")
    refusal = engine_double.ConfigurationError("token: has a space")
    monkeypatch.setattr(engine_double.BulkSink, "server_version", mock.Mock(side_effect=refusal))
    sink = make_sink()
    sink.run(table("t"))
    assert is_as_it_was(client)
    sink.close()
    assert len(server.rows("tables")) == 1
    assert [line for line in ours(caplog) if "is not active: token: has a space" in line]


def test_the_config_stays_the_users(make_sink: Make) -> None:
    sink = make_sink({"bulk_sink_batch_size": 7})
    config = sink.config
    sink.run(table("t"))
    assert sink.config is config
    assert config.bulk_sink_batch_size == 7


def test_a_life_cycle_decides_too(make_sink: Make, client: Any) -> None:
    sink = make_sink()
    with mock.patch.object(accelerate, "install", side_effect=KeyError):
        sink.run(life_cycle("s.d.p.t"))
    assert sink._writer is None
    assert len(sink.deferred_lifecycle_records) == 1
    assert is_as_it_was(client)


# --- patches of a user's, before and after the sink was made ---


def spy(seen: list[str], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def around(*args: Any, **kwargs: Any) -> Any:
        seen.append("called")
        return original(*args, **kwargs)

    return around


def adapter_of_their_own(sink: Any, seen: list[str]) -> None:
    from requests.adapters import HTTPAdapter

    class Audit(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Any:
            seen.append("called")
            return super().send(*args, **kwargs)

    sink.metadata.client._session.mount("http://", Audit())


def hook(sink: Any, seen: list[str]) -> None:
    sink.metadata.client._session.hooks["response"].append(lambda *_, **__: seen.append("called"))


def authentication(sink: Any, seen: list[str]) -> None:
    def sign(request: Any) -> Any:
        seen.append("called")
        return request

    sink.metadata.client._session.auth = sign


def parameters(sink: Any, seen: list[str]) -> None:
    sink.metadata.client._session.params = {"tenant": "a"}
    seen.append("called")


def on(path: str) -> Callable[[Any, list[str]], None]:
    """Something around a method of one object below the sink."""

    def put(sink: Any, seen: list[str]) -> None:
        *way, name = path.split(".")
        owner = functools.reduce(getattr, way, sink)
        setattr(owner, name, spy(seen, getattr(owner, name)))

    return put


PATCHES = {
    "adapter": adapter_of_their_own,
    "hook": hook,
    "auth": authentication,
    "params": parameters,
    **{
        path: on(path)
        for path in (
            "metadata.client._session.request",
            "metadata.client._session.send",
            "metadata.client.put",
            "metadata.client._request",
            "metadata.bulk_create_or_update",
            "write_create_request",
            "_flush_buffer",
            "_run",
        )
    },
}


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_a_patch_after_the_sink_was_made_is_honoured(
    patch: Any, make_sink: Make, server: RecordingServer, double: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "metadata")
    sink = make_sink()
    seen: list[str] = []
    patch(sink, seen)
    for number in range(3):
        sink.run(table(f"t{number}"))
    sink.close()
    assert seen
    assert double.made == []
    assert len(server.rows("tables")) == 3
    assert len([line for line in ours(caplog) if "is not active" in line]) == 1


@pytest.mark.parametrize("name", ["_run", "run", "write_create_request", "_flush_buffer", "close", "get_status"])
@pytest.mark.parametrize("whose", ["ours", "upstream's", "the sink's"])
def test_a_patch_of_the_class_is_honoured(
    name: str, whose: str, make_sink: Make, double: Any, upstream_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands around `run`, `close` and `get_status` of ours sees all that it would see of upstream's: it may stay
    around the native sink.
    """
    sink = make_sink()
    seen: list[str] = []
    owner = {"ours": type(sink), "upstream's": upstream_class, "the sink's": sink}[whose]
    monkeypatch.setattr(owner, name, spy(seen, getattr(owner, name)), raising=False)
    for number in range(3):
        sink.run(table(f"t{number}"))
    sink.get_status()
    sink.close()
    assert len(seen) >= (3 if name == "run" else 1)
    native = name in ("run", "close", "get_status") and whose != "upstream's"
    assert len(double.made) == (1 if native else 0)


@pytest.mark.parametrize("name", ["put", "get", "_request"])
def test_a_patch_of_the_clients_class_before_the_sink_is_made(
    name: str, make_sink: Make, double: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metadata.ingestion.ometa.client import REST

    monkeypatch.setattr(REST, name, spy([], getattr(REST, name)))
    sink = make_sink()
    sink.run(table("t"))
    assert len(sink.buffer) == 1
    assert double.made == []


def test_a_function_that_a_user_registered_for_a_record_of_ours(
    make_sink: Make, double: Any, upstream_class: Any
) -> None:
    from metadata.ingestion.models.life_cycle import OMetaLifeCycleData

    registry = vars(upstream_class)["_run_dispatch"].dispatcher
    theirs = registry.dispatch(OMetaLifeCycleData)
    sink = make_sink()
    registry.register(OMetaLifeCycleData, spy([], theirs))
    try:
        sink.run(table("t"))
    finally:
        registry.register(OMetaLifeCycleData, theirs)
    assert double.made == []


@pytest.mark.usefixtures("double")
def test_a_subclass_that_goes_past_upstreams_init(upstream_class: type, client: Any) -> None:
    from openmetadata_bulksink.sink import sink_class

    base: Any = sink_class(upstream_class)

    class Mine(base):  # type: ignore[misc]
        def __init__(self, config: Any, metadata: Any) -> None:
            super(base, self).__init__()
            self.config, self.metadata = config, metadata

        def _run(self, record: Any, *_: Any, **__: Any) -> Any:
            from metadata.ingestion.api.models import Either

            return Either(right=record)

    sink = Mine.create({}, client)
    sink.run(database())
    assert sink.status.records == ["CreateDatabaseRequest [d]"]


# --- tracers ---


def wrapped_by(tracer: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper as that tracer makes it: of its own module."""
    from types import FunctionType

    around = spy([], original)
    assert isinstance(around, FunctionType)
    scope = {**around.__globals__, "__name__": f"{tracer}.instrumentation"}
    made = FunctionType(around.__code__, scope, around.__name__, None, around.__closure__)
    made.__kwdefaults__ = around.__kwdefaults__
    return functools.wraps(original)(made)


class Proxy:
    """As the wrappers of wrapt are, those of its native module, too: everything about them but their type is what they
    wrap would say.
    """

    __slots__ = ("__wrapped__", "_self_wrapper")
    __module__ = "_wrappers"

    def __init__(self, wrapped: Any, wrapper: Any) -> None:
        object.__setattr__(self, "__wrapped__", wrapped)
        object.__setattr__(self, "_self_wrapper", wrapper)

    @property
    def __class__(self) -> Any:
        return type(self.__wrapped__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return functools.partial(self, instance) if instance is not None else self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._self_wrapper(*args, **kwargs)


def proxied_by(package: str, original: Callable[..., Any]) -> Callable[..., Any]:
    return Proxy(original, wrapped_by(package, original))


ways_to_wrap = pytest.mark.parametrize("wrap", [wrapped_by, proxied_by])


@ways_to_wrap
@pytest.mark.parametrize("tracer", own.TRACERS)
@pytest.mark.parametrize("name", ["request", "send"])
def test_a_tracer_does_not_stop_us_and_is_named(
    tracer: str,
    name: str,
    wrap: Any,
    make_sink: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import requests

    caplog.set_level(logging.INFO, "metadata")
    monkeypatch.setattr(requests.Session, name, wrap(tracer, vars(requests.Session)[name]))
    sink = make_sink()
    sink.run(table("t"))
    assert sink._writer is not None
    sink.close()
    said = [line for line in ours(caplog) if "spans" in line]
    assert len(said) == 1
    assert own.TRACERS[tracer] in said[0]


@ways_to_wrap
def test_a_wrapper_that_is_no_tracers_counts(
    wrap: Any, make_sink: Make, double: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import requests

    caplog.set_level(logging.INFO, "metadata")
    monkeypatch.setattr(requests.Session, "request", wrap("users_audit", vars(requests.Session)["request"]))
    sink = make_sink()
    sink.run(table("t"))
    assert double.made == []
    assert "Session.request is wrapped by users_audit" in caplog.text


def test_a_tracer_below_the_session_is_named(
    make_sink: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sentry's stands around the standard library's connection."""
    import http.client

    caplog.set_level(logging.INFO, "metadata")
    connection_class = http.client.HTTPConnection
    monkeypatch.setattr(connection_class, "putrequest", wrapped_by("sentry_sdk", connection_class.putrequest))
    sink = make_sink()
    sink.run(table("t"))
    sink.close()
    assert [line for line in ours(caplog) if "Sentry makes no spans" in line]


def test_a_users_wrapper_around_a_tracers_counts(make_sink: Make, double: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    traced = wrapped_by("opentelemetry", requests.Session.send)
    monkeypatch.setattr(requests.Session, "send", spy([], traced))
    sink = make_sink()
    sink.run(table("t"))
    assert double.made == []


# --- several sinks ---


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_sinks_on_one_client_end_in_any_order(
    order: tuple[int, ...], make_sink: Make, server: RecordingServer, client: Any
) -> None:
    sinks = [make_sink() for _ in range(3)]
    for number, sink in enumerate(sinks):
        sink.run(table(f"t{number}"))
    for at in order:
        assert isinstance(client.client._request, Fence)
        sinks[at].close()
    assert is_as_it_was(client)
    assert sorted(row["name"] for row in server.rows("tables")) == ["t0", "t1", "t2"]


def test_a_mock_of_the_clients_request_that_outlives_us(make_sink: Make, client: Any) -> None:
    sink = make_sink()
    sink.run(table("t"))
    users = mock.patch.object(client.client, "_request", wraps=client.client._request)
    users.start()
    sink.close()
    users.stop()
    assert client.client.get("/system/version")
    following = make_sink()
    following.run(table("u"))
    assert following._writer is not None
    following.close()
    assert is_as_it_was(client)
