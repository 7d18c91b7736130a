"""`make bench-shards`: one ingestion in 1, 2 and 4 shards, where the source is slow to answer.

The work is bounded; the start-up is printed beside it. What reads a schema at once or ahead is off for the bound, since
it removes the very waits that shards overlap; with everything on, the times are printed. So are those of Airflow's
mapped tasks and of Ray's, which pay a start-up for each shard.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.ingestions import postgres_programs
from benchmarks.screen import screen
from benchmarks.shards.figures import MOST, Row, cells
from benchmarks.shards.warehouses import TABLES, Slow, slow_mariadb, slow_redshift
from benchmarks.shards.ways import Done, Ways
from benchmarks.stopped import told
from tests.ingest import compare

RESULTS = Path(__file__).resolve().parents[1] / "results"

#: They take away the waits that shards overlap.
_AHEAD = ("postgres_bulk", "read_ahead")

#: How one ingestion was run, in a table.
PROCESSES, AIRFLOW, RAY = "shard all", "Airflow", "Ray"


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks shards", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the tables, without Airflow and Ray")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    tables = TABLES // 4 if chosen.quick else TABLES
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    rows: list[Row] = []
    with slow_mariadb(tables) as warehouse:
        bounds = _measure(warehouse, ready, rows, console, with_runners=not chosen.quick)
    with slow_redshift(postgres_programs(ready), tables) as warehouse:
        bounds += _measure(warehouse, ready, rows, console, with_runners=False)
    written = [row.as_dict() for row in rows]
    console.print(_table(written))
    chosen.output.mkdir(parents=True, exist_ok=True)
    content = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds], "runs": written}
    (chosen.output / "shards.json").write_text(json.dumps(content, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(
    warehouse: Slow, ready: prepared.Prepared, rows: list[Row], console: Console, *, with_runners: bool
) -> list[Bound]:
    """Adds a row for each run; the bounds on them."""
    without = {"OM_BULKSINK_ACCELERATE": ",".join(name for name in ready.accelerators() if name not in _AHEAD)}
    plain = Ways(warehouse.source, ready, without)
    states: list[Any] = []

    def run(by: str, way: Callable[[int], Done], shards: int, *, ahead: bool = False) -> float:
        done = way(shards)
        rows.append(Row(warehouse.name, ahead, by, shards, done.took))
        console.print(rows[-1].as_dict(), highlight=False)
        states.append(done.state)
        return done.took.work

    work = {shards: run(PROCESSES, plain.processes, shards) for shards in (1, 2, 4)}
    ahead = Ways(warehouse.source, ready, {"OM_BULKSINK_READ_AHEAD": "4"})
    for shards in (1, 2, 4):
        run(PROCESSES, ahead.processes, shards, ahead=True)
    for by, way in ((AIRFLOW, plain.airflow), (RAY, plain.ray)) if with_runners else ():
        for shards in (2, 4):
            run(by, way, shards)
    differences = sum(len(compare(states[0], state)) for state in states[1:])
    return [
        *(
            Bound(f"{warehouse.name}: work of {shards} shards / of one", work[shards] / work[1], most, "times")
            for shards, most in MOST.items()
        ),
        Bound(f"{warehouse.name}: differences of the catalogues", differences, 0, ""),
    ]


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="one ingestion in shards", title_justify="left")
    head, *body = cells(rows)
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < 3 else "right", no_wrap=True)
    for row in body:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
