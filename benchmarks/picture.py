"""`make bench`: the whole picture. Runs one benchmark after the other and puts every figure that has a bound, what was
measured, and what upstream's sink has, on one page: `benchmarks/results/picture.md`.

Each part is a benchmark that can be run alone; here it gets a size at which all of them together take less than half an
hour, or five minutes (`--quick`: smaller catalogues, one round, and without the parts that make no sense so small). The
page and the parts' own results appear when everything has run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine_facts, markdown, prepared
from benchmarks.bounds import Bound, in_unit
from benchmarks.children import REPOSITORY
from benchmarks.screen import screen
from benchmarks.stopped import told

RESULTS = Path(__file__).resolve().parent / "results"
QUICK_RESULTS = RESULTS / "quick"

CEILING = 10.0


@dataclass(frozen=True)
class Part:
    """One benchmark. files: its results, as a pattern; empty where it has none but its status. quick: None where it is
    left out.
    """

    title: str
    module: str
    files: str
    usual: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = None


PARTS = (
    Part(
        "The report's table",
        "benchmarks.report",
        "report.json",
        ("--tables", "300", "--rounds", "1"),
        ("--tables", "80", "--rounds", "1"),
    ),
    Part(
        "The report's table, 1 % of all requests fail",
        "benchmarks.report",
        "report-with-faults.json",
        ("--tables", "300", "--rounds", "1", "--faults", "0.01"),
    ),
    Part(
        "Real ingestions",
        "benchmarks.real",
        "real-*.json",
        ("--cases", "sqlite", "postgres", "redshift", "postgres-5000", "postgres-foreign-keys"),
        ("--tables", "300", "--only", "ours-fast", "upstream-fast"),
    ),
    Part("`threads: N` on a slow Redshift", "benchmarks.redshift_threads", "redshift-threads.json"),
    Part(
        "Round trips to the source's database, a quarter of the tables",
        "benchmarks.round_trips",
        "round-trips-quick.json",
        ("--quick", "--parts", "postgres", "mariadb"),
        ("--quick", "--parts", "mariadb"),
    ),
    Part("The main thread", "benchmarks.cost.main_thread", "main-thread.json", (), ("--series", "2")),
    Part("Instructions, against the committed figures", "benchmarks.cost.instructions", ""),
    Part("A million tables", "benchmarks.cost.scale", "scale.json", (), ("--tables", "200000")),
    Part("Tags", "benchmarks.tags", "tags.json", ("--rounds", "2"), ("--tables", "1000", "--rounds", "2")),
    Part("The native sink by itself", "benchmarks.native", "native.json", ("--rounds", "1"), ("--rounds", "1")),
    Part("Start-up", "benchmarks.start_up", "start-up.json", ("--rounds", "3"), ("--rounds", "1")),
)


@dataclass(frozen=True)
class Ran:
    """A part that has ended. found: the contents of its results, by file."""

    part: Part
    seconds: float
    load: float
    ended_well: bool
    found: Mapping[str, Mapping[str, Any]]

    def rows(self) -> list[list[str]]:
        """What it says in the table."""
        if not self.part.files:
            return [row(self.part.title, "every bound of the benchmark (above)", verdict=self.ended_well)]
        rows = []
        all_hold = all(bound["holds"] for results in self.found.values() for bound in results["bounds"])
        if not self.found or (all_hold and not self.ended_well):
            rows.append(row(self.part.title, "the benchmark stopped before its end", verdict=False))
        for results in self.found.values():
            rows += [_bound_row(self.part.title, bound) for bound in results["bounds"]]
            for figure in results.get("figures", ()):
                rows.append(row(self.part.title, figure["text"], measured=in_unit(figure["value"], figure["unit"])))
        return rows


HEAD = ["part", "figure", "bound", "measured", "upstream's", ""]


def row(
    part: str, text: str, *, bound: str = "-", measured: str = "-", beside: str = "-", verdict: bool | None = None
) -> list[str]:
    """One line of the page."""
    return [part, text, bound, measured, beside, "" if verdict is None else "met" if verdict else "**missed**"]


def _bound_row(part: str, bound: Mapping[str, Any]) -> list[str]:
    unit, beside = bound["unit"], bound.get("beside")
    return row(
        part,
        bound["text"],
        bound=f"<= {in_unit(bound['limit'], unit)}",
        measured=in_unit(bound["value"], unit),
        beside="-" if beside is None else in_unit(beside, unit),
        verdict=bound["holds"],
    )


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a part did not end."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks picture", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five minutes")
    parser.add_argument("--output", type=Path, help=f"instead of {RESULTS.name} (or {QUICK_RESULTS.name} below it)")
    chosen = parser.parse_args(arguments)
    output = chosen.output or (QUICK_RESULTS if chosen.quick else RESULTS)
    ready = prepared.from_environment()
    facts = machine_facts.describe()
    console = screen()
    with tempfile.TemporaryDirectory(prefix="bulksink-picture-") as folder:
        ran = []
        parts = [part for part in PARTS if not chosen.quick or part.quick is not None]
        for number, part in enumerate(parts, 1):
            console.rule(f"{number} of {len(parts)}: {part.title}")
            ran.append(_run(part, part.quick or () if chosen.quick else part.usual, Path(folder)))
        output.mkdir(parents=True, exist_ok=True)
        # The report's table and its charts stay those of `make bench-report`, which is larger.
        shutil.copytree(folder, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("report*"))
    rows = [line for one in ran for line in one.rows()]
    rows += [_bound_row("Sources and sink", bound.as_dict()) for bound in _across(ran)]
    page = output / "picture.md"
    page.write_text("\n".join(_page(rows, ran, facts, ready.upstream, quick=chosen.quick)) + "\n")
    missed = [line for line in rows if "missed" in line[-1]]
    console.rule(f"{sum(bool(line[-1]) for line in rows)} bounds, {len(missed)} missed")
    for line in missed:
        console.print(f"{line[0]}: {line[1]}: {line[3]} {line[2]}", style="bold red", markup=False, highlight=False)
    console.print(f"The page: {page}", highlight=False)
    return 1 if missed else 0


def _run(part: Part, arguments: Sequence[str], folder: Path) -> Ran:
    load, since = os.getloadavg()[0], time.monotonic()
    command = [sys.executable, "-m", part.module, *arguments]
    if part.files:
        command += ["--output", str(folder)]
    status = subprocess.run(command, cwd=REPOSITORY, check=False).returncode
    files = sorted(folder.glob(part.files)) if part.files else []
    found = {file.name: json.loads(file.read_text()) for file in files}
    return Ran(part, time.monotonic() - since, load, status == 0, found)


def _across(ran: Sequence[Ran]) -> list[Bound]:
    """What two parts say together: what one process of ours takes in, against what the fastest real source gives."""
    scale = next((one.found["scale.json"] for one in ran if "scale.json" in one.found), None)
    sources = {
        results["catalogue"]["title"]: results["catalogue"]["tables"] / run["source_s"]
        for one in ran
        for name, results in one.found.items()
        if name.startswith("real-")
        for run in results["runs"]
        if run["setting"] == "ours-fast"
    }
    if scale is None or not sources:
        return []
    fastest = max(sources, key=lambda title: sources[title])
    text = f"{CEILING:g} x the fastest source ({fastest}), against what one process of ours takes in"
    return [Bound(text, CEILING * sources[fastest], scale["tables_per_s"], "tables/s")]


def _page(
    rows: Sequence[Sequence[str]], ran: Sequence[Ran], facts: dict[str, str], upstream: str, *, quick: bool
) -> list[str]:
    parts = [["part", "took", "load average before"]]
    parts += [[one.part.title, f"{one.seconds:.0f} s", f"{one.load:.2f}"] for one in ran]
    whole = sum(one.seconds for one in ran)
    docs = "../" * (3 if quick else 2) + "docs/benchmarks.md"
    return [
        "# The whole picture" + (" (quick)" if quick else ""),
        "",
        f"Upstream {upstream}. {machine_facts.sentence(facts)}.",
        f"What the figures mean: [docs/benchmarks.md]({docs}). Times need a quiet machine.",
        "",
        *markdown.table([HEAD, *rows], left=(0, 1, 5)),
        "",
        f"All of it took {whole / 60:.0f} minutes:",
        "",
        *markdown.table(parts, left=(0,)),
    ]


if __name__ == "__main__":
    sys.exit(main())
