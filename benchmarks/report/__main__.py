"""`make bench-report`: runs every contender in every round, shows how it goes, and writes `results/report.*`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import conclude
from benchmarks.report import charts, rounds, workload
from benchmarks.report.contenders import Contender, contenders
from benchmarks.report.results import Results, Row
from benchmarks.screen import screen
from benchmarks.stopped import told

RESULTS = Path(__file__).resolve().parent.parent / "results"

# (tables, rounds): about ten minutes; three; hours.
USUAL, QUICK, FULL = (360, 3), (300, 1), (workload.REPORT_TABLES, 1)

_SECONDS_BETWEEN_LINES = 10.0


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks report", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const=QUICK, help="one round, three minutes")
    size.add_argument("--full", dest="size", action="store_const", const=FULL, help="all 9,962 tables, 80 minutes")
    parser.set_defaults(size=USUAL)
    parser.add_argument("--tables", type=int, help="as many tables instead")
    parser.add_argument("--rounds", type=int, help="as many rounds instead")
    parser.add_argument("--only", metavar="KEY", nargs="+", help="these contenders, and the extraction; no bounds")
    parser.add_argument("--faults", type=float, default=0.0, metavar="RATE", help="so many of all requests fail: 0.01")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results are written")
    chosen = parser.parse_args(arguments)
    tables, count = chosen.tables or chosen.size[0], chosen.rounds or chosen.size[1]
    console = screen()
    return _measure(
        console, workload.Scale(tables), count, only=chosen.only, fault_rate=chosen.faults, output=chosen.output
    )


def _measure(
    console: Console,
    scale: workload.Scale,
    count: int,
    *,
    only: Sequence[str] | None,
    fault_rate: float,
    output: Path,
) -> int:
    ready = prepared.from_environment()
    chosen = contenders(ready.upstream)
    if only:
        unknown = set(only) - {contender.key for contender in chosen}
        if unknown:
            console.print(f"no such contender: {', '.join(sorted(unknown))}; there are {[c.key for c in chosen]}")
            return 2
        chosen = [contender for contender in chosen if contender.key in {"extraction", *only}]
    machine = machine_facts.describe()
    console.print(f"[bold]The report's table[/], {scale.describe()}, {count} round{'s' * (count > 1)}")
    console.print(machine_facts.sentence(machine), style="dim", highlight=False)
    rows = {contender.key: Row(contender, []) for contender in chosen}
    with _progress(console) as progress:
        for number in range(1, count + 1):
            for contender in chosen:
                with _shown(progress, contender, number, scale) as extracted:
                    outcome = rounds.run(
                        contender, number, scale, ready, faults=_faults(fault_rate), extracted=extracted
                    )
                rows[contender.key].outcomes.append(outcome)
                progress.console.print(
                    f"  round {number}  {contender.title:<40} {outcome.total_s:7.1f} s   tail {outcome.tail_s:5.1f} s"
                    f"   lost: {outcome.verdict.losses()}",
                    highlight=False,
                )
    results = Results(scale, ready.upstream, machine, fault_rate, list(rows.values()))
    _print(console, results)
    if only:
        return 0
    prefix = "report-with-faults" if fault_rate else "report"
    output.mkdir(parents=True, exist_ok=True)
    drawn = charts.draw(results, output, prefix)
    (output / f"{prefix}.json").write_text(json.dumps(results.as_dict(), indent=1) + "\n")
    (output / f"{prefix}.md").write_text(results.markdown(drawn))
    return conclude(console, results.bounds())


def _faults(rate: float) -> list[Mapping[str, Any]]:
    if not rate:
        return []
    return [{"when": {"rate": rate}, "do": {"kind": "status", "status": 503}}]


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f} of {task.total:.0f} tables"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


class _Counter:
    """What the child says, on a bar; where no terminal shows bars, a line now and then."""

    def __init__(self, progress: Progress, task: TaskID, title: str, tables: int) -> None:
        self._progress, self._task, self._title, self._tables = progress, task, title, tables
        self._told = time.monotonic()

    def __call__(self, extracted: int) -> None:
        self._progress.update(self._task, completed=min(extracted, self._tables))
        now = time.monotonic()
        if not self._progress.console.is_terminal and now - self._told > _SECONDS_BETWEEN_LINES:
            self._told = now
            self._progress.console.print(
                f"  {self._title}: {extracted} of {self._tables} records extracted", highlight=False
            )


@contextmanager
def _shown(progress: Progress, contender: Contender, number: int, scale: workload.Scale) -> Iterator[_Counter]:
    task = progress.add_task(f"round {number}  {contender.title}", total=scale.tables)
    try:
        yield _Counter(progress, task, contender.title, scale.tables)
    finally:
        progress.remove_task(task)


def _print(console: Console, results: Results) -> None:
    head, *body = results.cells()
    table = Table(title=f"The report's table, {results.scale.describe()}", title_justify="left")
    for name in head:
        table.add_column(name, justify="left" if name in ("design", "lost") else "right", no_wrap=name != "lost")
    for row in body:
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
