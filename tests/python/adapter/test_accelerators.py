"""Accelerators: what they save, that they agree with upstream's own functions, and that they step aside."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink import accelerate
from openmetadata_bulksink.accelerators import StepsAside, foreign_keys, version
from tests.python.adapter.recording_server import RecordingServer
from tests.python.adapter.test_sink import engine, table

pytestmark = pytest.mark.upstream

Make = Callable[..., Any]


@pytest.fixture
def headers() -> Any:
    from metadata.ingestion.connections import headers as found

    return found


@pytest.fixture
def constraints() -> Any:
    from metadata.utils import constraints as found

    return found


@pytest.fixture
def source_class() -> Iterator[type]:
    from metadata.ingestion.source.database.common_db_source import CommonDbSourceService

    before = CommonDbSourceService.__dict__["_prepare_foreign_constraints"]
    yield CommonDbSourceService
    assert CommonDbSourceService.__dict__["_prepare_foreign_constraints"] is before


def header_of(headers: Any) -> Any:
    return headers.inject_query_header(None, None, "select 1", None, None, False)


# --- the version ---


def test_the_version_is_asked_for_once(headers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    if hasattr(headers, "pkg_resources"):
        original = headers.pkg_resources.require
        monkeypatch.setattr(headers.pkg_resources, "require", lambda name: asked.append(name) or original(name))
    else:
        ask = headers._pkg_version
        monkeypatch.setattr(headers, "_pkg_version", lambda name: asked.append(name) or ask(name))
    expected = header_of(headers)
    assert len(asked) == 1
    undo = version.install()
    try:
        assert [header_of(headers) for _ in range(5)] == [expected] * 5
        assert len(asked) == 2
    finally:
        undo()
    assert header_of(headers) == expected
    assert len(asked) == 3


def test_the_version_of_vertica_too(headers: Any) -> None:
    vertica = version._for_vertica(headers)
    expected = vertica(None, None, None, "SELECT a FROM b", {"p": 1}, None, False)
    undo = version.install()
    assert vertica(None, None, None, "SELECT a FROM b", {"p": 1}, None, False) == expected
    undo()


def test_another_upstream_is_left_alone(headers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def inject_query_header(conn: Any, cursor: Any, statement: str, *_: Any) -> Any:  # noqa: ARG001
        return statement

    monkeypatch.setattr(headers, "inject_query_header", inject_query_header)
    with pytest.raises(StepsAside, match="changed"):
        version.install()


def test_no_sql_source_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "metadata.ingestion.connections.headers", raising=False)
    undo, active, aside = accelerate.install({"version"})
    assert (active, aside) == ([], [])
    for each in undo:
        each()


def test_two_sinks_share_an_accelerator(headers: Any) -> None:
    name = "pkg_resources" if hasattr(headers, "pkg_resources") else "_pkg_version"
    before = getattr(headers, name)
    first, _, _ = accelerate.install({"version"})
    second, _, _ = accelerate.install({"version"})
    for undo in reversed(first):
        undo()
    assert getattr(headers, name) is not before
    for undo in reversed(second):
        undo()
    assert getattr(headers, name) is before


# --- foreign keys ---


def source(client: Any, service: str = "s") -> Any:
    """As much of a database source as upstream's lookup uses."""
    kept = SimpleNamespace(foreign_tables=[])
    context = SimpleNamespace(
        get=lambda: SimpleNamespace(database_service=service, database="d"),
        get_global=lambda: kept,
    )
    return SimpleNamespace(metadata=client, context=context, kept=kept)


def lookup(cls: Any, of: Any, referred: str, add_to_global: bool = True, columns: Any = ()) -> Any:
    column = {
        "constrained_columns": ["c"],
        "referred_schema": "p",
        "referred_table": referred,
        "referred_columns": ["c"],
    }
    return cls._prepare_foreign_constraints(of, False, column, "t", "p", "d", list(columns), add_to_global)


def test_a_pending_table_is_answered_from_its_body(
    make_sink: Make, server: RecordingServer, client: Any, source_class: Any
) -> None:
    sink = make_sink()
    sink.run(table("u"))
    found = lookup(source_class, source(client), "u")
    assert [column.root for column in found.referredColumns] == ["s.d.p.u.c"]
    assert server.rows("tables") == []
    assert not server.sent("GET", "/tables/name/s.d.p.u")
    engine(sink).drain()
    written = lookup(source_class, source(client), "u")
    assert written == found
    assert server.sent("GET", "/tables/name/s.d.p.u")
    sink.close()


def test_a_table_that_is_not_there_is_deferred_without_waiting(
    make_sink: Make, server: RecordingServer, client: Any, source_class: Any
) -> None:
    sink = make_sink()
    sink.run(table("other"))
    of = source(client)
    assert lookup(source_class, of, "later") is None
    assert [one.table_name for one in of.kept.foreign_tables] == ["t"]
    assert server.rows("tables") == []
    sink.close()


def test_the_last_pass_waits(make_sink: Make, server: RecordingServer, client: Any, source_class: Any) -> None:
    sink = make_sink()
    sink.run(table("u"))
    assert lookup(source_class, source(client), "u", add_to_global=False) is not None
    assert len(server.rows("tables")) == 1
    sink.close()


def test_every_key_of_a_long_chain_goes_with_its_table(
    make_sink: Make, server: RecordingServer, client: Any, source_class: Any
) -> None:
    sink = make_sink()
    sink.run(table("t0"))
    of = source(client)
    for number in range(1, 10):
        found = lookup(source_class, of, f"t{number - 1}")
        assert found is not None, f"the key to t{number - 1} was left to the end of the run"
        sink.run(table(f"t{number}", tableConstraints=[found.model_dump(mode="json", exclude_none=True)]))
    assert of.kept.foreign_tables == []
    sink.close()
    assert sink.status.failures == []
    last = {row["name"]: row for row in server.rows("tables")}
    assert [len(last[f"t{number}"].get("tableConstraints") or []) for number in range(10)] == [0] + [1] * 9


def test_a_chain_is_not_cut_where_the_server_knows_the_tables(
    make_sink: Make, server: RecordingServer, client: Any, source_class: Any
) -> None:
    """In a second run the first look-up that would cut one finds its table; no further one is made."""
    for number in range(12):
        client.client.put("/tables", data=table(f"t{number}").model_dump_json(exclude_none=True))
    sink = make_sink()
    sink.run(table("t0"))
    of = source(client)
    for number in range(1, 12):
        found = lookup(source_class, of, f"t{number - 1}")
        sink.run(table(f"t{number}", tableConstraints=[found.model_dump(mode="json", exclude_none=True)]))
    asked = [one.bare for one in server.requests if one.method == "GET" and "/tables/name/" in one.bare]
    assert asked == ["/tables/name/s.d.p.t3"]
    assert of.kept.foreign_tables == []
    sink.close()
    assert sink.status.failures == []


def test_switched_off_a_lookup_waits_as_every_read(
    make_sink: Make, server: RecordingServer, client: Any, source_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OM_BULKSINK_ACCELERATE", "0")
    upstreams = vars(source_class)["_prepare_foreign_constraints"]
    sink = make_sink()
    sink.run(table("u"))
    assert vars(source_class)["_prepare_foreign_constraints"] is upstreams
    of = source(client)
    assert lookup(source_class, of, "u") is not None
    assert of.kept.foreign_tables == []
    assert server.sent("GET", "/tables/name/s.d.p.u")
    assert [row["name"] for row in server.rows("tables")] == ["u"]
    sink.close()


def test_a_changed_lookup_is_not_answered(
    make_sink: Make, client: Any, source_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_keys, "_KNOWN", frozenset())
    sink = make_sink()
    sink.run(table("u"))
    assert lookup(source_class, source(client), "u") is None
    sink.close()


def test_it_agrees_with_upstream_on_a_table_of_the_server(make_sink: Make, constraints: Any) -> None:
    """The columns from a pending body and those of upstream's own `Table` give the same answers, for random tables."""
    from metadata.generated.schema.entity.data.table import Table

    rng = random.Random(7)
    sink = make_sink()
    for number in range(60):
        names = rng.sample(["a", "A", "b", "c::d", "é", "x y", "B"], rng.randint(1, 6))
        columns = [
            {"name": name, "dataType": "INT", **({"constraint": c} if c else {})}
            for name in names
            for c in [rng.choice([None, "NULL", "NOT_NULL", "UNIQUE", "PRIMARY_KEY"])]
        ]
        request = table(f"t{number}")
        request = type(request)(name=f"t{number}", databaseSchema="s.d.p", columns=columns)
        sink.run(request)
        ours = foreign_keys.pending_table(sink._writer.fence, f"s.d.p.t{number}")
        theirs = Table(
            id="0d8a1f0e-6c2b-4d55-9f0b-0a1b2c3d4e5f",
            **json.loads(request.model_dump_json(exclude_none=True, exclude={"databaseSchema"})),
        )
        if "c::d" in names:
            assert ours is None  # upstream's models read such a name back decoded
            continue
        assert ours is not None
        for wanted in (["a"], ["A"], ["b", "B"], ["nothing"], [names[0]], []):
            column = {"constrained_columns": ["q"], "referred_columns": wanted}
            assert constraints.get_relationship_type(column, ours.columns, []) == constraints.get_relationship_type(
                column, theirs.columns, []
            )
            if hasattr(constraints, "resolve_column_names"):
                assert constraints.resolve_column_names(wanted, ours.columns) == constraints.resolve_column_names(
                    wanted, theirs.columns
                )
    sink.close()


def test_the_last_pass_keeps_the_other_constraints(
    make_sink: Make, server: RecordingServer, client: Any, source_class: Any
) -> None:
    """Up to 1.13 upstream reads the table without them, and its patch replaces them."""
    from metadata.generated.schema.entity.data.table import Table

    key = {"constraintType": "UNIQUE", "columns": ["c"]}
    sink = make_sink()
    sink.run(table("u"))
    sink.run(table("t", tableConstraints=[key]))
    engine(sink).drain()
    stored = server.entities["tables"]["s.d.p.t"]

    def without_field(path: str) -> Any:
        """As the real server: constraints come only when they are asked for."""
        shown = dict(stored)
        if "tableConstraints" not in path:
            shown.pop("tableConstraints", None)
        return 200, shown

    server.shown["s.d.p.t"] = without_field
    assert client.get_by_name(Table, "s.d.p.t").tableConstraints is None
    column = {
        "constrained_columns": ["c"],
        "referred_schema": "p",
        "referred_table": "u",
        "referred_columns": ["c"],
    }
    deferred = SimpleNamespace(table_name="t", schema_name="p", db_name="d", column=column)
    of = source(client)
    of.kept.foreign_tables.append(deferred)
    of.service_connection = SimpleNamespace()
    of._prepare_foreign_constraints = source_class._prepare_foreign_constraints.__get__(of)
    for either in source_class.yield_table_constraints(of):
        assert either.left is None
        sink.run(either.right)
    sink.close()
    (patch,) = [json.loads(one.body) for one in server.requests if one.method == "PATCH"]
    touched = [change for change in patch if change["path"].startswith("/tableConstraints")]
    assert [(change["op"], change["path"]) for change in touched] == [("add", "/tableConstraints/1")]
    assert touched[0]["value"]["referredColumns"] == ["s.d.p.u.c"]
