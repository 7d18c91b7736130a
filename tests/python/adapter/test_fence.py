"""The fence: what each request of the shared client, and each record that upstream writes, waits for (rules A3, A4)."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink.fence import Fence, Plan, Scope, plan, record_scopes

UUID = "0d8a1f0e-6c2b-4d55-9f0b-0a1b2c3d4e5f"


def scopes(method: str, path: str, data: Any = None, json: Any = None) -> tuple[Scope, ...]:
    found = plan(method, path, data, json)
    assert found is not None
    return found.scopes


@pytest.mark.parametrize(
    ("path", "fqn"),
    [
        ("/tables/name/s.d.p.t", "s.d.p.t"),
        ("/tables/name/s.d.p.t?fields=tableConstraints&include=all", "s.d.p.t"),
        ("/tables/name/svc.%22a.b%22.c%20d%2F", 'svc."a.b".c d/'),
        ("/dashboard/datamodels/name/l.model.m", "l.model.m"),
        ("/drives/directories/name/g.d", "g.d"),
    ],
)
def test_a_read_by_name_waits_for_that_fqn(path: str, fqn: str) -> None:
    found = plan("GET", path)
    assert found is not None
    assert found.scopes == (Scope(fqn=fqn),)
    assert found.deep


def test_a_path_with_an_fqn_waits_for_it() -> None:
    assert scopes("PUT", "/pipelines/airflow.p/status/bulk", "[]")[0] == Scope(fqn="airflow.p")
    assert Scope(fqn="a.b") in scopes("GET", "/dataQuality/testCases/testCaseResults/a.b")


def test_deleting_by_name_waits_for_the_subtree() -> None:
    assert scopes("DELETE", "/databaseSchemas/name/s.d.p?recursive=true") == (Scope(fqn="s.d.p", below=True),)


def test_both_ends_of_lineage_by_name() -> None:
    path = "/lineage/table/name/s.d.p.a/table/name/s.d.p.b"
    assert scopes("PUT", path, "{}") == (Scope(fqn="s.d.p.a"), Scope(fqn="s.d.p.b"))


@pytest.mark.parametrize(
    ("query", "data", "expected"),
    [
        ("?limit=10", None, Scope(collection="tables")),
        ("?limit=10", {"databaseSchema": "s.d.p"}, Scope(collection="tables", under="s.d.p")),
        ("?limit=10&database=s.d", None, Scope(collection="tables", under="s.d")),
        ("", {"service": "prod.redshift"}, Scope(collection="tables", under='"prod.redshift"')),
        ("", {"service": '"prod.redshift"'}, Scope(collection="tables", under='"prod.redshift"')),
        ("?entityId=" + UUID, None, Scope(collection="tables")),
    ],
)
def test_a_list_waits_for_its_scope(query: str, data: Any, expected: Scope) -> None:
    assert scopes("GET", f"/tables{query}", data) == (expected,)


def test_a_create_request_waits_for_all_that_it_names() -> None:
    body = json.dumps({"name": "m", "relatedMetrics": ["n"], "assets": [{"id": UUID, "fullyQualifiedName": "s.d.p.t"}]})
    assert scopes("PUT", "/metrics", body) == (Scope(fqn="m"), Scope(fqn="n"), Scope(fqn="s.d.p.t"))
    assert scopes("PUT", "/tables", None, {"name": "t", "databaseSchema": "s.d.p"}) == (
        Scope(fqn="s.d.p.t"),
        Scope(fqn="s.d.p"),
    )


def test_a_request_waits_for_the_tags_and_domains_of_its_body() -> None:
    labels = [{"tagFQN": "Group.one", "source": "Classification", "labelType": "Manual", "state": "Confirmed"}]
    body = {"name": "p", "service": "air", "tags": labels, "domains": ["sales"]}
    assert set(scopes("PUT", "/pipelines", json.dumps(body))) == {
        Scope(fqn="air.p"),
        Scope(fqn="air"),
        Scope(fqn="Group.one"),
        Scope(fqn="sales"),
    }
    operation = [{"op": "add", "path": "/tags/0", "value": labels[0]}]
    found = plan("PATCH", f"/tables/{UUID}", json.dumps(operation))
    assert found is not None
    assert found.scopes == (Scope(fqn="Group.one"),)
    assert found.marked


def test_upstreams_own_bulk_request_waits_for_each_row() -> None:
    rows = [{"name": "a", "databaseSchema": "s.d.p"}, {"name": "b", "databaseSchema": "s.d.p"}]
    assert scopes("PUT", "/tables/bulk?async=false", None, rows) == (
        Scope(fqn="s.d.p.a"),
        Scope(fqn="s.d.p"),
        Scope(fqn="s.d.p.b"),
    )


def test_stale_deletion_waits_for_its_scope_and_what_it_has_not_seen() -> None:
    body = {"scopeFqn": "s.d.p", "scopeEntityType": "databaseSchema", "seenFqns": ["s.d.p.a", "s.d.p.b"]}
    found = plan("DELETE", "/tables/deleteStale", None, body)
    assert found is not None
    assert found.scopes == (
        Scope(fqn="s.d.p"),
        Scope(fqn="s.d"),
        Scope(fqn="s"),
        Scope(collection="tables", under="s.d.p", except_fqns=("s.d.p.a", "s.d.p.b")),
    )
    assert not found.deep
    assert not found.marked


@pytest.mark.parametrize(
    "path",
    [
        "/services/databaseServices/name/s?fields=*",
        "/services/ingestionPipelines/s.p/pipelineStatus",
        "/system/version",
        "/metadata/types/name/table",
        "/search/query?q=x",
    ],
)
def test_what_depends_on_nothing(path: str) -> None:
    assert plan("GET", path) is None
    assert plan("PUT", path, "{}") is None


def test_deleting_a_service_waits_for_everything_below() -> None:
    assert scopes("DELETE", "/services/databaseServices/name/s?recursive=true") == (Scope(fqn="s", below=True),)
    assert scopes("DELETE", f"/services/databaseServices/{UUID}") == (Scope(),)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", f"/tables/{UUID}"),
        ("DELETE", f"/tables/async/{UUID}"),
        ("PUT", "/tables/restore"),
        ("PUT", "/lineage"),
    ],
)
def test_by_id_waits_for_what_was_marked(method: str, path: str) -> None:
    found = plan(method, path, json={"id": UUID})
    assert found is not None
    assert found.scopes == ()
    assert found.marked


# --- records ---


def test_records_that_upstream_writes() -> None:
    table = SimpleNamespace(fullyQualifiedName=SimpleNamespace(root="s.d.p.t"))
    assert record_scopes("PatchRequest")(SimpleNamespace(original_entity=table)) == (Scope(fqn="s.d.p.t"),)
    topic = SimpleNamespace(fullyQualifiedName=SimpleNamespace(root="k.t"))
    assert record_scopes("OMetaTopicSampleData")(SimpleNamespace(topic=topic)) == (Scope(fqn="k.t"),)


class Table:
    fullyQualifiedName = "s.d.p.t"  # noqa: N815


class Tag:
    fullyQualifiedName = "Group.one"  # noqa: N815


def test_a_deletion_waits_for_whoever_may_name_what_goes() -> None:
    """A table is gone from the source, so that nothing in it names it; a tag may be in any body."""
    assert record_scopes("DeleteEntity")(SimpleNamespace(entity=Table())) == (Scope(fqn="s.d.p.t", below=True),)
    assert record_scopes("DeleteEntity")(SimpleNamespace(entity=Tag())) == (Scope(),)
    assert record_scopes("OMetaTagAndClassification")(object()) == ()
    assert record_scopes("CreateTeamRequest")(object()) == ()
    assert record_scopes("SomethingNew")(object()) == (Scope(),)
    by_fqn = SimpleNamespace(from_entity_fqn="a.b", to_entity_fqn="c.d")
    assert record_scopes("OMetaFQNLineageRequest")(by_fqn) == (Scope(fqn="a.b"), Scope(fqn="c.d"))
    edge = SimpleNamespace(
        edge=SimpleNamespace(
            fromEntity=SimpleNamespace(id="1", type="table", fullyQualifiedName=None),
            toEntity=SimpleNamespace(id="2", type="dashboard", fullyQualifiedName="l.d"),
        )
    )
    assert record_scopes("AddLineageRequest")(edge) == (Scope(collection="tables"), Scope(fqn="l.d"))
    both = SimpleNamespace(lineage_request=edge, entity_fqn="s.d.p.v")
    assert record_scopes("OMetaLineageRequest")(both)[-1] == Scope(fqn="s.d.p.v")
    case = SimpleNamespace(testCase=SimpleNamespace(entityLink="<#E::table::s.d.p.t>"))
    assert record_scopes("TestCaseResultResponse")(case) == (Scope(fqn="s.d.p.t"),)


def test_an_entity_without_an_fqn_waits_for_everything() -> None:
    assert record_scopes("ProfilerResponse")(SimpleNamespace(table=None)) == (Scope(),)


# --- the wrapper ---


class Client:
    """As much of upstream's client as the fence touches."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def _request(self, method: str, path: str, data: Any = None, json: Any = None, **more: Any) -> str:
        self.sent.append((method, path, data, json, more))
        return "answer"


class Engine:
    """Notes what is waited for."""

    def __init__(self) -> None:
        self.waits: list[dict[str, Any]] = []
        self.last = 0

    def mark(self) -> int:
        return self.last

    def wait(self, **scope: Any) -> float:
        self.waits.append({name: value for name, value in scope.items() if value is not None})
        if scope.get("fqn", "").count('"') % 2:
            raise ValueError("unbalanced")
        return 0.5


def fence(pending: bool = True) -> tuple[Client, Engine, Fence]:
    client, engine = Client(), Engine()
    made = Fence(client, engine, lambda: pending)  # type: ignore[arg-type]
    made.install()
    return client, engine, made


def test_nothing_pending_costs_no_wait() -> None:
    client, engine, _ = fence(pending=False)
    assert client._request("GET", "/tables/name/a.b", headers={"x": "y"}) == "answer"
    assert engine.waits == []
    assert client.sent == [("GET", "/tables/name/a.b", None, None, {"headers": {"x": "y"}})]


def test_a_read_is_held_and_then_sent_as_it_is() -> None:
    client, engine, made = fence()
    assert client._request(method="GET", path="/tables/name/a.b", data={"q": 1}, timeout=3) == "answer"
    assert engine.waits == [{"fqn": "a.b"}]
    assert client.sent == [("GET", "/tables/name/a.b", {"q": 1}, None, {"timeout": 3})]
    assert made.waited == {"GET /tables/name": 0.5}


def test_behind_a_barrier_a_read_by_name_sees_what_is_below() -> None:
    client, engine, made = fence()
    engine.last = 7
    made.barrier()
    client._request("GET", "/databaseSchemas/name/s.d.p")
    assert engine.waits == [{"fqn": "s.d.p"}, {"fqn": "s.d.p", "subtree": True, "up_to": 7}]


def test_a_mark_is_settled_once() -> None:
    client, engine, made = fence()
    engine.last = 7
    made.barrier()
    client._request("PATCH", f"/tables/{UUID}", "[]")
    client._request("PATCH", f"/tables/{UUID}", "[]")
    assert engine.waits == [{"up_to": 7}]
    engine.last = 9
    made.barrier()
    client._request("PATCH", f"/tables/{UUID}", "[]")
    assert engine.waits == [{"up_to": 7}, {"up_to": 9}]


def test_without_a_barrier_a_request_by_id_does_not_wait() -> None:
    client, engine, _ = fence()
    client._request("PATCH", f"/tables/{UUID}", "[]")
    assert engine.waits == []


def test_unbalanced_quotes_are_no_ones_fqn() -> None:
    client, _, _ = fence()
    assert client._request("GET", "/tables/name/a.%22b") == "answer"


def test_an_open_fence_is_open_for_its_own_thread_only() -> None:
    client, engine, made = fence()
    with made.open():
        client._request("GET", "/tables/name/a.b")
        assert engine.waits == []
        other = threading.Thread(target=client._request, args=("GET", "/tables/name/c.d"))
        other.start()
        other.join()
    assert engine.waits == [{"fqn": "c.d"}]
    client._request("GET", "/tables/name/e.f")
    assert engine.waits[-1] == {"fqn": "e.f"}


def test_removing_gives_the_client_back() -> None:
    client, _, made = fence()
    made.remove()
    assert "_request" not in vars(client)
    assert client._request("GET", "/x") == "answer"


def test_two_fences_on_one_client_end_in_any_order() -> None:
    client, first_engine, first = fence()
    second_engine = Engine()
    second = Fence(client, second_engine, lambda: True)  # type: ignore[arg-type]
    second.install()
    client._request("GET", "/tables/name/a.b")
    assert first_engine.waits == second_engine.waits == [{"fqn": "a.b"}]
    first.remove()
    client._request("GET", "/tables/name/c.d")
    assert len(first_engine.waits) == 1
    second.remove()
    assert client._request("GET", "/tables/name/e.f") == "answer"
    assert len(second_engine.waits) == 2


def test_a_plan_names_its_route_for_the_summary() -> None:
    assert plan("GET", f"/tables/{UUID}") == Plan("GET /tables/{id}", marked=True)
