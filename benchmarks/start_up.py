"""`make bench-start-up`: from the start of the process to the first request, with our wheel and without it; and what
it costs those who never write through it, the profiler for one.

The imports of upstream take seconds, and differ by more from run to run than what is looked for. So two things are
measured. Wall time, as a user sees it, the least of all rounds, because noise only adds: ours within 50 ms of
upstream's, and what upstream differs from itself (without our wheel, and with it switched off). And the CPU time of
what is ours in it, call by call, which says how much of the 50 ms is used; so, too, what every other Python of the
environment pays, and a program that imports our package and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import children, machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.ingestions import OFF
from benchmarks.measures import spread
from benchmarks.screen import screen
from benchmarks.stopped import Stopped, told
from tests.ingest import ReferenceServer, workflow
from tests.ingest.sources import sqlite_file, sqlite_source
from tests.ingest.workflow import write

RESULTS = Path(__file__).resolve().parent / "results"

# About 1 % of what upstream's imports take: nobody who starts a process for each run would notice.
MOST_S = 0.05
MOST_OWN_MS = 50.0

# What is ours in interpreters that have loaded nothing but what Python itself loads, as code, and the most it may take.
BARE = {
    "the start of any Python": "import _openmetadata_bulksink_boot; _openmetadata_bulksink_boot.start()",
    "import openmetadata_bulksink": "import openmetadata_bulksink",
}
MOST_BARE_MS = 1.0

UPSTREAM, SWITCHED_OFF, OURS = "upstream", "ours, switched off", "ours"
COMMANDS = ("ingest", "profile")

# What the profiler asks for before all else; a fresh reference server has no settings.
_PROFILER_SETTINGS = {
    "match": {"path": "profilerConfiguration"},
    "do": {
        "kind": "status",
        "status": 200,
        "body": {"config_type": "profilerConfiguration", "config_value": {"metricConfiguration": []}},
    },
}


@dataclass(frozen=True)
class Started:
    """Seconds after the start of the process. row: the first bulk request."""

    request: float
    row: float
    end: float


Measured = dict[str, list[Started]]


class StartFailed(Stopped):
    """A process ended badly, or never wrote."""


class Workflows:
    """A small SQLite file, and the workflow files that upstream's command line reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._source = sqlite_source(sqlite_file(folder / "lite.db", tables=1, columns=5))

    def file(self, command: str, server: ReferenceServer) -> Path:
        """For one of the commands."""
        written = workflow(source=self._source, server_url=server.url, token=server.token)
        if command == "profile":
            written["source"] = {**self._source, "sourceConfig": {"config": {"type": "Profiler"}}}
            written["processor"] = {"type": "orm-profiler", "config": {}}
        return write(written, self.folder / f"{command}.yaml")


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks start-up", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print("[bold]Start-up[/]: seconds from the start of the process", highlight=False)
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with tempfile.TemporaryDirectory(prefix="bulksink-start-up-") as folder:
        workflows = Workflows(Path(folder))
        measured = _rounds(ready, workflows, chosen.rounds, console)
        own = {command: _own(ready, workflows, command) for command in COMMANDS}
    bare = {what: _bare(ready.with_sink, code) for what, code in BARE.items()}
    console.print(_table(measured))
    for command, found in own.items():
        parts = ", ".join(f"{name} {milliseconds:.1f} ms" for name, milliseconds in found["cpu_ms"].items())
        console.print(f"Ours in `metadata {command}`, CPU time: {parts}", highlight=False)
    bounds = [*_bounds(measured), *_own_bounds(own)]
    bounds += [Bound(f"ours in {what}, CPU", took, MOST_BARE_MS, "ms") for what, took in bare.items()]
    chosen.output.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds], "ours": own}
    written["runs"] = [{"who": who, **vars(one)} for who, found in measured.items() for one in found]
    (chosen.output / "start-up.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _rounds(ready: prepared.Prepared, workflows: Workflows, rounds: int, console: Console) -> Measured:
    contenders: dict[str, tuple[Path, Mapping[str, str]]] = {
        UPSTREAM: (ready.plain, {}),
        SWITCHED_OFF: (ready.with_sink, OFF),
        OURS: (ready.with_sink, {}),
    }
    measured: Measured = {who: [] for who in contenders}
    for number in range(1, rounds + 1):
        for who, (environment, variables) in contenders.items():
            with ReferenceServer(ready.server) as server:
                found = _start(environment, variables, workflows.file("ingest", server), server)
            measured[who].append(found)
            console.print(
                f"  round {number}  {who:<20} request {found.request:6.2f} s, row {found.row:6.2f} s", highlight=False
            )
    return measured


def _start(environment: Path, variables: Mapping[str, str], file: Path, server: ReferenceServer) -> Started:
    """One process. A request of our own, just before it, ties the server's clock to ours."""
    request = urllib.request.Request(
        f"{server.url}/v1/system/version", headers={"Authorization": f"Bearer {server.token}"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        answer.read()
    mark = server.requests()[-1]
    asked = time.perf_counter()
    _metadata(environment, variables, "ingest", file)
    ended = time.perf_counter()
    log = server.requests(since=mark["n"])
    rows = [one for one in log if one["class"] == "bulk"]
    if not rows:
        raise StartFailed(f"the ingestion wrote nothing: {[one['path'] for one in log]}")
    first, row = ((one["t_start_ms"] - mark["t_end_ms"]) / 1000 for one in (log[0], rows[0]))
    return Started(first, row, ended - asked)


def _metadata(environment: Path, variables: Mapping[str, str], command: str, file: Path) -> None:
    """Upstream's own command line. Raises StartFailed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OM_BULKSINK"))}
    ran = subprocess.run(
        [environment / "bin" / "metadata", command, "-c", file],
        cwd=file.parent,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise StartFailed(f"metadata {command}: status {ran.returncode}\n{(ran.stdout + ran.stderr)[-3_000:]}")


@contextmanager
def _server(ready: prepared.Prepared, workflows: Workflows, command: str) -> Iterator[ReferenceServer]:
    """A server that has what the command works on."""
    with ReferenceServer(ready.server) as server:
        if command == "profile":
            _metadata(ready.plain, {}, "ingest", workflows.file("ingest", server))
            server.set_faults([_PROFILER_SETTINGS])
        yield server


def _own(ready: prepared.Prepared, workflows: Workflows, command: str) -> dict[str, Any]:
    """CPU time of what is ours in one run, by part; and the threads of ours."""
    with _server(ready, workflows, command) as server:
        job = {"arguments": [command, "-c", str(workflows.file(command, server))]}
        return children.run("benchmarks.start_up_child", ready.with_sink, job)


def _bare(environment: Path, code: str) -> float:
    """Milliseconds of CPU, the least of twenty processes; what their start-up hook did is undone before."""
    script = f"""
import sys, time
sys.modules.pop("_openmetadata_bulksink_boot", None)
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "_openmetadata_bulksink_boot"]
since = time.thread_time()
{code}
print(1000 * (time.thread_time() - since))
"""
    command = [str(environment / "bin" / "python"), "-I", "-c", script]
    return min(float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(20))


def _bounds(measured: Measured) -> list[Bound]:
    found = []
    for name, what in (("request", "first request"), ("row", "first row written")):
        plain, off, ours = (_least(measured[who], name) for who in (UPSTREAM, SWITCHED_OFF, OURS))
        noise = abs(plain - off)
        text = f"{what}, ours, <= upstream's + {MOST_S:g} s, and what that differs from itself ({noise:.2f} s)"
        found.append(Bound(text, ours, min(plain, off) + MOST_S + noise, beside=min(plain, off)))
    return found


def _least(found: Sequence[Started], name: str) -> float:
    return min(float(getattr(one, name)) for one in found)


def _own_bounds(own: Mapping[str, Mapping[str, Any]]) -> list[Bound]:
    found = []
    for command, measured in own.items():
        found.append(Bound(f"ours in metadata {command}, CPU", sum(measured["cpu_ms"].values()), MOST_OWN_MS, "ms"))
        found.append(Bound(f"threads of ours in metadata {command} before a record", measured["threads"], 0, ""))
    return found


def _table(measured: Measured) -> Table:
    table = Table()
    for name in ("", "first request", "first row", "end of the process"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for who, found in measured.items():
        cells = [spread(getattr(one, name) for one in found).text(digits=2) for name in ("request", "row", "end")]
        table.add_row(who, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
