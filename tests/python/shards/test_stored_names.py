"""Names that the server stores in another form than the source has them: one run and shards leave the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet import Fleet

from tests.ingest import Postgres, ReferenceServer, workflow
from tests.ingest.commands import Commands
from tests.ingest.sources import postgres_source
from tests.ingest.workflow import write
from tests.python.shards.test_hazards import DELETE_ALL, live

pytestmark = [pytest.mark.postgres, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]

DATABASE, SCHEMAS = "od>d", ("a", "dot.s")


@pytest.mark.parametrize("full", [False, True])
def test_a_database_of_such_a_name_is_ingested_and_what_is_dropped_goes(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path, *, full: bool
) -> None:
    databases.create_database(DATABASE)
    for schema in SCHEMAS:
        tables = "".join(f'CREATE TABLE "{schema}".{table} (id int PRIMARY KEY);' for table in ("one", "two"))
        databases.execute(f'CREATE SCHEMA "{schema}"; {tables}', database=DATABASE)
    # Compared with the name, or with the FQN from the service on.
    others = {
        "databaseFilterPattern": {"excludes": [r"^(.*\.)?(postgres|template\d)$"]},
        "schemaFilterPattern": {"excludes": [r"^(.*\.)?(public|information_schema)$"]},
    }
    options = {**DELETE_ALL, **others, "useFqnForFiltering": full}
    source = postgres_source(databases, "postgres", connection={"ingestAllDatabases": True}, options=options)
    config = workflow(source=source, server_url=server.url, token=server.token)
    try:
        one = write(config, tmp_path / "one.yaml")
        commands.run(["metadata", "ingest", "-c", str(one)], variables={"OM_BULKSINK": "0"}).require_success()
        expected = live(server)
        assert len(expected) == 2 * len(SCHEMAS)
        server.reset()
        closed = Fleet(commands, tmp_path / "first", config).whole(2)
        assert live(server) == expected
        assert "did not walk" not in closed.errors
        databases.execute("DROP TABLE a.one", database=DATABASE)
        closed = Fleet(commands, tmp_path / "second", config).whole(2)
        assert {fqn.partition(".")[2] for fqn in expected - live(server)} == {"od__reserved__arrow__d.a.one"}
        assert "0 left in doubt" in closed.errors
    finally:
        databases.drop_database(DATABASE)
