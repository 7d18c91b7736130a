"""`make bench-instructions`: what a record costs in instructions, counted by callgrind, against the committed figures.

Instructions do not depend on how busy a machine is, so this can guard speed in CI: a figure that is more than a tenth
above the committed one is a regression. The engine is counted alone (`benches/instructions.rs`); with `--main-thread`
the adapter is counted too, on the thread that runs the workflow: minutes, because upstream starts slowly then.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import children, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.screen import screen
from benchmarks.stopped import Stopped, told
from tests.ingest.reference_server import ReferenceServer
from tools import debian, machine, steps

BASELINE = Path(__file__).resolve().parent / "baseline.json"

TOLERANCE = 1.10
# Ten times the work must take ten times the instructions.
LINEAR_WITHIN = 0.15

# Sizes between which a case is counted, and ten times those.
CASES = {"record": 2_000, "edges": 2_000, "fence-on-nothing": 5_000, "fence-on-pending": 5_000}

COLUMNS = 30
# `run()` may cost so many times what serialising costs.
MOST = 1.5
# Percent.
MOST_FOR_A_REPORT = 1.0
RECORDS = 400


class CountFailed(Stopped):
    """Callgrind, or what it ran, ended badly."""


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a figure is above its bound or nothing could be counted."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks instructions", description=__doc__)
    parser.add_argument("--main-thread", action="store_true", help="count the adapter, too")
    parser.add_argument("--accept", action="store_true", help="write what is counted as the committed figures")
    chosen = parser.parse_args(arguments)
    console = screen()
    counted, others = _engine(console)
    if chosen.main_thread:
        serialised, spent = _main_thread(console)
        _, with_report = _main_thread(console, with_report=True)
        counted[f"main thread: run(), {COLUMNS} columns"] = spent
        others.append(Bound(f"run() / to_json, {COLUMNS} columns", spent / serialised, MOST, "times"))
        others.append(Bound("what a report adds to run()", 100 * (with_report / spent - 1), MOST_FOR_A_REPORT, "%"))
    known: dict[str, float] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if chosen.accept:
        BASELINE.write_text(json.dumps({**known, **counted}, indent=2, sort_keys=True) + "\n")
        known = {**known, **counted}
    unknown = sorted(set(counted) - set(known))
    if unknown:
        console.print(f"no committed figure for {', '.join(unknown)}: run this once with --accept", style="bold red")
        return 1
    bounds = [Bound(name, value, known[name] * TOLERANCE, "instructions") for name, value in counted.items()]
    return conclude(console, [*bounds, *others])


def _engine(console: Console) -> tuple[dict[str, float], list[Bound]]:
    """Instructions for each thing of each case, and whether ten times as many cost ten times as much."""
    program = _program()
    counted: dict[str, float] = {}
    linear = []
    for case, size in CASES.items():
        with console.status(f"counting {case}"):
            small, twice = (_count([str(program), case, str(number)]) for number in (size, 2 * size))
            large, larger = (_count([str(program), case, str(number)]) for number in (10 * size, 20 * size))
        each = (twice - small) / size
        each_of_many = (larger - large) / (10 * size)
        counted[f"engine: {case}"] = round(each)
        console.print(f"  engine: {case:<18} {each:10,.0f} instructions, {each_of_many:10,.0f} in ten times as many")
        linear.append(
            Bound(f"engine: {case}, growth with ten times as many", each_of_many / each - 1, LINEAR_WITHIN, "times")
        )
    return counted, linear


def _program() -> Path:
    printed = steps.run(
        "building the program to count",
        [
            *(machine.cargo(), "build", "--locked", "--bench", "instructions", "--profile", "bench"),
            *("--message-format", "json-render-diagnostics"),
        ],
        cwd=machine.REPOSITORY,
    )
    for line in printed.splitlines():
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == "instructions":
            return Path(message["executable"])
    raise CountFailed("cargo built the bench `instructions` and named no program")


def _count(command: Sequence[str]) -> int:
    ran = subprocess.run(
        [_valgrind(), "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode != 0 or match is None:
        raise CountFailed(f"{' '.join(command)} under callgrind: status {ran.returncode}\n{ran.stderr[-2_000:]}")
    return int(match.group(1))


def _valgrind() -> str:
    """The program; installed from Debian's packages where it is missing and we are root."""
    how = "install it, on Debian with `apt-get install valgrind`"
    return debian.found_or_installed(
        "valgrind", lambda: shutil.which("valgrind"), lambda: debian.install("valgrind", ["valgrind"], how), how
    )


def _main_thread(console: Console, *, with_report: bool = False) -> tuple[float, float]:
    """Instructions of the workflow's thread for one table of 30 columns: serialising alone, and `run()` as a whole.

    Callgrind counts only while the child asks it to: while records go into the sink. with_report: the run leaves one.
    """
    ready = prepared.from_environment()
    with tempfile.TemporaryDirectory(prefix="bulksink-callgrind-") as folder, ReferenceServer(ready.server) as server:
        out = Path(folder) / "count"
        job = {"url": server.url, "token": server.token, "columns": [COLUMNS], "records": RECORDS}
        report = {"OM_BULKSINK_REPORT": str(Path(folder) / "run.html")} if with_report else {}
        callgrind = ["--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes"]
        with console.status("counting the main thread (minutes)"):
            children.run(
                "benchmarks.cost.record_child",
                ready.with_sink,
                {**job, "series": 1, "callgrind": True},
                variables={"PYTHONHASHSEED": "0", **report},
                prefix=[_valgrind(), *callgrind, f"--callgrind-out-file={out}"],
            )
        of_counting = _of_first_thread(out, 1)
        serialised, spent = ((_of_first_thread(out, number) - of_counting) / RECORDS for number in (2, 3))
    what = "with a report" if with_report else "main thread"
    console.print(f"  {what + ':':<14}{spent:22,.0f} instructions in run(), {serialised:10,.0f} to serialise")
    return round(serialised), round(spent)


def _of_first_thread(out: Path, number: int) -> int:
    """What callgrind's dump of this number says of the thread that the process began with."""
    file = out.with_name(f"{out.name}.{number}-01")
    match = re.search(r"^totals: ([1-9]\d*)", file.read_text(errors="replace"), re.MULTILINE) if file.exists() else None
    if match is None:
        there = sorted(found.name for found in out.parent.iterdir())
        raise CountFailed(f"callgrind left no figure in {file.name}; there are {there}")
    return int(match.group(1))


if __name__ == "__main__":
    sys.exit(main())
