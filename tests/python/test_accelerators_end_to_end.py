"""Real ingestions with and without accelerators: the same requests, to the byte, and the same SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestions import Catalogue, PostgresCatalogue, RedshiftCatalogue
from tests.ingest import Postgres, ReferenceServer, Run, Session, compare, describe, ingest, workflow
from tests.redshift import Shape, Warehouse

pytestmark = [pytest.mark.upstream, pytest.mark.postgres, pytest.mark.redshift, pytest.mark.wheel]

#: On in both: those that change requests, not only what they cost.
CHANGE_REQUESTS = {"foreign_keys", "seen_tables", "stale_scope"}
FOR_ALL_SOURCES = {"version", "entity_table", "name_walk", "type_names", "proxies", "column_names", "quoted_names"}
FOR_ALL_SOURCES |= {"source_hash", "foreign_keys", "query_log", "tracebacks", "schema_caches"}
FOR_POSTGRES = {"statements", "postgres_bulk", "read_ahead"}
FOR_REDSHIFT = {"version_numbers"}
SINCE_2_0 = {"stale_scope"}
#: Steps aside from the second run of a process on.
ONCE_IN_A_PROCESS = {"frozen_imports"}

#: How records fall into requests must not depend on the clock.
ONE_AT_A_TIME = {"OM_BULKSINK_LINGER": "60"}

Requests = list[tuple[str, str, str, str]]


@pytest.fixture
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A reference server that keeps the bodies of requests."""
    with ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true")) as server:
        yield server


def requests_of(
    process: Session | Path, catalogue: Catalogue, server: ReferenceServer, accelerate: str
) -> tuple[Requests, Run]:
    """One ingestion into an emptied server. process: a session, or an environment for a process of its own."""
    server.reset()
    config = catalogue.workflow(server, f"bytes_{catalogue.kind}", sink={"enable_async_pipeline": False})
    variables = {"OM_BULKSINK_ACCELERATE": accelerate, **ONE_AT_A_TIME}
    if isinstance(process, Session):
        run = process.run(config, variables=variables).require_success()
    else:
        run = ingest(process, config, variables=variables).require_success()
    log = server.requests(bodies=True)
    return [(one["method"], one["path"], one["query"], one.get("body", "")) for one in log], run


def accelerators_of(run: Run) -> set[str]:
    """What the line at the start of writing says."""
    (line,) = [line for line in run.output.splitlines() if "; accelerators: " in line]
    return set(line.split("; accelerators: ")[1].split(", ")) - ONCE_IN_A_PROCESS


def assert_same_requests(
    catalogue: Catalogue, one: Session, other: Session | Path, server: ReferenceServer, in_both: set[str]
) -> Run:
    """Compares two runs; returns the accelerated one."""
    expected, without = requests_of(one, catalogue, server, ",".join(in_both))
    found, accelerated = requests_of(other, catalogue, server, "1")
    assert accelerators_of(without) == in_both
    assert sum(method == "PUT" and bool(body) for method, _, _, body in found) > 5
    assert any("__reserved__" in body for _, _, _, body in found), "the catalogue has no name that is transformed"
    # The source's own requests and the sink's come over two connections, in no order that is fixed.
    for number, (theirs, ours) in enumerate(zip(bulk(expected), bulk(found), strict=False)):
        assert ours == theirs, f"bulk request {number}"
    assert sorted(found) == sorted(expected)
    return accelerated


def bulk(log: Requests) -> Requests:
    """Those with which the sink wrote records, in their order."""
    return [one for one in log if one[0] == "PUT" and one[1].endswith("/bulk")]


@pytest.fixture
def without(upstream_version: str) -> set[str]:
    """The accelerators of the run that the accelerated one is compared with."""
    return CHANGE_REQUESTS if upstream_version.startswith("2.") else CHANGE_REQUESTS - SINCE_2_0


@pytest.fixture
def another(upstream_version: str, sink_environment: Path) -> Path | None:
    """For the second run: up to 1.13 upstream remembers for the life of a process what it has written."""
    return None if upstream_version.startswith("2.") else sink_environment


def test_redshift(
    postgres_programs: Path,
    redshift_sink: Session,
    another: Path | None,
    logging_server: ReferenceServer,
    upstream_version: str,
    without: set[str],
) -> None:
    with Warehouse(postgres_programs, RedshiftCatalogue.SHAPE) as warehouse:
        catalogue = RedshiftCatalogue(warehouse)
        warehouse.execute('CREATE TABLE mart_000."odd>name" (id bigint, "a::b" date, "tab\there" int)')
        started = len(warehouse.proxy.statements)
        accelerated = assert_same_requests(catalogue, redshift_sink, another or redshift_sink, logging_server, without)
        statements = [fingerprint_of(one.text) for one in warehouse.proxy.statements[started:]]
    # From 1.13 on this connector imports PostgreSQL's.
    imported = set() if upstream_version.startswith(("1.11", "1.12")) else FOR_POSTGRES
    assert accelerators_of(accelerated) == FOR_ALL_SOURCES | without | FOR_REDSHIFT | imported
    half = len(statements) // 2
    assert half > 30
    assert statements[:half] == statements[half:]


def test_threads_write_the_same_catalogue(
    postgres_programs: Path, redshift_sink: Session, another: Path | None, server: ReferenceServer
) -> None:
    """Each schema is read once, and no thread takes keys and descriptions from the tables of another."""
    shape = Shape(schemas=4, tables=12, columns=4)
    states = []
    with Warehouse(postgres_programs, shape) as warehouse:
        for threads, process in ((1, redshift_sink), (4, another or redshift_sink)):
            server.reset()
            warehouse.proxy.statements.clear()
            warehouse.proxy.delay = 0.05 if threads > 1 else 0.0
            source = warehouse.source(service="threads", options={"threads": threads})
            config = workflow(source=source, server_url=server.url, token=server.token)
            run = process.run(config) if isinstance(process, Session) else ingest(process, config)
            run.require_success()
            states.append(server.state())
            texts = [statement.text for statement in warehouse.proxy.statements]
            for of_schema in ("pg_get_late_binding_view_cols", "create_time"):
                assert sum(of_schema in text for text in texts) == shape.schemas, of_schema
    described = [table for table in states[1]["tables"].values() if table.get("description")]
    assert len(described) == shape.schemas * (shape.tables + shape.views)
    differences = compare(*states)
    assert not differences, describe(differences)


def test_postgresql(
    postgres: Postgres, sink: Session, another: Path | None, logging_server: ReferenceServer, without: set[str]
) -> None:
    catalogue = PostgresCatalogue(postgres, foreign_keys=1, database="bytes")
    postgres.execute('CREATE TABLE public."odd>name" (id bigint, "a::b" date)', database="bytes")
    # Without a memo of the version 1.11 takes half a minute for this one.
    accelerated = assert_same_requests(catalogue, sink, another or sink, logging_server, without | {"version"})
    assert accelerators_of(accelerated) == FOR_ALL_SOURCES | without | FOR_POSTGRES
    postgres.drop_database("bytes")


def fingerprint_of(statement: str) -> str:
    """Short, so that a failure can be read."""
    return f"{hashlib.sha256(statement.encode()).hexdigest()[:8]} {' '.join(statement.split())[-60:]}"
