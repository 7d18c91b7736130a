"""`make bench-scale`: a million tables against a server without latency that keeps no bodies.

Two questions: does memory stay where it is, and what is our own ceiling, in tables and in bytes, and which part of
the machine sets it?
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import children, machine_facts, prepared
from benchmarks.bounds import Bound, Figure, conclude
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest.reference_server import ReferenceServer

RESULTS = Path(__file__).resolve().parent.parent / "results"

TABLES = 1_000_000
WARM_AT = 50_000
WORKERS = 4
MOST_GROWTH_MB = 20.0
MB = 1e6


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or the run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks scale", description=__doc__)
    parser.add_argument("--tables", type=int, default=TABLES, help=f"more than {WARM_AT}")
    parser.add_argument("--body-bytes", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    if chosen.tables <= WARM_AT:
        parser.error(f"--tables must be more than {WARM_AT}: memory is compared with that many")
    console = screen()
    facts = machine_facts.describe()
    size = f"{chosen.tables:,} tables, bodies of {chosen.body_bytes / 1000:g} kB"
    console.print(f"[bold]Scale[/]: {size}", highlight=False)
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    found, log = _measure(chosen.tables, chosen.body_bytes, chosen.workers, console)
    rate = chosen.tables / found["total_s"]
    shares = _shares(found)
    console.print(
        f"{rate:,.0f} tables/s, {rate * found['body_bytes'] / MB:.0f} MB/s, {found['stats']['requests']:,} requests, "
        f"{log['connections']} connections, {found['total_s']:.1f} s",
        highlight=False,
    )
    for name, share in shares.items():
        console.print(f"  {name:<42} {share:6.1%} of one core", highlight=False)
    bounds = _bounds(chosen, found, log)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = {"machine": facts, "tables": chosen.tables, "tables_per_s": rate, "cores_used": shares, "server": log}
    figures = [
        Figure("what one process of ours takes in", rate, "tables/s"),
        Figure("the same, in bodies", rate * found["body_bytes"] / MB, "MB/s"),
    ]
    written |= {"bounds": [bound.as_dict() for bound in bounds], "figures": [one.as_dict() for one in figures]}
    written["run"] = found
    (chosen.output / "scale.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(tables: int, body_bytes: int, workers: int, console: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    ready = prepared.from_environment()
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    before = _children_cpu()
    with ReferenceServer(ready.server, arguments=["--keep-bodies", "false"]) as server:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("tables", total=tables)
            job: dict[str, Any] = {"url": server.url, "token": server.token}
            job |= {"tables": tables, "body_bytes": body_bytes, "workers": workers}
            found = children.run(
                "benchmarks.cost.scale_child",
                ready.with_sink,
                job,
                told=lambda message: progress.update(task, completed=message["submitted"]),
            )
        log = server.summary()
    # The server has ended and was waited for: what children cost, without the one that we know, is its cost.
    found["server_cpu_s"] = _children_cpu() - before - found["process_cpu_s"]
    return found, log


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _shares(found: dict[str, Any]) -> dict[str, float]:
    """CPU of each part over the time of the run: what is near a core, or all of it near all cores, is the ceiling."""
    total = found["total_s"]
    shares = {
        "the thread that submits": found["main_cpu_s"] / total,
        "our other threads (HTTP, engine)": (found["process_cpu_s"] - found["main_cpu_s"]) / total,
        "the reference server": found["server_cpu_s"] / total,
    }
    return {**shares, f"all of them, of {len(os.sched_getaffinity(0))} cores": sum(shares.values())}


def _bounds(chosen: argparse.Namespace, found: dict[str, Any], log: dict[str, Any]) -> list[Bound]:
    samples: list[tuple[int, int]] = found["rss"]
    warm = next(size for number, size in samples if number >= WARM_AT)
    growth = (samples[-1][1] - warm) / MB
    lost = found["counts"]["failed"] + found["counts"]["warned"]
    submitted = found["stats"]["submitted"]
    return [
        Bound(f"memory at the end, above that after {WARM_AT:,} ({warm / MB:.0f} MB)", growth, MOST_GROWTH_MB, "MB"),
        Bound("records without an outcome", submitted - found["counts"]["written"] - lost, 0, "records"),
        Bound(f"records lost {found['reasons'][:2] if lost else ''}".rstrip(), lost, 0, "records"),
        Bound("connections", log["connections"], chosen.workers + 2, "connections"),
    ]


if __name__ == "__main__":
    sys.exit(main())
