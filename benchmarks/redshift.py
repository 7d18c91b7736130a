"""`make bench-redshift`: upstream's own Redshift connector with one life cycle record for each table, both sinks.

Two servers: one that answers at once (what do sink and source cost by themselves?), and one at the rates of the report.
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
    Ingestion,
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
from tests.redshift import Shape, Warehouse

RESULTS = Path(__file__).resolve().parent / "results"

WORKERS = 4
REQUEST_MS, ROW_MS, LIFE_CYCLE_MS = 105.0, 26.0, 39.0
ROW_AND_SHARE_MS = ROW_MS + REQUEST_MS / 100


_SLOW = {
    "bulk": {"request_ms": REQUEST_MS, "row_ms": ROW_MS},
    **{name: {"request_ms": LIFE_CYCLE_MS} for name in ("life_cycle", "patch", "get")},
}

SETTINGS = [
    Setting("ours-fast", "ours, server without latency", {}),
    Setting("upstream-fast", "upstream, server without latency", {}, OFF),
    Setting("ours-slow", "ours, the report's server", _SLOW),
    Setting("upstream-slow", "upstream, the report's server", _SLOW, OFF),
]


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks redshift", description=__doc__)
    parser.add_argument("--full", action="store_true", help="10 schemas of 1,000 tables")
    parser.add_argument("--schemas", type=int, default=1)
    parser.add_argument("--tables", type=int, default=1_000, help="in each schema")
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    shape = Shape(schemas=10 if chosen.full else chosen.schemas, tables=chosen.tables, columns=chosen.columns)
    console = screen()
    runs, facts = _measure(shape, chosen.rounds)
    console.print(_table(shape, runs))
    for speed in ("fast", "slow"):
        ratio = of(runs[f"upstream-{speed}"], "workflow_s").median / of(runs[f"ours-{speed}"], "workflow_s").median
        console.print(f"upstream / ours, {_server_named(speed)}: {ratio:.1f}", highlight=False)
    bounds = _bounds(shape, runs)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = {"shape": vars(shape), "machine": facts, "bounds": [bound.as_dict() for bound in bounds]}
    written["runs"] = [{**run.as_dict(), **_arrived(run)} for found in runs.values() for run in found]
    (chosen.output / ("redshift-full.json" if chosen.full else "redshift.json")).write_text(
        json.dumps(written, indent=1) + "\n"
    )
    return conclude(console, bounds)


def _measure(shape: Shape, rounds: int) -> tuple[Runs, dict[str, str]]:
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    tables = shape.schemas * (shape.tables + shape.views)
    console.print(
        f"[bold]Redshift connector[/]: {shape.schemas} x {shape.tables:,} tables x {shape.columns} columns, "
        f"{shape.life_cycles:,} life cycles",
        highlight=False,
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with Warehouse(postgres_programs(ready), shape) as warehouse:
        runs = in_rounds(
            SETTINGS,
            rounds,
            lambda setting: measure(setting, warehouse.source(), ready, tables=tables, console=console),
            lambda found: f"workflow {found.workflow_s:6.1f} s",
            console,
        )
    return runs, facts


def _server_named(speed: str) -> str:
    return "server without latency" if speed == "fast" else "the report's server"


def _arrived(run: Ingestion) -> dict[str, int]:
    """What the server has: without the columns a run of this connector may look like a success."""
    tables = run.state.get("tables", {}).values()
    return {
        "tables": len(tables),
        "columns": sum(len(table.get("columns") or ()) for table in tables),
        "life_cycles": sum(1 for table in tables if (table.get("lifeCycle") or {}).get("created")),
    }


def _expected(shape: Shape) -> dict[str, int]:
    tables = shape.schemas * (shape.tables + shape.views)
    columns = shape.schemas * (shape.tables * shape.columns + 2 * shape.views)
    return {"tables": tables, "columns": columns, "life_cycles": shape.life_cycles}


def _bounds(shape: Shape, runs: Runs) -> list[Bound]:
    fast, slow = runs["ours-fast"], runs["ours-slow"]
    source = of(fast, "source_s").median
    extraction = of(fast, "workflow_s").median
    work = (slow[-1].rows * ROW_AND_SHARE_MS + shape.life_cycles * LIFE_CYCLE_MS) / 1000
    found = [
        Bound(
            f"without latency: workflow <= 1.05 x source + 1.5 s (source {source:.1f} s)",
            of(fast, "workflow_s").median,
            1.05 * source + 1.5,
        ),
        Bound(
            f"the report's server: workflow <= 1.05 x max(E, S / {WORKERS}) + 1.5 s"
            f" (E {extraction:.1f} s, S {work:.1f} s)",
            of(slow, "workflow_s").median,
            1.05 * max(extraction, work / WORKERS) + 1.5,
        ),
    ]
    expected = _expected(shape)
    for key in ("ours-fast", "ours-slow"):
        missing = sum(abs(expected[name] - count) for run in runs[key] for name, count in _arrived(run).items())
        found.append(Bound(f"{key}: tables, columns and life cycles missing at the server", missing, 0, "things"))
    found.append(no_differences(runs["upstream-slow"][-1], slow[-1]))
    return found


def _table(shape: Shape, runs: Runs) -> Table:
    table = Table(
        title=f"{shape.schemas * shape.tables:,} tables, {shape.life_cycles:,} life cycles", title_justify="left"
    )
    head = (
        "",
        "workflow",
        "extraction",
        "in the sink",
        "after the loop",
        "requests",
        "life cycle requests",
        "rows a batch",
    )
    for name in (*head, "in flight", "success"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    expected = sum(_expected(shape).values())
    for setting in SETTINGS:
        found = runs[setting.key]
        last = found[-1]
        counts = request_log.by_class(last.log)
        mean = request_log.mean_batch(last.log)
        cells: list[Any] = [of(found, name).text() for name in ("workflow_s", "source_s", "sink_s", "tail_s")]
        cells += [len(last.log), f"{counts.get('life_cycle', 0)} PATCH, {counts.get('get', 0)} GET"]
        cells += [f"{mean:.0f}" if mean else "-", request_log.most_in_flight(last.log)]
        cells.append(f"{sum(_arrived(last).values()) / expected:.1%}")
        table.add_row(setting.title, *(str(cell) for cell in cells))
    return table


if __name__ == "__main__":
    sys.exit(main())
