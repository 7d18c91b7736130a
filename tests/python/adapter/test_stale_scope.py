"""Deletion of what is gone is told the names of its scope: fewer than upstream tells, and the same is deleted."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openmetadata_bulksink import accelerate, records
from openmetadata_bulksink.accelerators import StepsAside, stale_scope
from tests.python.adapter.recording_server import RecordingServer

pytestmark = pytest.mark.upstream

#: Parts of names that are easily taken for one another.
PARTS = ["a", "A", "b", "a.b", "A.B", "ab", "é", "E", "e\u0301", "İ", "i", "ß", "ss", "x y", "a>b", ""]
parts = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4)


@pytest.fixture
def _installed(server_profile: str) -> Iterator[None]:
    """In place, for upstreams that have the route (from 2.0 on)."""
    importlib.import_module(stale_scope.MODULE)
    undo, active, aside = accelerate.install({"stale_scope"})
    assert aside == []
    assert active == ([] if server_profile.startswith("1.") else ["stale_scope"])
    yield
    for each in undo:
        each()


def fqn(of: list[str], *, quoted: bool = False) -> str:
    """An FQN, with quotes where they must be, or around every part."""
    return ".".join(f'"{part}"' if quoted else records.quote_name(part) for part in of)


def deletions(scope: list[str], sent: list[str], stored: list[list[str]], *, case: bool) -> set[str]:
    """What the server deletes: what is in the scope and was not sent; quotes do not count, and where it compares
    without regard to case, neither does that.
    """

    def same(part: str) -> str:
        return part if case else part.lower()

    if not sent:
        return set()
    seen = {tuple(same(part.strip('"')) for part in records.split_fqn(name)) for name in sent}
    in_scope = [one for one in stored if [same(part) for part in one[: len(scope)]] == [same(part) for part in scope]]
    return {fqn(one) for one in in_scope if tuple(map(same, one)) not in seen}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    scope=parts,
    stored=st.lists(parts, max_size=8),
    seen=st.lists(st.tuples(parts, st.booleans()), max_size=8),
    quoted=st.booleans(),
    case=st.booleans(),
)
def test_the_same_is_deleted(
    scope: list[str], stored: list[list[str]], seen: list[tuple[list[str], bool]], quoted: bool, case: bool
) -> None:
    names = [fqn(one, quoted=with_quotes) for one, with_quotes in seen]
    kept = stale_scope.Names().of(fqn(scope, quoted=quoted), names)
    everything = [*stored, *(one for one, _ in seen), *([*scope, *one] for one in stored)]
    assert deletions(scope, kept, everything, case=case) == deletions(scope, names, everything, case=case)
    assert set(kept) <= set(names)
    assert bool(kept) == bool(names)


def test_only_the_scope_is_kept() -> None:
    names = stale_scope.Names()
    run = {f"s.d.p{schema}.t{table}" for schema in range(20) for table in range(5)} | {'s.d."p.1".t', "s.d.P1.T"}
    assert set(names.of("s.d.p1", run)) == {*(f"s.d.p1.t{table}" for table in range(5)), "s.d.P1.T"}
    assert set(names.of('"s"."d"."p.1"', run)) == {'s.d."p.1".t'}
    assert set(names.of("s.d", run)) == run
    assert set(names.of("s", run)) == run
    assert len(names.of("s.d.p", run)) == 1


def test_a_name_that_comes_between_two_scopes_is_not_missed() -> None:
    """Also where another one went at the same time."""
    names = stale_scope.Names()
    run = {"s.d.p.t", "s.d.q.t"}
    assert names.of("s.d.p", run) == ["s.d.p.t"]
    run.add("s.d.q.u")
    run.remove("s.d.p.t")
    assert set(names.of("s.d.q", run)) == {"s.d.q.t", "s.d.q.u"}


def test_in_doubt_everything_is_sent() -> None:
    names = stale_scope.Names()
    assert names.of(None, ["s.d.p.t", "s.d.q.t"]) == ["s.d.p.t", "s.d.q.t"]
    odd: Any = ["s.d.p.t", None, "s.d.q.t"]
    assert names.of("s.d.p", odd) == odd


def mark_deleted(client: Any, kind: type, names: set[str], scope: dict[str, str]) -> list[Any]:
    """As a source does behind the last schema of a database; the deletions that the sink is given."""
    from metadata.ingestion.api.delete import delete_entity_from_source

    found = list(delete_entity_from_source(client, kind, names, params=scope))
    assert all(either.left is None for either in found)
    return [either.right for either in found if type(either.right).__name__ == "DeleteEntity"]


def stale_requests(server: RecordingServer, profile: str) -> list[dict[str, Any]]:
    """The bodies of `deleteStale`. Up to 1.13 there are none: upstream lists what the server has."""
    bodies = [json.loads(one.body) for one in server.requests if one.method == "DELETE"]
    assert bool(bodies) == (not profile.startswith("1."))
    return bodies


@pytest.mark.usefixtures("_installed")
def test_250_schemas(server: RecordingServer, client: Any, server_profile: str) -> None:
    """1,000 tables in 250 schemas, 5.8 MB as upstream sends them; their procedures are asked for, too, and there are
    two.
    """
    from metadata.generated.schema.entity.data.storedProcedure import StoredProcedure
    from metadata.generated.schema.entity.data.table import Table

    schemas = [f"pg.shop.area_{number:03}" for number in range(250)]
    tables = {f"{schema}.t_{number:04}" for schema in schemas for number in range(4)}
    procedures = {f"{schemas[7]}.one", f"{schemas[7]}.two"}
    for schema in schemas:
        mark_deleted(client, Table, tables, {"databaseSchema": schema})
        mark_deleted(client, StoredProcedure, procedures, {"databaseSchema": schema})
    sent = stale_requests(server, server_profile)
    for number, body in enumerate(sent):
        seen, scope = set(body["seenFqns"]), schemas[number // 2]
        assert body["scopeFqn"] == scope
        if number % 2 == 0:
            assert seen == {name for name in tables if name.startswith(scope + ".")}
        else:
            assert seen, "an empty set deletes nothing"
            assert seen <= procedures
    assert sum(len(one.body) for one in server.requests if one.method == "DELETE") <= 100_000


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("module", "kind", "scope", "kept"),
    [
        ("database", "Database", {"service": "prod.red"}, '"prod.red".dev'),
        ("databaseSchema", "DatabaseSchema", {"database": '"prod.red".dev'}, '"prod.red".dev.public'),
        ("table", "Table", {"databaseSchema": '"prod.red".dev.public'}, '"prod.red".dev.public.t'),
        ("chart", "Chart", {"service": "prod.red"}, '"prod.red".chart'),
        ("dashboardDataModel", "DashboardDataModel", {"service": "prod.red"}, '"prod.red".model.m'),
    ],
)
def test_scopes_of_every_kind(
    server: RecordingServer,
    client: Any,
    server_profile: str,
    module: str,
    kind: str,
    scope: dict[str, str],
    kept: str,
) -> None:
    """A service comes as a plain name, with a dot here."""
    cls = getattr(importlib.import_module(f"metadata.generated.schema.entity.data.{module}"), kind)
    mark_deleted(client, cls, {kept, "prod.dev.public.t.w", "other.dev"}, scope)
    for body in stale_requests(server, server_profile):
        assert body["seenFqns"] == [kept]


@pytest.mark.usefixtures("_installed")
def test_without_the_route_all_names_count(server: RecordingServer, client: Any) -> None:
    """Upstream's own way, for older servers, lists the scope and compares."""
    from metadata.generated.schema.entity.data.table import Table

    server.answers["DELETE", "/tables/deleteStale"] = (404, {"code": 404, "message": "not found"})
    for name in ("seen", "gone"):
        body = {"name": name, "databaseSchema": "s.d.p", "columns": []}
        client.client.put("/tables", data=json.dumps(body))
    live = {"s.d.p.seen", "s.d.q.other"}
    deleted = mark_deleted(client, Table, live, {"databaseSchema": "s.d.p"})
    assert [str(one.entity.fullyQualifiedName.root) for one in deleted] == ["s.d.p.gone"]


def test_it_leaves_nothing_behind(request: pytest.FixtureRequest, server_profile: str) -> None:
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    before = vars(OpenMetadata).get("delete_stale_entities")
    undo, _, _ = accelerate.install({"stale_scope"})
    request.addfinalizer(lambda: [each() for each in undo])
    assert (vars(OpenMetadata).get("delete_stale_entities") is before) == server_profile.startswith("1.")
    for each in undo:
        each()
    assert vars(OpenMetadata).get("delete_stale_entities") is before


def test_another_deletion_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete_stale_entities(self: Any, entity: Any, scope_params: Any, live_fqns: Any) -> Any:
        return self, entity, scope_params, live_fqns

    client = type("OpenMetadata", (), {"delete_stale_entities": delete_stale_entities})
    monkeypatch.setitem(sys.modules, stale_scope.MODULE, SimpleNamespace(OpenMetadata=client))  # type: ignore[arg-type]
    with pytest.raises(StepsAside, match="changed"):
        stale_scope.install()
    assert vars(client)["delete_stale_entities"] is delete_stale_entities
