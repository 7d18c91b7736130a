"""`make bench-accelerators`: what a table costs upstream's Redshift source, or another one, with and without
accelerators, and the share of each one.

The server answers at once and the sink's time is taken off, so what is left is the source. For the bound each run is a
process of its own. The shares are smaller than the noise of that: they are taken from what the source's thread computed
in runs of one process, one after the other, and of each the least counts, because noise only adds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import catalogues, machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.catalogues import Catalogue
from benchmarks.ingestions import Runs, Setting, in_rounds, measure, no_differences, of
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest import ReferenceServer, Session, workflow

RESULTS = Path(__file__).resolve().parent / "results"

#: Of the Redshift source's time; the others were never promised a share.
MOST = 0.62

#: For the shares: tables in a run, and rounds.
SHARE_TABLES, SHARE_ROUNDS = 200, 6

NONE, ALL = "none", "all"


SETTINGS = [
    Setting(NONE, "no accelerator", {}, {"OM_BULKSINK_ACCELERATE": "0"}),
    Setting(ALL, "all accelerators", {}, {"OM_BULKSINK_ACCELERATE": "1"}),
]


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where the bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks accelerators", description=__doc__)
    parser.add_argument("--source", choices=catalogues.MAKERS, default="redshift")
    parser.add_argument("--tables", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-shares", action="store_true", help="only the bound")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    console = screen()
    make = catalogues.MAKERS[chosen.source]
    catalogue = make(tables=chosen.tables)
    runs, facts = _measure(catalogue, chosen.rounds)
    shares = {} if chosen.no_shares else _shares(make(tables=SHARE_TABLES))
    tables = catalogue.expected.tables
    console.print(_table(runs, tables))
    if shares:
        console.print(_table_of_shares(shares))
    bounds = _bounds(catalogue, runs)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {"catalogue": catalogue.as_dict(), "machine": facts}
    written["bounds"] = [bound.as_dict() for bound in bounds]
    written["ms_a_table"] = {
        key: {name: 1000 * of(found, name).median / tables for name in ("source_s", "source_cpu_s")}
        for key, found in runs.items()
    }
    written["shares"] = {"tables": SHARE_TABLES, "rounds": SHARE_ROUNDS, "least_cpu_ms_a_table": shares}
    written["runs"] = [run.as_dict() for found in runs.values() for run in found]
    (chosen.output / f"accelerators-{chosen.source}.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(catalogue: Catalogue, rounds: int) -> tuple[Runs, dict[str, str]]:
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    tables = catalogue.expected.tables
    console.print(f"[bold]Accelerators[/]: {catalogue.title} x {catalogues.COLUMNS} columns", highlight=False)
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with catalogue.open(ready) as source:
        runs = in_rounds(
            SETTINGS,
            rounds,
            lambda setting: measure(setting, source, ready, tables=tables, console=console),
            lambda found: f"source {found.source_s:6.2f} s, computing {found.source_cpu_s:6.2f} s",
            console,
        )
    return runs, facts


def _shares(catalogue: Catalogue) -> dict[str, float]:
    """Milliseconds that a table costs the source's thread: with none, all, and each accelerator alone."""
    ready = prepared.from_environment()
    console = screen()
    values = {NONE: "0", ALL: "1", **{name: name for name in ready.accelerators()}}
    found: dict[str, list[float]] = {key: [] for key in values}
    with (
        catalogue.open(ready) as source,
        ReferenceServer(ready.server) as server,
        Session(ready.with_sink) as session,
    ):
        config = workflow(source=source, server_url=server.url, token=server.token)
        for number in range(SHARE_ROUNDS + 1):
            for key, value in values.items():
                server.reset()
                variables = {"OM_BULKSINK_ACCELERATE": value}
                run = session.run(config, variables=variables, time_sink=True).require_success()
                if number and run.loop_cpu_s is not None and run.sink_cpu_s is not None:  # the first one warms up
                    found[key].append(1000 * (run.loop_cpu_s - run.sink_cpu_s) / catalogue.expected.tables)
            console.print(f"  shares, round {number} of {SHARE_ROUNDS}", highlight=False)
    return {key: min(each) for key, each in found.items()}


def _bounds(catalogue: Catalogue, runs: Runs) -> list[Bound]:
    without, accelerated = (of(runs[key], "source_s").median for key in (NONE, ALL))
    per_table = 1000 / catalogue.expected.tables
    text = f"source cost of a table, {per_table * accelerated:.2f} of {per_table * without:.2f} ms"
    most = MOST if catalogue.key == "redshift" else 1.0
    return [
        Bound(text, accelerated / without, most, "times"),
        no_differences(runs[NONE][-1], runs[ALL][-1]),
    ]


def _table(runs: Runs, tables: int) -> Table:
    table = Table(title=f"milliseconds a table, {tables:,} tables and views", title_justify="left")
    for name in ("", "source", "of it computing"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for key, found in runs.items():
        cells = []
        for name in ("source_s", "source_cpu_s"):
            one = of(found, name)
            middle, least, most = (1000 * value / tables for value in (one.median, one.least, one.most))
            cells.append(f"{middle:.2f} ({least:.2f}-{most:.2f})")
        table.add_row(key, *cells)
    return table


def _table_of_shares(shares: dict[str, float]) -> Table:
    table = Table(title="what each one saves alone, of the source's computing", title_justify="left")
    for name in ("", "ms a table", "less"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for key, value in shares.items():
        table.add_row(key, f"{value:.2f}", "" if key == NONE else f"{1 - value / shares[NONE]:.1%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
