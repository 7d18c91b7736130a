"""What is ingested: a MariaDB that is 10 ms away, and a Redshift whose catalogue takes 200 ms a statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ingest import FarDatabase, MariaDB
from tests.ingest.sources import mariadb_source, mariadb_statements
from tests.redshift import Shape, Warehouse
from tools import mariadb

SCHEMAS = 20
TABLES = 50

#: Seconds.
MARIADB_STATEMENT = 0.010
REDSHIFT_STATEMENT = 0.200


@dataclass(frozen=True)
class Slow:
    """One that runs. source: of a workflow."""

    name: str
    source: dict[str, Any]


@contextmanager
def slow_mariadb(tables: int) -> Iterator[Slow]:
    """tables: in each schema."""
    with MariaDB(mariadb.programs()) as server:
        server.execute(mariadb_statements(schemas=SCHEMAS, tables=tables, columns=10))
        with FarDatabase(server.port, delay=MARIADB_STATEMENT) as far:
            yield Slow("MariaDB, 10 ms", mariadb_source(server, port=far.port))


@contextmanager
def slow_redshift(programs: Path, tables: int) -> Iterator[Slow]:
    """programs: of PostgreSQL. tables: in each schema."""
    shape = Shape(schemas=SCHEMAS, tables=tables, columns=20)
    with Warehouse(programs, shape, delay=REDSHIFT_STATEMENT) as warehouse:
        yield Slow("Redshift, 200 ms", warehouse.source())
