"""One ingestion of a database, measured; and several ways of it, interleaved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.prepared import Prepared
from benchmarks.round_trips.sources import HelpersFail, Slow, everything_passes
from benchmarks.round_trips.ways import HELPERS_FAIL, Way
from tests.ingest import ReferenceServer, compare, describe, ingest, workflow
from tests.ingest.reference_server import State

_TIMEOUT = 3_600.0
_FOR_NOTHING = re.compile(r"(\d+) were sent for nothing")


@dataclass(frozen=True)
class Row:
    """A way at a delay; times are medians. E_s: the source loop without the time in the sink. cpu_s: what its thread
    computed in it. workflow_s: to the end of writing. for_nothing: statements that were sent ahead and not used.
    """

    database: str
    delay_ms: float
    way: str
    E_s: float
    cpu_s: float
    workflow_s: float
    statements: int
    connections: int
    for_nothing: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON and for tables."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in vars(self).items()}


class Rows:
    """All that were measured."""

    def __init__(self) -> None:
        self.all: list[Row] = []
        self.differences = 0

    def of(self, database: str, delay_ms: float, way: str) -> Row | None:
        """None where it was not measured."""
        key = (database, delay_ms, way)
        return next((row for row in self.all if (row.database, row.delay_ms, row.way) == key), None)

    def delays(self, database: str) -> list[float]:
        """Those that it was measured at."""
        return list(dict.fromkeys(row.delay_ms for row in self.all if row.database == database))


def measure(
    database: Slow, ways: Sequence[Way], delay_ms: float, rounds: int, tables: int, ready: Prepared, console: Console
) -> tuple[list[Row], int]:
    """A row for each way, and how many differences there are between their catalogues."""
    found: dict[str, list[Row]] = {way.name: [] for way in ways}
    expected: State | None = None
    differences = 0
    for number in range(rounds):
        for way in ways:
            if number and way.once:
                continue
            row, state = _once(database, way, delay_ms, tables, ready)
            console.print(row.as_dict(), highlight=False)
            found[way.name].append(row)
            if not way.loses:
                between = compare(expected or state, state)
                differences += len(between)
                if between:
                    console.print(f"{way.name}: {describe(between)}", style="bold red", highlight=False)
                expected = expected or state
    return [_medians(rows) for rows in found.values()], differences


def _once(database: Slow, way: Way, delay_ms: float, tables: int, ready: Prepared) -> tuple[Row, State]:
    with ReferenceServer(ready.server) as server:
        database.begin(delay_ms, HelpersFail(tables) if way.name == HELPERS_FAIL else everything_passes)
        config = workflow(source=database.source(way.options), server_url=server.url, token=server.token)
        run = ingest(ready.with_sink, config, variables=way.variables, time_sink=True, timeout=_TIMEOUT)
        run.require_success()
        statements, connections = database.counted()
        state = server.state()
    row = Row(
        database.name,
        delay_ms,
        way.name,
        (run.loop_s or 0.0) - (run.sink_s or 0.0),
        (run.loop_cpu_s or 0.0) - (run.sink_cpu_s or 0.0),
        run.workflow_s or 0.0,
        statements,
        connections,
        sum(int(count) for count in _FOR_NOTHING.findall(run.output)),
    )
    return row, state


def _medians(rows: Sequence[Row]) -> Row:
    first: Mapping[str, Any] = vars(rows[0])
    return Row(
        **{
            name: median(getattr(row, name) for row in rows) if isinstance(value, float) else value
            for name, value in first.items()
        }
    )
