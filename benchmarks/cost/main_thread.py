"""`make bench-main-thread`: microseconds of the main thread for one table, against serialising it and nothing else; for
one life cycle; and for a request that finds nothing to wait for at the fence.

The thread that extracts is the thread that everything waits for. Its CPU time is measured, so other processes matter
little; everything that the sink does on it counts: Python, Rust, and the outcomes that come later.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import children, machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.measures import Spread, spread
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest.reference_server import ReferenceServer

RESULTS = Path(__file__).resolve().parent.parent / "results"

COLUMNS = (10, 30, 100)
BOUND_COLUMNS = 30
# `run()` may cost so many times what serialising costs.
MOST = 1.5
MOST_US_OF_A_LIFE_CYCLE = 60.0
MOST_US_OF_A_FENCE = 5.0
# A display that asks for the status after each record.
MOST_POLLED = 1.05


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where the bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks main-thread", description=__doc__)
    parser.add_argument("--records", type=int, default=1_200, help="tables in a series")
    parser.add_argument("--series", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print("[bold]Main thread[/]: microseconds for one table", highlight=False)
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with ReferenceServer(ready.server) as server, console.status("measuring"):
        job: dict[str, Any] = {"url": server.url, "token": server.token, "columns": COLUMNS}
        job |= {"records": chosen.records, "series": chosen.series, "polled": BOUND_COLUMNS}
        found = children.run("benchmarks.cost.record_child", ready.with_sink, job)
    table = Table()
    for name in ("columns", "body", "to_json", "run()", "run() / to_json", "run() beyond to_json", "wall, median"):
        table.add_column(name, justify="right", no_wrap=True)
    figures = {columns: _figures(found[str(columns)]) for columns in COLUMNS}
    for columns, by_name in figures.items():
        serialised, spent = by_name["to_json_us"], by_name["run_us"]
        table.add_row(
            str(columns),
            f"{by_name['bytes'].median / 1000:.1f} kB",
            serialised.text("us"),
            spent.text("us"),
            f"{spent.median / serialised.median:.2f}",
            f"{spent.median - serialised.median:.1f} us",
            f"{by_name['run_wall_us'].least:.1f} us",
        )
    console.print(table)
    judged = figures[BOUND_COLUMNS]
    ratio = judged["run_us"].median / judged["to_json_us"].median
    life_cycle, fence = _figures(found["life_cycle"])["life_cycle_us"], _figures(found["fence"])
    polled = _figures(found["polled"])["polled_ratio"]
    behind = fence["fence_behind_barrier_us"]
    told = f"A request through the fence behind a Barrier, with others pending: {behind.text('us')}"
    console.print(told, highlight=False)
    bounds = [
        Bound(f"run() / to_json for a table of {BOUND_COLUMNS} columns", ratio, MOST, "times"),
        Bound("run() for a life cycle", life_cycle.median, MOST_US_OF_A_LIFE_CYCLE, "us"),
        Bound("run() and get_status() behind each, beside run() alone", polled.median, MOST_POLLED, "times"),
        Bound("a request through the fence, with others pending", fence["fence_us"].least, MOST_US_OF_A_FENCE, "us"),
    ]
    chosen.output.mkdir(parents=True, exist_ok=True)
    by_columns = {
        str(columns): {name: value.as_dict() for name, value in by_name.items()} for columns, by_name in figures.items()
    }
    others = {
        "life_cycle_us": life_cycle.as_dict(),
        "polled_ratio": polled.as_dict(),
        **{name: value.as_dict() for name, value in fence.items()},
    }
    written = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds], "columns": by_columns, **others}
    (chosen.output / "main-thread.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _figures(series: Sequence[dict[str, float]]) -> dict[str, Spread]:
    return {name: spread(measured[name] for measured in series) for name in series[0]}


if __name__ == "__main__":
    sys.exit(main())
