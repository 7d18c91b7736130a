"""`make bench-overlap`: is writing hidden behind extraction? A real PostgreSQL ingestion with default settings.

E is our run against a server that answers at once, S what the slow server works on the same rows. With four workers the
source loop must not take more than 1.05 x max(E, S / 4) + 1.5 s.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import machine_facts, prepared, request_log
from benchmarks.bounds import Bound, conclude
from benchmarks.ingestions import (
    OFF,
    Runs,
    Setting,
    in_rounds,
    measure,
    no_differences,
    of,
    postgres_programs,
)
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest import Postgres
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source

RESULTS = Path(__file__).resolve().parent / "results"

WORKERS = 4
REQUEST_MS, ROW_MS = 105.0, 26.0
# A row and its share of a full request.
ROW_AND_SHARE_MS = ROW_MS + REQUEST_MS / 100
OTHER_MS_WITH_KEYS = 10.0
# So many times as fast as upstream's sink where the server costs nothing.
FASTER = 2.8


def settings(foreign_keys: int) -> list[Setting]:
    """Upstream and ours against the slow server, and against one without latency; there upstream without keys only: its
    figure is about the source.
    """
    other = {"other": {"request_ms": OTHER_MS_WITH_KEYS}} if foreign_keys else {}
    slow = {"bulk": {"request_ms": REQUEST_MS, "row_ms": ROW_MS}, **other}
    fast = [] if foreign_keys else [Setting("fast", "upstream, server without latency", {}, OFF)]
    return [
        Setting("limit", "ours, server without latency (E)", other),
        *fast,
        Setting("ours", "ours", slow),
        Setting("upstream", "upstream", slow, OFF),
    ]


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where the bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks overlap", description=__doc__)
    parser.add_argument("--schemas", type=int, default=5)
    parser.add_argument("--tables", type=int, default=200, help="in each schema")
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--foreign-keys", type=int, default=0, help="for each table; other requests take 10 ms then")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    shape = PostgresShape(chosen.schemas, chosen.tables, chosen.columns, chosen.foreign_keys)
    console = screen()
    runs, facts = _measure(shape, chosen.rounds)
    console.print(_table(shape, runs))
    bounds = _bounds(shape, runs)
    chosen.output.mkdir(parents=True, exist_ok=True)
    name = "overlap-foreign-keys.json" if shape.foreign_keys else "overlap.json"
    written = {
        "shape": vars(shape),
        "machine": facts,
        "server_s": _server_s(runs),
        "bounds": [b.as_dict() for b in bounds],
    }
    written["runs"] = [run.as_dict() for found in runs.values() for run in found]
    (chosen.output / name).write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(shape: PostgresShape, rounds: int) -> tuple[Runs, dict[str, str]]:
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    tables = shape.schemas * shape.tables
    chosen = settings(shape.foreign_keys)
    console.print(
        f"[bold]Overlap[/]: PostgreSQL, {tables:,} tables x {shape.columns} columns in {shape.schemas} schemas, "
        f"{shape.foreign_keys} foreign keys a table; {REQUEST_MS:g} ms a bulk request + {ROW_MS:g} ms a row",
        highlight=False,
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with Postgres(postgres_programs(ready)) as server:
        fill_postgres(server, "shop", shape)
        source = postgres_source(server, "shop", service="shop")
        runs = in_rounds(
            chosen,
            rounds,
            lambda setting: measure(setting, source, ready, tables=tables, console=console),
            lambda found: f"loop {found.loop_s:6.1f} s",
            console,
        )
    return runs, facts


def _server_s(runs: Runs) -> float:
    return runs["ours"][0].rows * ROW_AND_SHARE_MS / 1000


def _bounds(shape: PostgresShape, runs: Runs) -> list[Bound]:
    limit, work = of(runs["limit"], "loop_s").median, _server_s(runs)
    text = f"loop time <= 1.05 x max(E, S / {WORKERS}) + 1.5 s (E {limit:.1f} s, S {work:.1f} s)"
    most = 1.05 * max(limit, work / WORKERS) + 1.5
    found = [
        Bound(text, of(runs["ours"], "loop_s").median, most),
        no_differences(runs["upstream"][-1], runs["ours"][-1]),
    ]
    if not shape.foreign_keys:
        # Where the server costs nothing, what is left is the source: this is about the accelerators.
        faster = of(runs["limit"], "workflow_s").median / of(runs["fast"], "workflow_s").median
        found.append(Bound("ours / upstream, server without latency", faster, 1 / FASTER, "times"))
    if shape.foreign_keys:
        ours, upstream = (float(len(runs[key][-1].log)) for key in ("ours", "upstream"))
        found.append(Bound("requests, against upstream's", ours, upstream, "requests"))
    return found


def _table(shape: PostgresShape, runs: Runs) -> Table:
    table = Table(title=f"{shape.schemas * shape.tables:,} tables, {runs['ours'][0].rows:,} rows", title_justify="left")
    for name in (
        "",
        "loop",
        "of it source",
        "of it sink",
        "after the loop",
        "workflow",
        "requests",
        "rows a batch",
        "in flight",
    ):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for setting in settings(shape.foreign_keys):
        found = runs[setting.key]
        last = found[-1]
        cells: list[Any] = [of(found, name).text() for name in ("loop_s", "source_s", "sink_s", "tail_s", "workflow_s")]
        mean = request_log.mean_batch(last.log)
        cells += [len(last.log), f"{mean:.0f}" if mean else "-", request_log.most_in_flight(last.log)]
        table.add_row(setting.title, *(str(cell) for cell in cells))
    return table


if __name__ == "__main__":
    sys.exit(main())
