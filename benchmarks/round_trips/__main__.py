"""`make bench-round-trips`: all that is measured, or parts of it; ends with status 1 where a bound is missed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.round_trips import between_runs, sources, ways
from benchmarks.round_trips.bounds import REDSHIFT_DELAY, THOUSAND, counts_of, times_of
from benchmarks.round_trips.rows import Rows, measure
from benchmarks.round_trips.sources import TABLES, Slow
from benchmarks.round_trips.ways import Way
from benchmarks.screen import screen
from benchmarks.stopped import told

RESULTS = Path(__file__).resolve().parents[1] / "results"

#: Milliseconds of a round trip.
DELAYS = (0, 3, 10, 30)
QUICK_DELAYS = (0, 10)

#: The part with upstream 1.13, which is no table of ways.
BETWEEN_RUNS = "between-runs"


@dataclass(frozen=True)
class Part:
    """A database, and how it is ingested. opened: it runs for as long as it is looked at. tables: that it has."""

    opened: Callable[[], AbstractContextManager[Slow]]
    ways: Sequence[Way]
    delays: Sequence[float]
    tables: int
    name: str | None = None


def parts(ready: prepared.Prepared, *, quick: bool) -> dict[str, Part]:
    """By name."""
    tables, thousand, of_a_schema = (TABLES // 4, 250, 12) if quick else (TABLES, 1_000, 50)
    delays = QUICK_DELAYS if quick else DELAYS
    of_postgres = ways.of_postgres(ready.accelerators())
    return {
        "postgres": Part(lambda: sources.postgres(ready, tables=tables), of_postgres, delays, tables),
        "mariadb": Part(lambda: sources.maria(tables=tables), ways.of_mariadb(), delays, tables),
        "redshift": Part(
            lambda: sources.redshift(ready, tables=of_a_schema), ways.of_redshift(), (REDSHIFT_DELAY,), 8 * of_a_schema
        ),
        "thousand": Part(
            lambda: sources.postgres(ready, tables=thousand), ways.without_latency(), (0,), thousand, THOUSAND
        ),
    }


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    names = ("postgres", "mariadb", "redshift", "thousand", BETWEEN_RUNS)
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks round-trips", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a quarter of the tables, 0 and 10 ms, one round; counts are judged, times are not",
    )
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="3, if not given")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    rounds = chosen.rounds or (1 if chosen.quick else 3)
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    rows, bounds = Rows(), []
    for name, part in parts(ready, quick=chosen.quick).items():
        if name in chosen.parts:
            _measure(part, rounds, rows, ready, console)
    if BETWEEN_RUNS in chosen.parts and not chosen.quick:
        with sources.postgres(ready, foreign_keys=1) as database:
            bounds.append(between_runs.measure(database, rounds, ready, console))
    console.print(_table(rows))
    if not chosen.quick:
        bounds = [*times_of(rows), *bounds]
    same = Bound("differences of the catalogues", rows.differences, 0, "differences")
    bounds = [*counts_of(rows), *bounds, same]
    written: dict[str, Any] = {"machine": facts, "rounds": rounds, "bounds": [bound.as_dict() for bound in bounds]}
    written["runs"] = [row.as_dict() for row in rows.all]
    chosen.output.mkdir(parents=True, exist_ok=True)
    name = f"round-trips{'-quick' if chosen.quick else ''}.json"
    (chosen.output / name).write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(part: Part, rounds: int, rows: Rows, ready: prepared.Prepared, console: Console) -> None:
    with part.opened() as running:
        database = running if part.name is None else replace(running, name=part.name)
        for delay in part.delays:
            found, differences = measure(database, part.ways, delay, rounds, part.tables, ready, console)
            rows.all += found
            rows.differences += differences


def _table(rows: Rows) -> Table:
    table = Table(title="seconds of the source, by milliseconds of a round trip", title_justify="left")
    for name in ("database", "ms", "way", "E", "CPU", "workflow", "statements", "connections", "for nothing"):
        table.add_column(name, justify="left" if name in ("database", "way") else "right", no_wrap=True)
    for row in rows.all:
        times = (f"{seconds:.2f}" for seconds in (row.E_s, row.cpu_s, row.workflow_s))
        counts = (str(count) for count in (row.statements, row.connections, row.for_nothing))
        table.add_row(row.database, f"{row.delay_ms:g}", row.way, *times, *counts)
    return table


if __name__ == "__main__":
    sys.exit(main())
