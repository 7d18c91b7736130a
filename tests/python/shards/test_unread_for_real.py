"""What a real source could not read, and what is there again, is not deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fleet import Fleet
from warehouse import Warehouse

from tests.ingest import Postgres, ReferenceServer
from tests.ingest.commands import Commands
from tests.ingest.workflow import write
from tests.python.shards.test_hazards import DELETE_ALL, fleet_of, live

pytestmark = [pytest.mark.postgres, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]


class Written(NamedTuple):
    """A warehouse that two shards have written once. before: what is alive on the server."""

    warehouse: Warehouse
    config: dict[str, Any]
    before: set[str]


def written(warehouse: Warehouse, commands: Commands, server: ReferenceServer, folder: Path) -> Written:
    config = warehouse.workflow(server, DELETE_ALL)
    Fleet(commands, folder / "first", config).whole(2)
    return Written(warehouse, config, live(server))


def allow_connections(databases: Postgres, database: str, *, to: bool) -> None:
    databases.execute(f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS {str(to).lower()}')


def test_a_database_that_cannot_be_opened_ends_no_step_well_and_loses_nothing(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    warehouse, config, before = written(Warehouse(databases, 3), commands, server, tmp_path)
    closed_one = max(warehouse.tables, key=lambda name: len(warehouse.tables[name]))
    fleet = fleet_of(commands, tmp_path / "second", config)
    allow_connections(databases, closed_one, to=False)
    try:
        opened = fleet.open()
        ends = [fleet.start(shard).wait() for shard in (0, 1)]
        of_it = {shard for (database, _), shard in fleet.places().items() if database == closed_one}
        for ended in (opened, *(ends[shard] for shard in of_it)):
            assert ended.exit_code == 1
            assert f"{closed_one} could not be read (Error trying to connect" in ended.errors
            assert "not currently accepting connections" in ended.errors
        assert fleet.close().exit_code == 1
        assert live(server) == before
        later = fleet_of(commands, tmp_path / "later", config)
        assert closed_one not in {database for database, _ in later.places()}
        later.open().require_success()
        later.run([0, 1])
        closed = later.close()
        assert f"{closed_one} could not be read" in closed.errors
        assert live(server) == before
    finally:
        allow_connections(databases, closed_one, to=True)
    fleet.run([0, 1])
    allow_connections(databases, closed_one, to=False)
    try:
        refused = fleet.close()
    finally:
        allow_connections(databases, closed_one, to=True)
    assert refused.exit_code == 1
    assert f"closing did not end well ({closed_one} could not be read" in refused.errors
    assert live(server) == before
    fleet.close().require_success()
    assert live(server) == before


def test_a_table_that_is_made_again_before_close_stays(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    warehouse = Warehouse(databases, 3)
    database, schema = next(
        (database, schema)
        for database, schemas in warehouse.tables.items()
        for schema, tables in schemas.items()
        if len(tables) > 1
    )
    # The server knows the third by another name than the source.
    gone, again, odd = *warehouse.tables[database][schema][:2], "odd>name"

    def make(name: str) -> None:
        columns = "(id int PRIMARY KEY, a text, r int)"
        databases.execute(f'CREATE TABLE "{schema}"."{name}" {columns}', database=database)

    make(odd)
    _, config, before = written(warehouse, commands, server, tmp_path)
    for name in (gone, again, odd):
        databases.execute(f'DROP TABLE "{schema}"."{name}" CASCADE', database=database)
    fleet = fleet_of(commands, tmp_path / "second", config)
    fleet.open().require_success()
    fleet.run([0, 1])
    stale = {fqn for shard in (0, 1) for fqn in fleet.stale(shard)}
    assert {fqn.rpartition(".")[2] for fqn in stale} == {gone, again, "odd__reserved__arrow__name"}
    # An equal table leaves the server's entity as it was.
    for name in (again, odd):
        make(name)
    one = write(config, tmp_path / "one.yaml")
    commands.run(["metadata", "ingest", "-c", str(one)], variables={"OM_BULKSINK": "0"}).require_success()
    closed = fleet.close().require_success()
    assert closed.errors.count("the source has it again") == 2
    assert before - live(server) == {fqn for fqn in stale if fqn.endswith(f".{gone}")}
