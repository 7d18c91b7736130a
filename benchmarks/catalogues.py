"""What the real ingestions read: a SQLite file, a PostgreSQL, and the Redshift facade, filled by numbers alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.ingestions import postgres_programs
from benchmarks.prepared import Prepared
from tests.ingest import Postgres
from tests.ingest.reference_server import State
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source, sqlite_file, sqlite_source
from tests.redshift import Shape, Warehouse

COLUMNS = 20

#: Every combination of a sink and a server that `real.py` knows; see there.
ALL_SETTINGS = ("ours-fast", "plain-fast", "upstream-fast", "ours-slow", "plain-slow", "upstream-slow")
#: Where upstream's sink takes minutes.
OURS = ("ours-fast", "ours-slow")

Source = Mapping[str, Any]


@dataclass(frozen=True)
class Counts:
    """What is in a catalogue, or has arrived."""

    tables: int
    columns: int
    life_cycles: int = 0

    def missing(self, arrived: Counts) -> int:
        """How many things differ."""
        return sum(abs(value - getattr(arrived, name)) for name, value in vars(self).items())


@dataclass(frozen=True)
class Catalogue:
    """One thing to ingest. within: what the FQN of a table that counts contains; upstream reads a PostgreSQL's own
    `information_schema` too. usual: the settings that are run without `--full`. faster: so many times as fast as
    upstream's sink ours must be where the server costs nothing. repeats: runs of ours in a round, for its bounds.
    """

    key: str
    title: str
    expected: Counts
    open: Callable[[Prepared], AbstractContextManager[Source]]
    within: str = ""
    usual: tuple[str, ...] = ALL_SETTINGS
    every: tuple[str, ...] = ALL_SETTINGS
    faster: float | None = None
    repeats: int = 3
    other_ms: float = 0.0
    foreign_keys: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"title": self.title, **vars(self.expected)}

    def arrived(self, state: State) -> Counts:
        """What the server has of it: without the columns a run may look like a success."""
        tables = [table for fqn, table in state.get("tables", {}).items() if self.within in fqn]
        return Counts(
            len(tables),
            sum(len(table.get("columns") or ()) for table in tables),
            sum(1 for table in tables if (table.get("lifeCycle") or {}).get("created")),
        )


def sqlite(tables: int = 500) -> Catalogue:
    """The connector that costs least."""

    @contextmanager
    def opened(_: Prepared) -> Iterator[Source]:
        with tempfile.TemporaryDirectory(prefix="bulksink-sqlite-") as folder:
            yield sqlite_source(sqlite_file(Path(folder) / "lite.db", tables=tables, columns=COLUMNS))

    return Catalogue("sqlite", f"SQLite, {tables:,} tables", Counts(tables, tables * COLUMNS), opened)


def postgres(
    key: str = "postgres",
    *,
    schemas: int = 5,
    tables: int = 1_000,
    foreign_keys: int = 0,
    usual: tuple[str, ...] = ALL_SETTINGS,
) -> Catalogue:
    """tables: in all schemas together. With foreign keys a question of upstream's takes 10 ms at both servers."""
    shape = PostgresShape(schemas, tables // schemas, COLUMNS, foreign_keys)

    @contextmanager
    def opened(ready: Prepared) -> Iterator[Source]:
        with Postgres(postgres_programs(ready)) as server:
            fill_postgres(server, "shop", shape)
            yield postgres_source(server, "shop", service="shop")

    number = schemas * shape.tables
    title, expected = f"PostgreSQL, {number:,} tables", Counts(number, number * COLUMNS)
    made = Catalogue(key, title, expected, opened, within=".area_", usual=usual, faster=2.8)
    if not foreign_keys:
        return made
    # Both servers answer the questions about keys in 10 ms: E is about the same source.
    return replace(
        made,
        title=f"{title} with {foreign_keys} foreign keys each",
        usual=OURS,
        every=(*OURS, "upstream-slow"),
        faster=None,
        other_ms=10.0,
        foreign_keys=foreign_keys,
    )


def redshift(
    key: str = "redshift",
    *,
    schemas: int = 1,
    tables: int = 1_000,
    settings: tuple[str, ...] = ALL_SETTINGS,
) -> Catalogue:
    """tables: in each schema. Every table has a life cycle."""
    shape = Shape(schemas=schemas, tables=tables, columns=COLUMNS)

    @contextmanager
    def opened(ready: Prepared) -> Iterator[Source]:
        with Warehouse(postgres_programs(ready), shape) as warehouse:
            yield warehouse.source()

    columns = schemas * (tables * COLUMNS + 2 * shape.views)
    return Catalogue(
        key,
        f"Redshift connector, {schemas * tables:,} tables, {shape.life_cycles:,} life cycles",
        Counts(schemas * (tables + shape.views), columns, shape.life_cycles),
        opened,
        usual=settings,
        every=settings,
    )


#: One of each kind of source, by name.
MAKERS: Mapping[str, Callable[..., Catalogue]] = {"sqlite": sqlite, "postgres": postgres, "redshift": redshift}
