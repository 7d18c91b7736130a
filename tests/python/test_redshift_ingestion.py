"""Upstream's own Redshift connector on the facade: every column and every life cycle arrives.

Exit codes prove nothing here: where the facade misses a column, upstream warns, exits with 0 and writes tables without
columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestions import RedshiftCatalogue
from tests.ingest import ReferenceServer, Run, Session
from tests.ingest.reference_server import State
from tests.redshift import Warehouse
from tests.redshift.warehouse import creation_time, schema_name, table_name

pytestmark = [pytest.mark.upstream, pytest.mark.redshift]

SHAPE = RedshiftCatalogue.SHAPE


@pytest.fixture(scope="module")
def warehouse(postgres_programs: Path) -> Iterator[Warehouse]:
    with Warehouse(postgres_programs, SHAPE) as running:
        yield running


@pytest.fixture(scope="module")
def ingested(warehouse: Warehouse, redshift_upstream: Session, _shared_server: ReferenceServer) -> tuple[Run, State]:
    """One ingestion by upstream alone, and the server's full state after it."""
    _shared_server.reset()
    run = redshift_upstream.run(RedshiftCatalogue(warehouse).workflow(_shared_server, "rs")).require_success()
    return run, _shared_server.state(normalized=False)


def test_every_object_arrives(ingested: tuple[Run, State]) -> None:
    _, state = ingested
    tables = state["tables"]
    names = [fqn for fqn in tables if fqn.startswith(f"rs.dev.{schema_name(1)}.")]
    kinds = [tables[fqn]["tableType"] for fqn in names]
    assert kinds.count("View") == SHAPE.views + SHAPE.late_binding_views
    assert kinds.count("External") == SHAPE.external_tables
    assert len(kinds) == SHAPE.tables + SHAPE.views + SHAPE.late_binding_views + SHAPE.external_tables
    assert len(state["databaseSchemas"]) == SHAPE.schemas + 1
    assert len(state["storedProcedures"]) == SHAPE.schemas * SHAPE.procedures + 1


def test_every_column_arrives(ingested: tuple[Run, State]) -> None:
    _, state = ingested
    assert all(table["columns"] for table in state["tables"].values())
    fact = state["tables"][f"rs.dev.{schema_name(0)}.{table_name(4)}"]
    assert [column["name"] for column in fact["columns"]] == ["id", *(f"c{n:03}" for n in range(2, SHAPE.columns + 1))]
    kinds = {column["name"]: column["dataTypeDisplay"] for column in fact["columns"]}
    assert kinds["id"] == "bigint"
    assert kinds["c003"] == "numeric(18,4)"
    assert fact["description"] == "Fact table 4"
    assert fact["columns"][0]["description"] == "Key of fact table 4"
    assert fact["columns"][0]["constraint"] == "PRIMARY_KEY"
    assert fact["columns"][6]["constraint"] == "NOT_NULL"
    late = state["tables"][f"rs.dev.{schema_name(0)}.late_view_000"]
    assert sorted(column["name"] for column in late["columns"]) == ["id", "renamed"]
    external = state["tables"][f"rs.dev.{schema_name(0)}.external_001"]
    assert {column["name"]: column["dataTypeDisplay"] for column in external["columns"]} == {
        "id": "bigint",
        "name": "character varying(80)",
        "price": "numeric(18,4)",
        "amount": "integer",
        "day": "date",
    }
    own = state["tables"]['rs.dev."Rich.Mart".own_types']
    assert [column["dataType"] for column in own["columns"]][:4] == ["SUPER", "GEOMETRY", "GEOGRAPHY", "HLLSKETCH"]
    assert 'rs.dev."Rich.Mart"."Table with.dots"' in state["tables"]


def test_keys_arrive(ingested: tuple[Run, State], upstream_version: str) -> None:
    _, state = ingested

    def columns(table: int, kind: str) -> list[list[str]]:
        constraints = state["tables"][f"rs.dev.{schema_name(0)}.{table_name(table)}"]["tableConstraints"]
        return [constraint["columns"] for constraint in constraints if constraint["constraintType"] == kind]

    assert columns(8, "DIST_KEY") == [["id"]]
    assert columns(8, "SORT_KEY") == [["id"], ["c003"]]
    # Up to 1.13 upstream's own sink loses foreign keys of tables that are still in its buffer.
    if upstream_version.startswith("2."):
        assert columns(9, "FOREIGN_KEY") == [["c002"]]


def test_every_table_with_rows_has_its_life_cycle(ingested: tuple[Run, State]) -> None:
    _, state = ingested
    with_life_cycle = {fqn: table["lifeCycle"] for fqn, table in state["tables"].items() if table.get("lifeCycle")}
    assert len(with_life_cycle) == SHAPE.life_cycles
    for schema in range(SHAPE.schemas):
        for table in range(SHAPE.tables):
            fqn = f"rs.dev.{schema_name(schema)}.{table_name(table)}"
            if table < SHAPE.empty_tables:
                assert fqn not in with_life_cycle
            else:
                expected = int(creation_time(schema, table).timestamp() * 1000)
                assert with_life_cycle[fqn]["created"]["timestamp"] == expected


def test_views_have_their_definitions(ingested: tuple[Run, State]) -> None:
    _, state = ingested
    view = state["tables"][f"rs.dev.{schema_name(0)}.view_000"]
    late = state["tables"][f"rs.dev.{schema_name(0)}.late_view_000"]
    assert "FROM mart_000.fact_00000" in view["schemaDefinition"]
    assert "AS renamed" in late["schemaDefinition"]


@pytest.mark.usefixtures("ingested")
def test_six_statements_a_schema_and_none_a_table(warehouse: Warehouse) -> None:
    """The connector reads whole schemas; a failing statement would come again for each table."""
    texts = [statement.text for statement in warehouse.proxy.statements]
    by_columns = [text for text in texts if "pg_get_late_binding_view_cols" in text]
    by_life_cycle = [text for text in texts if "svv_table_info" in text and "create_time" in text]
    assert len(by_columns) == SHAPE.schemas + 1
    assert len(by_life_cycle) == SHAPE.schemas + 1
    assert len(texts) < 25 + 8 * (SHAPE.schemas + 1)


def test_a_serverless_workgroup(postgres_programs: Path, redshift_upstream: Session, server: ReferenceServer) -> None:
    with Warehouse(postgres_programs, SHAPE, serverless=True) as warehouse:
        redshift_upstream.run(RedshiftCatalogue(warehouse).workflow(server, "serverless")).require_success()
    assert len(server.state()["databaseSchemas"]) == SHAPE.schemas + 1
