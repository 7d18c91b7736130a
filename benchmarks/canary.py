"""`make bench-canary`: how long `doctor --canary` takes on a server at the rates of the report.

The command as a user starts it, imports included. Its work is what it says itself: ten workflows, and what they left
read back after each two.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.screen import screen
from benchmarks.stopped import Stopped, told
from tests.ingest import ReferenceServer, workflow
from tests.ingest.workflow import write

RESULTS = Path(__file__).resolve().parent / "results"

#: A request of any sort, and a row of a bulk request.
LATENCY = {"bulk": {"request_ms": 105, "row_ms": 26}, "other": {"request_ms": 105}}
MOST_WORK_S, MOST_S = 60.0, 120.0

_SOURCE = {"type": "sqlite", "serviceName": "unused", "sourceConfig": {"config": {"type": "DatabaseMetadata"}}}


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or the canary found something."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks canary", description=__doc__)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with tempfile.TemporaryDirectory(prefix="bulksink-canary-") as folder:
        seconds, report = _run(ready, Path(folder))
    console.print(_table(seconds, report))
    bounds = [
        Bound("ten workflows, read back", report["seconds"]["writing"], MOST_WORK_S),
        Bound("the whole command", seconds, MOST_S),
    ]
    chosen.output.mkdir(parents=True, exist_ok=True)
    kept = {name: report[name] for name in ("order", "seconds", "workflows")}
    written: dict[str, Any] = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds], **kept}
    (chosen.output / "canary.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _run(ready: prepared.Prepared, folder: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of the command, and what it reports."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OM_BULKSINK"))}
    with ReferenceServer(ready.server, latency=LATENCY) as server:
        file = write(workflow(source=_SOURCE, server_url=server.url, token=server.token), folder / "workflow.json")
        program = str(ready.with_sink / "bin" / "openmetadata-bulksink")
        command = [program, "doctor", "-c", str(file), "--canary", "--yes", "--json"]
        started = time.monotonic()
        ran = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
    if ran.returncode != 0:
        raise Stopped(f"doctor --canary: status {ran.returncode}\n{(ran.stdout + ran.stderr)[-3_000:]}")
    return seconds, json.loads(ran.stdout)


def _table(seconds: float, report: dict[str, Any]) -> Table:
    table = Table("part", "s", title=f"doctor --canary; {report['order'][0]} wrote first")
    for sink, stages in report["workflows"].items():
        for stage, took in stages.items():
            table.add_row(f"{sink}: {stage}", f"{took:.1f}")
    for part, took in report["seconds"].items():
        table.add_row(f"in all: {part}", f"{took:.1f}")
    table.add_row("start-up and the rest", f"{seconds - sum(report['seconds'].values()):.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
