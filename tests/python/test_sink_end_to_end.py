"""The sink in real ingestions: what a user sees, what the server holds, and what is counted, in every upstream
version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import Postgres, ReferenceServer, Session, compare, describe, workflow
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source, sqlite_file, sqlite_source

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

TABLES = 130
SHOP = PostgresShape(schemas=3, tables=24, columns=8, foreign_keys=2, rich=True)


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_file(tmp_path_factory.mktemp("lite") / "shop.db", tables=TABLES, columns=4, views=2)


def job(server: ReferenceServer, source: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return workflow(source=source, server_url=server.url, token=server.token, **settings)


def native_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if "{metadata.BulkSink:" in line]


@pytest.fixture
def shop(postgres: Postgres) -> Iterator[str]:
    postgres.drop_database("sink_shop")
    fill_postgres(postgres, "sink_shop", SHOP)
    yield "sink_shop"
    postgres.drop_database("sink_shop")


def test_a_user_sees_one_line_at_the_start_and_one_at_the_end(
    sink: Session, server: ReferenceServer, lite: Path
) -> None:
    run = sink.run(job(server, sqlite_source(lite, service="lines"))).require_success()
    lines = native_lines(run.output)
    assert len(lines) == 2, lines
    assert re.search(r"writes to http://127\.0\.0\.1:\d+/api/v1 \(server .*workers \(default", lines[0])
    assert f"{TABLES + 4} entities written, 0 failed" in lines[1]
    assert server.token not in run.output
    threads = [task.read_text().strip() for task in Path(f"/proc/{sink.pid}/task").glob("*/comm")]
    assert [name for name in threads if name.startswith("bulksink")] == []


def test_switched_off_upstream_writes(sink: Session, server: ReferenceServer, lite: Path) -> None:
    config = job(server, sqlite_source(lite, service="off"))
    run = sink.run(config, variables={"OM_BULKSINK": "0"}).require_success()
    assert native_lines(run.output) == []
    assert server.summary()["connections"] <= 2


def test_a_bad_setting_is_one_clear_line(sink: Session, server: ReferenceServer, lite: Path) -> None:
    job_file = job(server, sqlite_source(lite, service="bad"))
    run = sink.run(job_file, variables={"OM_BULKSINK_WORKERS": "lots"})
    assert run.exit_code == 1
    assert run.output.count("OM_BULKSINK_WORKERS must be a whole number") == 1
    assert "openmetadata_bulksink/" not in run.output


def test_a_variable_that_is_no_setting_is_a_warning_with_a_near_name(
    sink: Session, server: ReferenceServer, lite: Path
) -> None:
    job_file = job(server, sqlite_source(lite, service="near"))
    run = sink.run(job_file, variables={"OM_BULKSINK_WORKER": "4"})
    assert run.exit_code == 0
    assert "OM_BULKSINK_WORKERS" in run.output


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param({"sink": {"bulk_sink_batch_size": 1}}, id="synchronous"),
        pytest.param(
            {"sink": {"enable_async_pipeline": False, "bulk_sink_batch_size": 20}}, id="one-request-at-a-time"
        ),
        pytest.param({"variables": {"OM_BULKSINK_STRICT_BARRIER": "1"}}, id="strict-barrier"),
        pytest.param({"variables": {"OM_BULKSINK_ACCELERATE": "0"}}, id="no-accelerators"),
        pytest.param({"sink": {"async_pipeline_workers": 7}, "variables": {"OM_BULKSINK_LINGER": "0"}}, id="eager"),
    ],
)
def test_no_setting_changes_the_catalogue(
    sink: Session, server: ReferenceServer, lite: Path, variant: dict[str, Any]
) -> None:
    def state(number: int, **more: Any) -> Any:
        server.reset()
        service = f"variant_{abs(hash(str(variant))) % 100000}_{number}"
        config = job(server, sqlite_source(lite, service=service), sink=more.get("sink"))
        sink.run(config, variables=more.get("variables")).require_success()
        assert server.violations() == []
        return renamed(server.state(), service)

    differences = compare(state(0), state(1, **variant))
    assert not differences, describe(differences)


def renamed(state: Any, service: str) -> Any:
    """A state as if its service were called `svc`; a hash is over the names."""
    import json

    found = json.loads(json.dumps(state).replace(service, "svc"))
    for entities in found.values():
        for entity in entities.values():
            entity.pop("sourceHash", None)
    return found


def test_one_request_at_a_time_means_it(sink: Session, server: ReferenceServer, lite: Path) -> None:
    config = job(server, sqlite_source(lite, service="slowly"), sink={"bulk_sink_batch_size": 1})
    sink.run(config).require_success()
    summary = server.summary()
    assert summary["max_in_flight"] == 1
    assert summary["requests_by_class"]["bulk"] >= TABLES


def test_a_service_with_a_dot_in_its_name(
    upstream: Session, sink: Session, server: ReferenceServer, lite: Path
) -> None:
    config = job(server, sqlite_source(lite, service="prod.lite"))
    upstream.run(config).require_success()
    theirs = server.state()
    server.reset()
    sink.run(config).require_success()
    assert '"prod.lite".shop' in theirs["databases"]
    differences = compare(theirs, server.state())
    assert not differences, describe(differences)


def test_overriding_metadata(
    upstream: Session, sink: Session, server: ReferenceServer, lite: Path, upstream_version: str
) -> None:
    config = job(server, sqlite_source(lite, service="over", options={"overrideMetadata": True}))
    states = []
    for session in (upstream, sink):
        server.reset()
        session.run(config).require_success()
        states.append(server.state())
    differences = compare(*states)
    assert not differences, describe(differences)
    queries = {one["query"] for one in server.requests() if one["path"].endswith("/tables/bulk")}
    assert queries == {"async=false&overrideMetadata=true" if upstream_version.startswith("2.") else "async=false"}


def test_refused_rows_are_counted_by_name_and_decide_the_state(
    sink: Session, server: ReferenceServer, lite: Path
) -> None:
    lost = [f"count.shop.main.{name}" for name in ("table_00003", "table_00077")]
    server.set_faults(
        [
            {
                "match": {"class": "bulk"},
                "do": {"kind": "fail_rows", "fqns": lost, "status": 400, "message": "no such tag"},
            }
        ]
    )
    config = job(server, sqlite_source(lite, service="count"), success_threshold=100, pipeline="nightly")
    run = sink.run(config)
    tables = [fqn for fqn in server.state()["tables"] if fqn.startswith("count.")]
    assert len(tables) == TABLES + 2 - len(lost)
    assert sorted(failure["name"] for failure in run.sink.failures) == lost
    assert all("no such tag" in failure["error"] for failure in run.sink.failures)
    # One record for each written entity; the service is upstream's own, and counted twice by it.
    assert run.sink.records == len(tables) + 2 + 2
    assert run.exit_code == 1
    assert run.pipeline_states[-1] in ("failed", "PipelineState.failed"), run.pipeline_states


def test_a_server_that_fails_now_and_then_costs_nothing(sink: Session, server: ReferenceServer, lite: Path) -> None:
    server.set_faults(
        [{"match": {"class": "bulk"}, "when": {"nth": [1, 2, 4]}, "do": {"kind": "status", "status": 503}}]
    )
    run = sink.run(job(server, sqlite_source(lite, service="shaky"))).require_success()
    assert len([fqn for fqn in server.state()["tables"] if fqn.startswith("shaky.")]) == TABLES + 2
    assert "3 retries" in native_lines(run.output)[-1]


@pytest.mark.postgres
def test_several_threads_give_the_same_catalogue(
    sink: Session, server: ReferenceServer, postgres: Postgres, shop: str
) -> None:
    states = []
    for threads in (1, 4):
        server.reset()
        service = f"threads_{threads}"
        options = {"threads": threads, "includeTags": True}
        source = postgres_source(postgres, shop, service=service, options=options)
        sink.run(job(server, source)).require_success()
        assert server.violations() == []
        states.append(renamed(server.state(), service))
    # Upstream's threads share one cache of comments and one of view definitions, each emptied before it is filled: now
    # and then a thread takes the empty one for a full one.
    differences = compare(*states, ignore=["description", "schemaDefinition"])
    assert not differences, describe(differences)


@pytest.mark.postgres
def test_deferred_foreign_keys_are_not_lost(
    sink: Session, server: ReferenceServer, postgres: Postgres, shop: str
) -> None:
    """Upstream loses those of the last buffer where nothing is deleted (there is no Barrier before its last pass), and
    up to 1.13 the other constraints of a table that gets a key in that pass.
    """
    options = {"markDeletedTables": False, "markDeletedStoredProcedures": False}
    source = postgres_source(postgres, shop, service="keys", options=options)
    sink.run(job(server, source)).require_success()
    found = {
        fqn.rpartition(".")[2]: {
            reference.rpartition(".")[0].rpartition(".")[2]
            for constraint in table.get("tableConstraints") or []
            for reference in constraint.get("referredColumns") or []
        }
        for fqn, table in server.state()["tables"].items()
        if fqn.startswith("keys.sink_shop.area_000.table_")
    }
    assert len(found) == SHOP.tables
    for number in range(1, len(found)):
        assert found[f"table_{number:05d}"] >= {f"table_{number - 1:05d}", "table_00000"}
