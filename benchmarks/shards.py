"""`make bench-shards`: one ingestion as 1, 2 and 4 processes of `shard all`, where the source is slow to answer.

The work phase is bounded; the start-up is printed beside it. What reads a schema at once or ahead is off for the bound,
since it removes the very waits that shards overlap; with everything on, the times are printed.
"""

from __future__ import annotations

import argparse
import json
import re
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
from benchmarks.ingestions import postgres_programs
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest import Postgres, ReferenceServer, compare
from tests.ingest.runs import inherited_variables
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source
from tests.ingest.workflow import workflow, write
from tests.redshift import Shape, Warehouse
from tests.redshift.proxy import Dialect, Proxy

RESULTS = Path(__file__).resolve().parent / "results"

#: Of the work phase of one process.
MOST = {2: 0.65, 4: 0.48}

#: They take away the waits that shards overlap.
_AHEAD = ("postgres_bulk", "read_ahead")

_PHASE = re.compile(r"(opened|shards|closed) ([0-9.]+) s")


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks shards", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the tables")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    size = 4 if chosen.quick else 1
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    rows: list[dict[str, Any]] = []
    bounds: list[Bound] = []
    programs = postgres_programs(ready)
    with Postgres(programs) as database:
        fill_postgres(database, "shop", PostgresShape(schemas=20, tables=50 // size, columns=10))
        proxy = Proxy(database.port, Dialect(["no_facade"]), delay=0.010)
        try:
            source = postgres_source(
                database,
                "shop",
                options={"schemaFilterPattern": {"excludes": ["^(information_schema|public)$"]}},
                connection={"hostPort": f"127.0.0.1:{proxy.port}"},
            )
            bounds += _measure("PostgreSQL, 10 ms a statement", source, ready, rows, console)
        finally:
            proxy.stop()
    with Warehouse(programs, Shape(schemas=8, tables=50 // size, columns=20), delay=0.2) as warehouse:
        bounds += _measure("Redshift, 200 ms a statement", warehouse.source(), ready, rows, console)
    console.print(_table(rows))
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds], "runs": rows}
    (chosen.output / "shards.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _measure(
    title: str, source: dict[str, Any], ready: prepared.Prepared, rows: list[dict[str, Any]], console: Any
) -> list[Bound]:
    without = {"OM_BULKSINK_ACCELERATE": ",".join(name for name in ready.accelerators() if name not in _AHEAD)}
    work: dict[int, float] = {}
    states: list[Any] = []
    for ahead in (False, True):
        for processes in (1, 2, 4):
            row, state = _run(source, ready, processes, {} if ahead else without)
            rows.append({"source": title, "everything_on": ahead, "processes": processes, **row})
            console.print(f"{title}, {processes} processes: {row}", highlight=False)
            states.append(state)
            if not ahead:
                work[processes] = row["work_s"]
    differences = sum(len(compare(states[0], state)) for state in states[1:])
    return [
        *(
            Bound(f"{title}: work of {processes} shards / of one", work[processes] / work[1], most, "times")
            for processes, most in MOST.items()
        ),
        Bound(f"{title}: differences of the catalogues", differences, 0, ""),
    ]


def _run(
    source: dict[str, Any], ready: prepared.Prepared, processes: int, variables: dict[str, str]
) -> tuple[dict[str, float], Any]:
    with ReferenceServer(ready.server) as server, tempfile.TemporaryDirectory() as folder:
        file = write(workflow(source=source, server_url=server.url, token=server.token), Path(folder) / "workflow.yaml")
        words = ["shard", "all", "-c", str(file), "-n", str(processes), "--processes", str(processes)]
        started = time.monotonic()
        ran = subprocess.run(
            [ready.with_sink / "bin" / "python", "-m", "openmetadata_bulksink", *words],
            env={**inherited_variables(), "PYTHONHASHSEED": "0", **variables},
            capture_output=True,
            text=True,
        )
        whole = time.monotonic() - started
        if ran.returncode != 0:
            raise SystemExit(f"shard all ended with {ran.returncode}\n{ran.stderr[-3_000:]}")
        phases = {name: float(seconds) for name, seconds in _PHASE.findall(ran.stderr)}
        start_up = re.search(r"Start-up took ([0-9]+) s", ran.stderr)
        row = {
            "whole_s": round(whole, 1),
            "start_up_s": float(start_up[1]) if start_up else 0.0,
            "work_s": phases["shards"],
            "open_and_close_s": round(phases["opened"] + phases["closed"], 1),
        }
        return row, server.state()


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="one ingestion as several processes", title_justify="left")
    names = ("source", "everything_on", "processes", "work_s", "open_and_close_s", "start_up_s", "whole_s")
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "source" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(str(row[name]) for name in names))
    return table


if __name__ == "__main__":
    sys.exit(main())
