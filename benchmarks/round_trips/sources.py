"""What is ingested: databases behind a proxy that holds back each statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.ingestions import postgres_programs
from benchmarks.prepared import Prepared
from tests.ingest import FarDatabase, Fate, MariaDB, Postgres
from tests.ingest.far import Rule, everything_passes
from tests.ingest.sources import PostgresShape, fill_postgres, mariadb_source, mariadb_statements, postgres_source
from tests.redshift import Shape, Warehouse
from tools import mariadb

#: How many tables, in all schemas together.
TABLES = 500

_ONLY_OURS = {"schemaFilterPattern": {"excludes": ["^(information_schema|public)$"]}}


class Trips(NamedTuple):
    """What a source sent, and the most connections that it had at a time; 0 where they are not counted."""

    statements: int
    connections: int


@dataclass(frozen=True)
class Slow:
    """A database that runs. source: of a workflow, for its options. begin: sets the milliseconds of a round trip and
    what becomes of connections, and counts from there on; counted: since then.
    """

    name: str
    source: Callable[[Mapping[str, Any]], dict[str, Any]]
    begin: Callable[[float, Rule], None]
    counted: Callable[[], Trips]


@contextmanager
def postgres(ready: Prepared, *, tables: int = TABLES, foreign_keys: int = 0) -> Iterator[Slow]:
    """Four schemas of tables with 20 columns."""
    shape = PostgresShape(schemas=4, tables=tables // 4, columns=20, foreign_keys=foreign_keys)
    with Postgres(postgres_programs(ready)) as server:
        fill_postgres(server, "shop", shape)
        with FarDatabase(server.port) as far:

            def source(options: Mapping[str, Any]) -> dict[str, Any]:
                connection = {"hostPort": f"127.0.0.1:{far.port}"}
                return postgres_source(server, "shop", options={**_ONLY_OURS, **options}, connection=connection)

            yield _behind(far, "PostgreSQL", source)


@contextmanager
def maria(*, tables: int = TABLES) -> Iterator[Slow]:
    """One schema, without procedures: for these upstream opens a connection late in a run."""
    with MariaDB(mariadb.programs()) as server:
        server.execute(mariadb_statements(schemas=1, tables=tables, columns=20))
        with FarDatabase(server.port) as far:

            def source(options: Mapping[str, Any]) -> dict[str, Any]:
                return mariadb_source(server, port=far.port, options={"includeStoredProcedures": False, **options})

            yield _behind(far, "MariaDB", source)


def _behind(far: FarDatabase, name: str, source: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Slow:
    def begin(delay_ms: float, rule: Rule) -> None:
        far.delay, far.rule = delay_ms / 1000, rule
        far.reset()

    return Slow(name, source, begin, lambda: Trips(far.trips, far.most_open))


@contextmanager
def redshift(ready: Prepared, *, tables: int = 50) -> Iterator[Slow]:
    """Eight schemas; tables: in each. Only queries of the catalogue are held back, as Redshift's are slow."""
    with Warehouse(postgres_programs(ready), Shape(schemas=8, tables=tables, columns=20)) as warehouse:

        def begin(delay_ms: float, _: Rule) -> None:
            warehouse.proxy.delay = delay_ms / 1000
            warehouse.proxy.statements.clear()

        def source(options: Mapping[str, Any]) -> dict[str, Any]:
            return warehouse.source(options=options)

        yield Slow("Redshift", source, begin, lambda: Trips(len(warehouse.proxy.statements), 0))


class HelpersFail:
    """Connections that were opened after the first table of a MariaDB was asked for end when half of the tables were,
    and no more of them can be opened from then on.
    """

    def __init__(self, tables: int) -> None:
        self._half = tables // 2
        self._asked = 0
        self._helpers: set[int] = set()

    def __call__(self, number: int, sent: bytes | None) -> Fate:
        if sent is None:
            if self._asked:
                self._helpers.add(number)
        else:
            self._asked += b"SHOW CREATE TABLE" in sent
        return Fate.CUT if number in self._helpers and self._asked > self._half else Fate.PASSES


__all__ = ["TABLES", "HelpersFail", "Slow", "Trips", "everything_passes", "maria", "postgres", "redshift"]
