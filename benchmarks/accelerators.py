"""`make bench-accelerators`: what a table costs upstream's Redshift source with and without accelerators, and the share
of each one.

The server answers at once and the sink's time is taken off, so what is left is the source. Shares are taken from the
time that its thread computed: waits and other processes do not count in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.ingestions import Ingestion, IngestionFailed, Setting, measure, of, postgres_programs
from benchmarks.screen import screen
from tests.ingest import compare, describe
from tests.ingest.postgres import PostgresFailed
from tests.ingest.reference_server import ServerFailed
from tests.ingest.runs import RunFailed
from tests.redshift import Shape, Warehouse

RESULTS = Path(__file__).resolve().parent / "results"

MOST = 0.62

NONE, ALL = "none", "all"

Runs = dict[str, list[Ingestion]]


def settings(alone: Sequence[str]) -> list[Setting]:
    """None, all, and some of them alone."""
    return [
        Setting(NONE, "no accelerator", {}, {"OM_BULKSINK_ACCELERATE": "0"}),
        Setting(ALL, "all accelerators", {}, {"OM_BULKSINK_ACCELERATE": "1"}),
        *(Setting(name, f"only {name}", {}, {"OM_BULKSINK_ACCELERATE": name}) for name in alone),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where the bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks accelerators", description=__doc__)
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-shares", action="store_true", help="only the bound")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    shape = Shape(schemas=1, tables=chosen.tables, columns=chosen.columns)
    console = screen()
    try:
        runs, facts = _measure(shape, chosen.rounds, shares=not chosen.no_shares)
    except (IngestionFailed, ServerFailed, RunFailed, PostgresFailed) as failure:
        console.print(f"the benchmark stopped: {failure}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 1
    tables = shape.tables + shape.views
    console.print(_table(runs, tables))
    bounds = _bounds(runs, tables)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = {"shape": vars(shape), "machine": facts, "bounds": [bound.as_dict() for bound in bounds]}
    written["ms_a_table"] = {
        key: {name: 1000 * of(found, name).median / tables for name in ("source_s", "source_cpu_s")}
        for key, found in runs.items()
    }
    written["runs"] = [run.as_dict() for found in runs.values() for run in found]
    (chosen.output / "accelerators.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(shape: Shape, rounds: int, *, shares: bool) -> tuple[Runs, dict[str, str]]:
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    chosen = settings(ready.accelerators() if shares else ())
    tables = shape.tables + shape.views
    console.print(
        f"[bold]Accelerators[/]: Redshift connector, {shape.tables:,} tables x {shape.columns} columns", highlight=False
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    runs: Runs = {setting.key: [] for setting in chosen}
    with Warehouse(postgres_programs(ready), shape) as warehouse:
        for number in range(1, rounds + 1):
            for setting in chosen:
                found = measure(setting, warehouse.source(), ready, tables=tables, console=console)
                runs[setting.key].append(found)
                console.print(
                    f"  round {number}  {setting.title:<26} source {found.source_s:6.2f} s, computing "
                    f"{found.source_cpu_s:6.2f} s",
                    highlight=False,
                )
    return runs, facts


def _bounds(runs: Runs, tables: int) -> list[Bound]:
    without, accelerated = (of(runs[key], "source_s").median for key in (NONE, ALL))
    differences = compare(runs[NONE][-1].state, runs[ALL][-1].state)
    if differences:
        print(describe(differences), file=sys.stderr)
    text = f"source cost of a table, {1000 * accelerated / tables:.2f} of {1000 * without / tables:.2f} ms"
    return [
        Bound(text, accelerated / without, MOST, "times"),
        Bound("differences between the catalogues", len(differences), 0, "differences"),
    ]


def _table(runs: Runs, tables: int) -> Table:
    table = Table(title=f"milliseconds a table, {tables:,} tables and views", title_justify="left")
    for name in ("", "source", "of it computing", "less than without"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    without = of(runs[NONE], "source_cpu_s").median
    for key, found in runs.items():
        cells = []
        for name in ("source_s", "source_cpu_s"):
            one = of(found, name)
            cells.append(
                f"{1000 * one.median / tables:.2f} ({1000 * one.least / tables:.2f}-{1000 * one.most / tables:.2f})"
            )
        saved = 1 - of(found, "source_cpu_s").median / without
        table.add_row(key, *cells, "" if key == NONE else f"{saved:.1%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
