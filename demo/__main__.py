"""Prepares everything, runs the same workflow twice, shows one table.

The server is the reference server of `tests/server`, as slow as the one of the workload that this project was made
for. Nothing is installed outside the cache directory and nothing stays running.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.ingest import ReferenceServer, Run, compare, describe, ingest, workflow
from tests.ingest.catalogue import Difference
from tests.ingest.reference_server import ServerFailed, State
from tests.ingest.runs import RunFailed
from tests.ingest.sources import sqlite_file, sqlite_source
from tools import artifacts, environments, machine, steps

UPSTREAM = "2.0.7.0"
REQUEST_MS = 105
ROW_MS = 26


@dataclass(frozen=True)
class Contender:
    """One of the two runs: a name and the variables of its environment."""

    name: str
    variables: dict[str, str]


WITHOUT = Contender("upstream", {"OM_BULKSINK": "0"})
WITH = Contender("openmetadata-bulksink", {})


@dataclass(frozen=True)
class Result:
    """What one run took and left behind."""

    contender: Contender
    run: Run
    state: State
    requests: int

    @property
    def entities(self) -> int:
        """Entities on the server that a database ingestion writes."""
        return sum(len(self.state.get(name, {})) for name in ("databases", "databaseSchemas", "tables"))

    @property
    def failures(self) -> int:
        """What the workflow itself reports as failed."""
        return sum(len(step.failures) for step in self.run.steps)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if both runs succeeded and left the same catalogue."""
    parser = argparse.ArgumentParser(prog="python3 -m demo", description=__doc__)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--wheel", type=Path, help="a wheel of ours to run with, instead of the one of this tree")
    chosen = parser.parse_args(arguments)
    missing = machine.everything_missing()
    if missing:
        print("\n".join(f"missing: {line}" for line in missing), file=sys.stderr)
        return 1
    try:
        return _compare(chosen.tables, chosen.columns, chosen.wheel)
    except (machine.Missing, steps.StepFailed, ServerFailed, RunFailed) as error:
        print(f"the demo stopped: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
    return 1


def _compare(tables: int, columns: int, wheel: Path | None) -> int:
    print("Preparing (the first time: two environments, the wheel and the reference server)")
    server = artifacts.reference_server()
    environment = environments.with_wheel(environments.upstream_environment(UPSTREAM), wheel or artifacts.wheel())
    print(
        f"\nIngesting {tables} tables of {columns} columns from SQLite with `metadata ingest` {UPSTREAM},\n"
        f"into a server that takes {REQUEST_MS} ms for a request and {ROW_MS} ms for a row\n"
    )
    with tempfile.TemporaryDirectory(prefix="bulksink-demo-") as folder:
        file = sqlite_file(Path(folder) / "demo.db", tables=tables, columns=columns)
        results = [_ingest(contender, environment, server, file, tables) for contender in (WITHOUT, WITH)]
    differences = compare(results[0].state, results[1].state)
    print("\n" + table(results, differences))
    if differences:
        print(describe(differences))
    for result in results:
        if result.run.exit_code != 0 or result.failures:
            print(f"\nThe run of {result.contender.name} ended with status {result.run.exit_code}; its last lines:")
            print("\n".join(result.run.output.splitlines()[-30:]))
    lost = any(result.run.exit_code or result.failures for result in results)
    return 1 if differences or lost else 0


def _ingest(contender: Contender, environment: Path, program: Path, file: Path, tables: int) -> Result:
    latency = {"bulk": {"request_ms": REQUEST_MS, "row_ms": ROW_MS}}
    with ReferenceServer(program, latency=latency) as server:
        config = workflow(source=sqlite_source(file, service="demo"), server_url=server.url, token=server.token)
        with Progress(contender.name, server, tables):
            run = ingest(environment, config, variables=contender.variables)
        return Result(contender, run, server.state(), server.summary()["requests"])


class Progress:
    """Shows how many tables the server has, once a second on a terminal, every five seconds elsewhere."""

    def __init__(self, name: str, server: ReferenceServer, tables: int) -> None:
        self._name = name
        self._server = server
        self._tables = tables
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._line(final=True)

    def _show(self) -> None:
        while not self._end.wait(1.0 if sys.stdout.isatty() else 5.0):
            self._line(final=False)

    def _line(self, *, final: bool) -> None:
        try:
            summary = self._server.summary()
        except (OSError, ServerFailed):
            return
        written = summary["rows_by_collection"].get("tables", 0)
        seconds = time.monotonic() - self._started
        filled = min(30, written * 30 // max(1, self._tables))
        state = f"{written:5} of {self._tables} tables" if summary["requests"] else "starting, importing upstream"
        text = f"  {self._name:<22} [{'#' * filled:<30}] {seconds:5.1f} s  {state:<30}"
        on_terminal = sys.stdout.isatty()
        print(f"\r{text}" if on_terminal else text, end="" if on_terminal and not final else "\n", flush=True)


def table(results: Sequence[Result], differences: Sequence[Difference]) -> str:
    """The comparison as text."""
    first, second = results
    rows: list[tuple[str, ...]] = [("", first.contender.name, second.contender.name, "")]

    def seconds(label: str, one: float | None, other: float | None) -> None:
        ratio = f"{one / other:.1f} x" if one and other else ""
        rows.append((label, *[f"{value:.1f} s" if value is not None else "-" for value in (one, other)], ratio))

    seconds("whole process", first.run.process_s, second.run.process_s)
    seconds("  of it imports", first.run.import_s, second.run.import_s)
    seconds("  of it the workflow", first.run.workflow_s, second.run.workflow_s)
    seconds("    in the source loop", first.run.loop_s, second.run.loop_s)
    rows.append(("requests", str(first.requests), str(second.requests), ""))
    rows.append(("entities", str(first.entities), str(second.entities), ""))
    rows.append(("failures", str(first.failures), str(second.failures), ""))
    rows.append(("same catalogue", "", "no" if differences else "yes", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("   ".join(cells).rstrip())
        if number == 0:
            lines.append("-" * len(lines[0]))
    return "\n".join(lines)


if __name__ == "__main__":
    os.chdir(machine.REPOSITORY)
    sys.exit(main())
