"""`read_ahead` against a PostgreSQL that is not read in chunks: nine statements a table, most by a number that an
earlier one gave.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmetadata_bulksink import settings
from tests.ingest import FarDatabase, Postgres, ReferenceServer, Run, Session, compare, describe, workflow
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source

pytestmark = [pytest.mark.postgres, pytest.mark.wheel]

DATABASE = "read_ahead"
SHAPE = PostgresShape(schemas=2, tables=12, columns=6, foreign_keys=1, rich=True)
#: Long enough for statements to count as slow, whatever the machine does.
DELAY = 0.004
WITHOUT_CHUNKS = ",".join(name for name in settings.ACCELERATORS if name != "postgres_bulk")


@pytest.fixture
def far(postgres: Postgres) -> Iterator[FarDatabase]:
    fill_postgres(postgres, DATABASE, SHAPE)
    with FarDatabase(postgres.port, delay=DELAY) as proxy:
        yield proxy
    postgres.drop_database(DATABASE)


@pytest.fixture
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A reference server that keeps the bodies of requests."""
    with ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true")) as server:
        yield server


def test_the_same_requests_by_statements_that_were_sent_ahead(
    postgres: Postgres, far: FarDatabase, sink: Session, logging_server: ReferenceServer
) -> None:
    def ingested(connections: int, accelerate: str = WITHOUT_CHUNKS) -> tuple[Run, list[str]]:
        logging_server.reset()
        far.reset()
        source = postgres_source(
            postgres,
            DATABASE,
            service="ahead",
            options={"schemaFilterPattern": {"excludes": ["^information_schema$"]}},
            connection={"hostPort": f"127.0.0.1:{far.port}"},
        )
        config = workflow(
            source=source,
            server_url=logging_server.url,
            token=logging_server.token,
            sink={"enable_async_pipeline": False},
        )
        variables = {
            "OM_BULKSINK_LINGER": "60",
            "OM_BULKSINK_ACCELERATE": accelerate,
            "OM_BULKSINK_READ_AHEAD": str(connections),
        }
        run = sink.run(config, variables=variables).require_success()
        log = logging_server.requests(bodies=True)
        # Upstream's requests and ours come over two connections, in no order that is fixed.
        return run, sorted(f"{one['method']} {one['path']}?{one['query']} {one.get('body', '')}" for one in log)

    _, expected = ingested(0)
    state, trips = logging_server.state(), far.trips
    run, found = ingested(4)
    assert found == expected
    differences = compare(state, logging_server.state())
    assert not differences, describe(differences)
    ((ahead, for_nothing),) = re.findall(r"read_ahead: (\d+) statements were answered ahead .*, (\d+) were", run.output)
    assert int(ahead) > 0
    assert int(for_nothing) <= 0.02 * trips
    assert far.trips <= 1.02 * trips + 4 * 8, "a connection begins with a few statements of its own"
    assert not [name for name in run.threads_left if "read-ahead" in name]
    # What is read in chunks is not read ahead.
    run, _ = ingested(4, "1")
    assert "read_ahead asks for" not in run.output
