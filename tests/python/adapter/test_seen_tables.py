"""Look-ups of foreign keys to tables that had their turn in this run: no request, and the answer of the server."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink import accelerate
from openmetadata_bulksink.accelerators import seen_tables
from tests.python.adapter.recording_server import RecordingServer
from tests.python.adapter.test_accelerators import lookup
from tests.python.adapter.test_sink import engine, table

pytestmark = pytest.mark.upstream

Make = Callable[..., Any]


@pytest.fixture
def source_class() -> type:
    from metadata.ingestion.source.database.common_db_source import CommonDbSourceService

    return CommonDbSourceService


@pytest.fixture
def runner_class() -> type:
    from metadata.ingestion.api.topology_runner import TopologyRunnerMixin

    return TopologyRunnerMixin


@pytest.fixture
def source(client: Any, runner_class: Any, server_profile: str) -> Any:
    """As much of a database source as looks up keys, and hands tables to the sink."""
    from metadata.generated.schema.entity.data.table import Table

    kept = SimpleNamespace(foreign_tables=[])
    context = SimpleNamespace(
        database_service="s",
        database="d",
        fqn_from_stage=lambda stage, entity_name: f"s.d.p.{entity_name}",  # noqa: ARG005
        update_context_name=lambda stage, right: None,  # noqa: ARG005
    )
    made = runner_class.__new__(runner_class)
    made.metadata = client
    made.context = SimpleNamespace(get=lambda: context, get_global=lambda: kept)
    made.source_config = SimpleNamespace(overrideMetadata=False)
    if server_profile.startswith("1."):
        made.cache = {Table: {}}
        made.deleted = {Table: {}}
    made.kept = kept
    return made


@pytest.fixture
def stage() -> Any:
    from metadata.generated.schema.entity.data.table import Table

    return SimpleNamespace(
        type_=Table, context="table", nullable=False, overwrite=True, use_cache=True, must_return=False
    )


@pytest.fixture
def turn(source: Any, stage: Any) -> Callable[[Any, Any], list[Any]]:
    """Upstream's turn of one table: what it yields goes to the sink, as its loop does."""

    def take(sink: Any, request: Any) -> list[Any]:
        from metadata.ingestion.api.models import Either

        found = []
        for either in type(source).sink_request(source, stage, Either(right=request)):
            found.append(either.right)
            sink.run(either.right)
        return found

    return take


def asked(server: RecordingServer, name: str) -> int:
    return len(server.sent("GET", f"/tables/name/s.d.p.{name}"))


def test_a_written_table_is_not_asked_for(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, turn: Any
) -> None:
    sink = make_sink()
    turn(sink, table("first"))
    turn(sink, table("u"))
    engine(sink).drain()
    before = asked(server, "u")
    found = lookup(source_class, source, "u")
    assert [column.root for column in found.referredColumns] == ["s.d.p.u.c"]
    assert asked(server, "u") == before
    assert lookup(source_class, source, "later") is None
    assert asked(server, "later")
    sink.close()


def test_a_refused_table_is_asked_for(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, turn: Any
) -> None:
    sink = make_sink()
    turn(sink, table("first"))
    server.refuse = {"s.d.p.u": "broken tag"}
    turn(sink, table("u"))
    engine(sink).drain()
    before = asked(server, "u")
    assert lookup(source_class, source, "u") is None
    assert asked(server, "u") > before
    sink.close()


@pytest.fixture
def stored_before(client: Any, server: RecordingServer, source: Any, server_profile: str) -> Callable[..., bool]:
    """Makes the server have a table from an earlier run; returns whether this upstream compares it by itself, and
    brings it back by itself.
    """
    from metadata.generated.schema.entity.data.table import Table
    from metadata.utils.source_hash import generate_source_hash

    def store(request: Any, *, changed: bool = False, deleted: bool = False) -> bool:
        client.client.put("/tables", data=request.model_dump_json(exclude_none=True))
        if not server_profile.startswith("1."):
            return False
        name = f"s.d.p.{request.name.root}"
        source.cache[Table][name] = "another" if changed else generate_source_hash(create_request=request)
        if deleted:
            source.deleted[Table][name] = source.cache[Table][name]
            server.answers["PUT", "/tables/restore"] = (200, server.entities["tables"][name])
        return True

    return store


def test_an_unchanged_table_is_not_asked_for(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, turn: Any, stored_before: Any
) -> None:
    """Up to 1.13 it never comes to the sink."""
    sink = make_sink()
    turn(sink, table("first"))
    skipped = stored_before(table("u"))
    assert bool(turn(sink, table("u"))) == (not skipped)
    engine(sink).drain()
    before = asked(server, "u")
    assert lookup(source_class, source, "u") is not None
    assert asked(server, "u") == before
    sink.close()


@pytest.mark.parametrize("how", ["changed", "deleted"])
def test_a_table_that_is_merged_or_comes_back_is_asked_for(
    make_sink: Make,
    server: RecordingServer,
    source_class: Any,
    source: Any,
    turn: Any,
    stored_before: Any,
    how: str,
) -> None:
    """From 2.0 on the server does both, with the row that it is sent."""
    sink = make_sink()
    turn(sink, table("first"))
    upstreams = stored_before(table("u"), **{how: True})
    turn(sink, table("u"))
    engine(sink).drain()
    before = asked(server, "u")
    assert lookup(source_class, source, "u") is not None
    assert asked(server, "u") - before == (1 if upstreams else 0)
    sink.close()


def test_what_a_turn_that_fails_says_is_not_believed(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, stage: Any, turn: Any
) -> None:
    from metadata.ingestion.api.models import Either

    sink = make_sink()
    turn(sink, table("u"))
    engine(sink).drain()
    again = type(source).sink_request(source, stage, Either(right=table("u")))
    next(iter(again))
    again.close()
    before = asked(server, "u")
    assert lookup(source_class, source, "u") is not None
    assert asked(server, "u") == before + 1
    sink.close()


def test_an_odd_source_runs_as_without_us(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, stage: Any, turn: Any
) -> None:
    sink = make_sink()
    turn(sink, table("first"))
    source.deleted = source.cache = {stage.type_: Unreadable()}
    assert [found.name.root for found in turn(sink, table("u"))] == ["u"]
    engine(sink).drain()
    before = asked(server, "u")
    assert lookup(source_class, source, "u") is not None
    assert asked(server, "u") == before + 1
    sink.close()


class Unreadable(dict[str, str]):
    """What a source of somebody's own may keep in the place of a dictionary."""

    def __bool__(self) -> bool:
        raise RuntimeError("not now")


def test_switched_off(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, turn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OM_BULKSINK_ACCELERATE", "foreign_keys")
    sink = make_sink()
    turn(sink, table("u"))
    engine(sink).drain()
    before = asked(server, "u")
    assert lookup(source_class, source, "u") is not None
    assert asked(server, "u") == before + 1
    sink.close()


def test_the_answer_is_the_servers(
    make_sink: Make, server: RecordingServer, source_class: Any, source: Any, turn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For random tables and keys: the constraint that comes of what is remembered, and that of upstream's look-up."""
    rng = random.Random(11)
    sink = make_sink()
    answered = 0
    for number in range(60):
        names = rng.sample(["a", "A", "b", "c::d", "é", "x y", "B"], rng.randint(1, 6))
        columns = [
            {"name": name, "dataType": "INT", **({"constraint": c} if c else {})}
            for name in names
            for c in [rng.choice([None, "NULL", "NOT_NULL", "UNIQUE", "PRIMARY_KEY"])]
        ]
        cls = type(table("t"))
        turn(sink, cls(name=f"t{number}", databaseSchema="s.d.p", columns=columns))
        engine(sink).drain()
        for wanted in (["a"], ["A"], ["b", "B"], ["nothing"], [names[0]]):
            key = {
                "constrained_columns": ["q"],
                "referred_schema": "p",
                "referred_table": f"t{number}",
                "referred_columns": wanted,
            }
            before = asked(server, f"t{number}")
            ours = source_class._prepare_foreign_constraints(source, False, key, "t", "p", "d", [], True)
            answered += asked(server, f"t{number}") == before
            with monkeypatch.context() as patch:
                patch.setattr(seen_tables, "table", lambda *_: None)
                theirs = source_class._prepare_foreign_constraints(source, False, key, "t", "p", "d", [], True)
            assert ours == theirs
    assert answered > 100
    sink.close()


# --- what is kept ---


def test_no_more_than_its_room() -> None:
    seen = seen_tables.Seen(most=2_000)
    for number in range(100):
        seen.remember(f"s.d.p.t{number}", [("id", "PRIMARY_KEY"), ("name", "")])
    kept = [number for number in range(100) if seen.columns(f"s.d.p.t{number}") is not None]
    assert kept == list(range(len(kept)))
    assert 3 < len(kept) < 20
    seen.forget("s.d.p.t0")
    seen.remember("s.d.p.t99", [("id", "")])
    assert seen.columns("s.d.p.t99") == [seen_tables.column("id", None)]


def test_a_name_that_cannot_be_kept_is_not() -> None:
    seen = seen_tables.Seen()
    for odd in ("a\x00b", "a\x01b"):
        seen.remember("t", [("id", ""), (odd, "")])
        assert seen.columns("t") is None
    seen.remember("t", [])
    assert seen.columns("t") == []


@pytest.fixture
def _in_place() -> Iterator[None]:
    undo, _, _ = accelerate.install({"seen_tables"})
    yield
    for each in undo:
        each()


@pytest.mark.usefixtures("_in_place")
def test_without_our_sink_nothing_is_watched(client: Any, source: Any, stage: Any) -> None:
    from metadata.ingestion.api.models import Either

    request = table("u")
    (either,) = type(source).sink_request(source, stage, Either(right=request))
    assert either.right is request
    assert not seen_tables._of_sinks
    assert "_request" not in vars(client.client)
    assert json.loads(request.model_dump_json())["name"] == "u"
