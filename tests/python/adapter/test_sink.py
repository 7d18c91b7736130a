"""The sink class over upstream's own, with the engine's double: routing, order, accounting, the end (rules A1-A6)."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.python.adapter.conftest import new_client
from tests.python.adapter.recording_server import RecordingServer

pytestmark = pytest.mark.upstream

Make = Callable[..., Any]


def database(name: str = "d", service: str = "s") -> Any:
    from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest

    return CreateDatabaseRequest(name=name, service=service)


def table(name: str, schema: str = "s.d.p", **more: Any) -> Any:
    from metadata.generated.schema.api.data.createTable import CreateTableRequest

    return CreateTableRequest(name=name, databaseSchema=schema, columns=[{"name": "c", "dataType": "INT"}], **more)


def query(text: str, service: str = "s") -> Any:
    from metadata.generated.schema.api.data.createQuery import CreateQueryRequest

    return CreateQueryRequest(query=text, service=service)


def life_cycle(fqn: str, timestamp: int = 1) -> Any:
    from metadata.generated.schema.entity.data.table import Table
    from metadata.generated.schema.type.lifeCycle import AccessDetails, LifeCycle
    from metadata.ingestion.models.life_cycle import OMetaLifeCycleData

    return OMetaLifeCycleData(
        entity=Table, entity_fqn=fqn, life_cycle=LifeCycle(created=AccessDetails(timestamp=timestamp))
    )


def barrier() -> Any:
    models = pytest.importorskip("metadata.ingestion.models.barrier", reason="this upstream has no Barrier")
    return models.Barrier(reason="test")


def engine(sink: Any) -> Any:
    return sink._writer.engine


def test_the_class_looks_like_upstreams(make_sink: Make, upstream_class: type) -> None:
    sink = make_sink()
    assert isinstance(sink, upstream_class)
    assert type(sink).__name__ == "MetadataRestSink"
    assert type(sink).__module__ == upstream_class.__module__
    assert sink.name == "OpenMetadata"
    for name in ("buffer", "limit_reached", "deferred_lifecycle_records"):
        assert hasattr(sink, name)


def test_nothing_is_made_before_the_first_record_that_upstream_buffers(make_sink: Make, double: Any) -> None:
    from metadata.generated.schema.api.services.createDatabaseService import CreateDatabaseServiceRequest

    sink = make_sink()
    sink.run(CreateDatabaseServiceRequest(name="s", serviceType="Postgres"))
    assert double.made == []
    sink.run(database())
    assert len(double.made) == 1


def test_records_are_written_in_bulk_and_counted_once(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    assert sink.run(database()) is None
    for number in range(250):
        assert sink.run(table(f"t{number}")) is None
    sink.close()
    assert len(server.rows("databases")) == 1
    assert [row["name"] for row in server.rows("tables")] == [f"t{number}" for number in range(250)]
    assert [len(json.loads(one.body)) for one in server.sent("PUT", "/tables/bulk")] == [100, 100, 50]
    assert len(sink.status.records) == 251
    assert sink.status.failures == []
    assert len({id(text) for text in sink.status.records}) == 2


def test_upstreams_buffers_stay_empty(make_sink: Make) -> None:
    sink = make_sink()
    for number in range(3):
        sink.run(table(f"t{number}"))
        sink.run(query(f"select {number}"))
        assert sink.buffer == []
        assert getattr(sink, "query_buffer", []) == []
    assert engine(sink).stats().pending == 6


@pytest.mark.parametrize("where", ["patched", "overridden"])
def test_a_model_dump_of_somebodys_makes_the_body(
    where: str, make_sink: Make, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = table("t")
    cls: Any = type(made)
    original = cls.model_dump

    def model_dump(self: Any, *args: Any, **kwargs: Any) -> Any:
        return {**original(self, *args, **kwargs), "description": "stamped"}

    if where == "patched":
        monkeypatch.setattr(cls, "model_dump", model_dump)
    else:
        cls = type(cls.__name__, (cls,), {"__module__": cls.__module__, "model_dump": model_dump})
        made = cls(**original(made, mode="json", exclude_unset=True))
    sink = make_sink()
    sink.run(made)
    sink.run(made)
    sink.close()
    assert sink.status.failures == []
    assert {row.get("description") for row in server.rows("tables")} == {"stamped"}


def test_the_parent_and_the_needs_go_with_the_record(make_sink: Make) -> None:
    sink = make_sink()
    key = {"constraintType": "FOREIGN_KEY", "columns": ["c"], "referredColumns": ["s.d.p.u.id"]}
    sink.run(table("t", tableConstraints=[key]))
    (record,) = engine(sink).submissions
    assert (record.collection, record.fqn, record.parent, record.needs) == ("tables", "s.d.p.t", "s.d.p", ("s.d.p.u",))
    assert json.loads(record.body) == table("t", tableConstraints=[key]).model_dump(
        mode="json", exclude_unset=True, exclude_none=True
    )


def test_refused_rows_fail_by_name_once_each(make_sink: Make, server: RecordingServer) -> None:
    server.refuse = {"s.d.p.t1": "no such tag", "s.d.p.t3": "no such owner"}
    sink = make_sink()
    for number in range(5):
        sink.run(table(f"t{number}"))
    sink.close()
    assert len(sink.status.records) == 3
    assert [(failure.name, failure.error) for failure in sink.status.failures] == [
        ("s.d.p.t1", "The Table s.d.p.t1 was not written: no such tag"),
        ("s.d.p.t3", "The Table s.d.p.t3 was not written: no such owner"),
    ]


def test_a_record_that_cannot_be_serialised_fails_alone(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    sink.run(table("good"))
    bad = table("bad")
    bad.columns = object()
    sink.run(bad)
    sink.run(table("fine"))
    sink.close()
    assert [row["name"] for row in server.rows("tables")] == ["good", "fine"]
    assert [failure.name for failure in sink.status.failures] == ["s.d.p.bad"]
    assert len(sink.status.records) == 2


def test_single_creates_stay_upstreams(make_sink: Make, server: RecordingServer) -> None:
    from metadata.generated.schema.api.data.createContainer import CreateContainerRequest

    sink = make_sink()
    sink.run(database())
    server.answers["PUT", "/containers"] = 400, {"code": 400, "message": "no"}
    sink.run(CreateContainerRequest(name="c", service="s3"))
    assert server.sent("PUT", "/containers")
    assert len(sink.status.failures) == 1


def test_equal_queries_go_out_once(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    for text in ("select 1", "select 2", "select 1"):
        sink.run(query(text))
    sink.close()
    assert [row["query"] for row in server.rows("queries")] == ["select 1", "select 2"]
    assert sink.status.failures == []


def test_a_query_that_the_server_has_is_a_warning(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    sink.run(query("select 1"))
    (record,) = engine(sink).submissions
    server.refuse = {record.fqn: "duplicate key value violates unique_query_checksum"}
    sink.close()
    assert sink.status.failures == []
    assert len(sink.status.warnings) == 1


def test_a_table_without_a_key_counts_as_written_with_a_warning(make_sink: Make, server: RecordingServer) -> None:
    """As upstream would have written it: a key must not cost a table."""
    server.refuse = {"s.d.p.t": "written without its foreign key to s.d.p.u: table instance for s.d.p.u not found"}
    sink = make_sink()
    sink.run(table("t"))
    sink.close()
    (warning,) = sink.status.warnings
    assert "s.d.p.t" in str(warning)
    assert "s.d.p.u not found" in str(warning)
    assert len(sink.status.records) == 1
    assert sink.status.failures == []


def test_life_cycles_go_out_after_their_entity(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    sink.run(life_cycle("s.d.p.t", 5))
    sink.run(table("t"))
    sink.run(life_cycle("s.d.p.gone"))
    sink.close()
    writes = [(one.method, one.bare) for one in server.requests if one.method in ("PUT", "PATCH")]
    assert writes[0] == ("PUT", "/tables/bulk")
    assert ("PATCH", "/tables/name/s.d.p.t") in writes
    (patch,) = [one for one in server.requests if one.bare == "/tables/name/s.d.p.t"]
    assert json.loads(patch.body) == [{"op": "add", "path": "/lifeCycle", "value": {"created": {"timestamp": 5}}}]
    assert [failure.name for failure in sink.status.failures] == ["s.d.p.gone"]
    assert len(sink.status.records) == 1
    assert sink.deferred_lifecycle_records == []


def test_a_reader_sees_what_was_yielded(make_sink: Make, server: RecordingServer, client: Any) -> None:
    from metadata.generated.schema.entity.data.table import Table

    sink = make_sink()
    sink.run(table("t"))
    assert server.rows("tables") == []
    assert client.get_by_name(Table, "s.d.p.t") is not None
    assert client.get_by_name(Table, "s.d.p.other") is None


def test_a_barrier_marks_and_a_strict_one_waits(
    make_sink: Make, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = barrier()
    sink = make_sink()
    sink.run(one)
    sink.run(table("t"))
    sink.run(one)
    assert server.rows("tables") == []
    assert sink._writer.fence.mark == 1
    sink.close()
    monkeypatch.setenv("OM_BULKSINK_STRICT_BARRIER", "1")
    strict = make_sink()
    strict.run(table("u"))
    strict.run(one)
    assert [row["name"] for row in server.rows("tables")] == ["t", "u"]


def test_a_patch_waits_for_its_entity(make_sink: Make, server: RecordingServer, client: Any) -> None:
    from metadata.generated.schema.entity.data.table import Table
    from metadata.ingestion.models.patch_request import PatchRequest

    sink = make_sink()
    sink.run(table("t"))
    old = client.get_by_name(Table, "s.d.p.t")
    sink.run(table("t", description="later"))
    new = old.model_copy(deep=True)
    new.displayName = "shown"
    sink.run(PatchRequest(original_entity=old, new_entity=new))
    order = [one.method for one in server.requests if one.method in ("PUT", "PATCH")]
    assert order == ["PUT", "PUT", "PATCH"]
    assert sink.status.updated_records


@pytest.mark.parametrize("polled", [False, True])
def test_get_status_never_waits(polled: bool, make_sink: Make, server: RecordingServer) -> None:
    """From no thread, at no time: a progress display may ask after each record, and no request is more for it."""
    sink = make_sink()
    for number in range(1_050):
        sink.run(table(f"t{number}"))
        if polled:
            sink.get_status()
    assert [len(json.loads(one.body)) for one in server.sent("PUT", "/tables/bulk")] == [100] * 10
    assert len(sink.get_status().records) == 1_000
    assert engine(sink).waits == []


def test_get_status_takes_what_has_come(make_sink: Make) -> None:
    sink = make_sink()
    sink.run(table("t"))
    engine(sink).drain()
    seen: list[int] = []
    other = threading.Thread(target=lambda: seen.append(len(sink.get_status().records)))
    other.start()
    other.join()
    assert seen == [1]


def test_get_status_of_a_signal_handler_returns_at_once(make_sink: Make) -> None:
    """It may come while entries are being made, on the same thread: they are left to whoever makes them."""
    sink = make_sink()
    for number in range(3):
        sink.run(table(f"t{number}"))
    seen: list[int] = []
    text_of = sink._writer._text

    def interrupted(collection: str) -> str:
        seen.append(len(sink.get_status().records))
        return str(text_of(collection))

    sink._writer._text = interrupted
    engine(sink).drain()
    assert len(sink.get_status().records) == 3
    assert seen == [0, 0, 0]


def test_close_is_idempotent_and_gives_the_client_back(make_sink: Make, client: Any) -> None:
    sink = make_sink()
    sink.run(table("t"))
    assert "_request" in vars(client.client)
    sink.close()
    sink.close()
    assert "_request" not in vars(client.client)
    assert engine(sink).closed
    assert len(sink.status.records) == 1


def test_a_second_sink_on_the_same_client_starts_clean(make_sink: Make, server: RecordingServer) -> None:
    first = make_sink()
    first.run(table("t"))
    first.close()
    second = make_sink()
    second.run(table("u"))
    second.close()
    assert [row["name"] for row in server.rows("tables")] == ["t", "u"]
    assert len(second.status.records) == 1


def test_several_threads_in_run(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    errors: list[BaseException] = []

    def feed(number: int) -> None:
        try:
            for at in range(50):
                sink.run(table(f"t{number}_{at}"))
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=feed, args=(number,)) for number in range(8)]
    # The double is single-threaded: give it a lock, as the native module has.
    sink.run(table("first"))
    lock = threading.RLock()
    for name in ("submit", "take_outcomes"):
        inner = getattr(engine(sink), name)

        def locked(*args: Any, inner: Any = inner, **kwargs: Any) -> Any:
            with lock:
                return inner(*args, **kwargs)

        setattr(engine(sink), name, locked)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    assert errors == []
    assert len({row["name"] for row in server.rows("tables")}) == 401
    assert len(sink.status.records) == 401


def test_synchronous_mode_leaves_nothing_pending(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink({"bulk_sink_batch_size": 1})
    sink.run(database())
    sink.run(table("t"))
    assert len(server.rows("tables")) == 1
    assert engine(sink).arguments["synchronous"] is True
    assert len(sink.status.records) == 2


def test_settings_reach_the_engine(make_sink: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OM_BULKSINK_LINGER", "0.25")
    monkeypatch.setenv("OM_BULKSINK_DELIVERY_TIMEOUT", "7")
    sink = make_sink({"bulk_sink_batch_size": 50, "async_pipeline_workers": 6})
    sink.run(database())
    arguments = engine(sink).arguments
    assert (arguments["linger"], arguments["delivery_timeout"]) == (0.25, 7.0)
    assert (arguments["batch_size"], arguments["workers"]) == (50, 6)


def test_a_bad_setting_stops_the_sink_from_being_made(make_sink: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OM_BULKSINK_WORKERS", "many")
    with pytest.raises(ValueError, match="OM_BULKSINK_WORKERS must be a whole number"):
        make_sink()


def test_it_says_once_what_it_does_and_once_what_it_did(make_sink: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "metadata")
    sink = make_sink()
    for number in range(5):
        sink.run(table(f"t{number}"))
    sink.close()
    sink.close()
    ours = [record for record in caplog.records if record.name == "metadata.BulkSink"]
    assert len(ours) == 2
    assert "4 workers (default)" in ours[0].getMessage()
    assert "5 entities written, 0 failed" in ours[1].getMessage()
    assert "the-token" not in caplog.text


def test_notices_do_not_become_warnings_of_a_step(make_sink: Make) -> None:
    sink = make_sink()
    sink.run(table("t"))
    engine(sink).arguments["on_notice"]("nothing was written for 10 s")
    assert sink.status.warnings == []


def test_after_a_fork_nothing_of_the_parent_is_pending(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    sink.run(table("t"))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            pending_before = sink._writer.pending()
            sink.run(table("of the child"))
            pending_after = sink._writer.pending()
            sink._drain()
            os.write(writer, f"{pending_before} {pending_after} {len(sink.status.records)}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"False True 1"
    assert [row["name"] for row in server.rows("tables")] == ["of the child"]
    sink.close()
    assert [row["name"] for row in server.rows("tables")] == ["of the child", "t"]


# --- not native ---


def test_switched_off_is_upstream(make_sink: Make, double: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OM_BULKSINK", "0")
    monkeypatch.setenv("OM_BULKSINK_NONSENSE", "1")
    sink = make_sink()
    sink.run(database())
    assert len(sink.buffer) == 1
    assert sink.config.bulk_sink_batch_size == 100
    assert double.made == []


@pytest.mark.upstream
@pytest.mark.usefixtures("double")
def test_a_subclass_with_a_constructor_of_its_own_is_upstream(upstream_class: type, client: Any) -> None:
    from metadata.ingestion.api.models import Either
    from metadata.ingestion.api.steps import Sink

    from openmetadata_bulksink.sink import sink_class

    ours: Any = sink_class(upstream_class)

    class Mine(ours):
        def __init__(self, metadata: Any) -> None:
            Sink.__init__(self)
            self.metadata = metadata
            self.seen: list[Any] = []

        def _run(self, record: Any, *_: Any, **__: Any) -> Any:
            self.seen.append(record)
            return Either(right=record)

        def close(self) -> None:
            pass

    sink = Mine(client)
    sink.run(database())
    assert len(sink.seen) == len(sink.get_status().records) == 1
    sink.close()


def test_a_subclass_of_a_user_is_upstream(double: Any, upstream_class: type, client: Any) -> None:
    from openmetadata_bulksink.sink import sink_class

    base: Any = sink_class(upstream_class)

    class Mine(base):  # type: ignore[misc]
        pass

    sink = Mine.create({}, client)
    sink.run(database())
    assert len(sink.buffer) == 1
    assert double.made == []


def test_an_old_server_is_upstreams(make_sink: Make, server: RecordingServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "metadata")
    server.version = "1.10.5"
    sink = make_sink({"bulk_sink_batch_size": 3})
    for number in range(2):
        sink.run(table(f"t{number}"))
        assert len(sink.buffer) == number + 1
    assert sink.config.bulk_sink_batch_size == 3
    sink.run(table("t2"))
    assert sink.buffer == []
    assert len(server.rows("tables")) == 3
    assert caplog.text.count("openmetadata-bulksink is not active: the server is 1.10.5") == 1


def test_a_server_that_only_the_python_client_reaches_is_upstreams(
    make_sink: Make, double: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise double.TransportError("certificate refused")

    monkeypatch.setattr(double.BulkSink, "server_version", refuse)
    sink = make_sink()
    sink.run(table("t"))
    assert len(sink.buffer) == 1
    assert all(one.closed for one in double.made)


@pytest.mark.usefixtures("double")
def test_a_server_that_nobody_reaches_is_the_engines_matter(upstream_class: type) -> None:
    from openmetadata_bulksink.sink import sink_class

    with RecordingServer() as running:
        client = new_client(running.url)
        client.client._retry = 0
        url = running.url
    cls: Any = sink_class(upstream_class)
    sink = cls.create({}, client)
    sink.run(life_cycle("s.d.p.t"))
    assert sink._writer is not None
    assert engine(sink).base_url == f"{url}/v1"
    sink._writer.closed = True  # the double would try to reach the server
    sink._writer.fence.remove()
    sink.close()


def test_requests_are_byte_for_byte_upstreams_when_off(
    upstream_class: type, double: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same stream through upstream's own class and through ours with OM_BULKSINK=0."""
    from openmetadata_bulksink.sink import sink_class

    monkeypatch.setenv("OM_BULKSINK", "0")

    def stream(cls: Any) -> list[tuple[str, str, bytes]]:
        with RecordingServer() as running:
            sink = cls.create({"bulk_sink_batch_size": 4}, new_client(running.url))
            for number in range(10):
                sink.run(database(f"d{number}"))
                sink.run(query(f"select {number % 3}"))
                sink.run(life_cycle(f"s.d{number}"))
            sink.get_status()
            sink.close()
            return [(one.method, one.path, one.body) for one in running.requests]

    ours = stream(sink_class(upstream_class))
    assert ours == stream(upstream_class)
    assert len(ours) > 10
    assert double.made == []


class Ended(Exception):
    """As a scheduler's SIGTERM handler raises it."""


@pytest.mark.parametrize("kind", [Ended, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["submit", "wait"])
def test_an_exception_of_a_signal_handler_ends_the_run(
    make_sink: Make, server: RecordingServer, client: Any, kind: type[BaseException], where: str
) -> None:
    from metadata.generated.schema.entity.data.table import Table
    from metadata.ingestion.models.delete_entity import DeleteEntity

    sink = make_sink()
    sink.run(table("t"))
    entity = client.get_by_name(Table, "s.d.p.t")
    sink.run(table("u"))
    kept = getattr(engine(sink), where)

    def interrupted(*_: Any, **__: Any) -> None:
        raise kind

    setattr(engine(sink), where, interrupted)
    with pytest.raises(kind):
        sink.run(table("v") if where == "submit" else DeleteEntity(entity=entity))
    setattr(engine(sink), where, kept)
    # This engine had not taken the record: it is named. The real one takes it (tests/python/native/test_processes.py).
    assert [failure.name for failure in sink.status.failures] == (["s.d.p.v"] if where == "submit" else [])
    sink.close()
    assert [row["name"] for row in server.rows("tables")] == ["t", "u"]


def test_an_interrupted_close_can_be_tried_again(make_sink: Make, server: RecordingServer) -> None:
    sink = make_sink()
    sink.run(table("t"))
    drain = engine(sink).drain

    def interrupted(timeout: float | None = None) -> float:  # noqa: ARG001
        raise KeyboardInterrupt

    engine(sink).drain = interrupted
    with pytest.raises(KeyboardInterrupt):
        sink.close()
    engine(sink).drain = drain
    sink.close()
    assert len(server.rows("tables")) == 1
    assert len(sink.status.records) == 1


@pytest.mark.parametrize("end", ["_drain", "close"])
def test_a_second_interrupt_gives_up_what_is_left_and_lets_the_first_one_out(make_sink: Make, end: str) -> None:
    """Up to 1.13 the workflow closes its steps last, and stops its threads only if nothing is raised before that."""
    sink = make_sink()
    sink.run(table("t"))
    interruptions = 0

    def interrupted(timeout: float | None = None) -> float:  # noqa: ARG001
        nonlocal interruptions
        interruptions += 1
        raise KeyboardInterrupt

    engine(sink).drain = interrupted
    undo = sink._state.undo
    assert undo
    went_on = False

    def workflow() -> None:
        nonlocal went_on
        try:
            raise KeyboardInterrupt
        finally:
            getattr(sink, end)()
            went_on = True

    with pytest.raises(KeyboardInterrupt):
        workflow()
    sink.close()
    assert (went_on, interruptions) == (True, 1)
    assert engine(sink).closed
    assert undo == []
