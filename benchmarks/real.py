"""`make bench-real`: real ingestions with upstream's default settings, upstream's sink against ours, with accelerators
and without.

Two servers: one that answers at once (what do source and sink cost by themselves?), and one at the rates of the report.
E is our own run against the former, S what the latter works on the same rows and life cycles. With four workers a run
must not take more than 1.05 x max(E, S / 4) + 1.5 s: the whole workflow where life cycles come last; otherwise the
source loop, and the workflow one full request more, because the last rows are known only when the source ends.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import before_after, catalogues, machine_facts, prepared, request_log
from benchmarks.accelerators import MOST as MOST_OF_SOURCE
from benchmarks.bounds import Bound, Figure, conclude
from benchmarks.catalogues import Catalogue
from benchmarks.ingestions import OFF, Runs, Setting, differences, in_rounds, measure, of
from benchmarks.screen import screen
from benchmarks.stopped import told

RESULTS = Path(__file__).resolve().parent / "results"

WORKERS = 4
REQUEST_MS, ROW_MS, LIFE_CYCLE_MS = 105.0, 26.0, 39.0
# A row and its share of a full request.
ROW_AND_SHARE_MS = ROW_MS + REQUEST_MS / 100
FULL_REQUEST_S = (REQUEST_MS + 100 * ROW_MS) / 1000

_WHO = {"ours": "ours", "plain": "ours, no accelerators", "upstream": "upstream"}
_SPEEDS = {"fast": "server without latency", "slow": "the report's server"}
_VARIABLES: dict[str, Mapping[str, str]] = {"ours": {}, "plain": {"OM_BULKSINK_ACCELERATE": "0"}, "upstream": OFF}

#: What `--cases` knows; the first three are run without it.
USUAL = tuple(catalogues.MAKERS)
CASES = (*USUAL, "postgres-5000", "postgres-foreign-keys", "redshift-10000")


def _cases(chosen: argparse.Namespace) -> list[Catalogue]:
    keys, tables = chosen.cases, chosen.tables
    if "redshift-10000" in keys and "redshift" not in keys:
        keys = ["redshift", *keys]
    beside_large = tuple(keys) == ("redshift", "redshift-10000")
    makers: dict[str, Callable[[], Catalogue]] = {
        "sqlite": lambda: catalogues.sqlite(tables or 500),
        "postgres": lambda: catalogues.postgres(tables=tables or 1_000),
        "redshift": lambda: catalogues.redshift(
            tables=tables or 1_000,
            settings=("ours-fast",) if beside_large else catalogues.ALL_SETTINGS,
        ),
        "postgres-5000": lambda: replace(
            catalogues.postgres("postgres-5000", tables=5_000, usual=catalogues.OURS), repeats=1
        ),
        "postgres-foreign-keys": lambda: replace(
            catalogues.postgres("postgres-foreign-keys", tables=tables or 1_000, foreign_keys=2), repeats=1
        ),
        "redshift-10000": lambda: replace(
            catalogues.redshift("redshift-10000", schemas=10, settings=("ours-fast", "upstream-fast")), repeats=1
        ),
    }
    return [makers[key]() for key in keys]


def settings(catalogue: Catalogue, *, full: bool, only: Sequence[str]) -> list[Setting]:
    """The ways in which a catalogue is ingested."""
    other = {"other": {"request_ms": catalogue.other_ms}} if catalogue.other_ms else {}
    slow: dict[str, Any] = {"bulk": {"request_ms": REQUEST_MS, "row_ms": ROW_MS}, **other}
    if catalogue.expected.life_cycles:
        slow |= {name: {"request_ms": LIFE_CYCLE_MS} for name in ("life_cycle", "patch", "get")}
    chosen = []
    for key in catalogue.every if full else catalogue.usual:
        who, speed = key.split("-")
        if not only or key in only:
            latency = slow if speed == "slow" else other
            title, repeats = f"{_WHO[who]}, {_SPEEDS[speed]}", catalogue.repeats if who == "ours" else 1
            chosen.append(Setting(key, title, latency, _VARIABLES[who], repeats))
    return chosen


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks real", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=USUAL)
    parser.add_argument("--full", action="store_true", help="upstream where it takes minutes, too")
    parser.add_argument("--only", nargs="+", choices=catalogues.ALL_SETTINGS, default=(), metavar="SETTING")
    parser.add_argument("--tables", type=int, help="so many instead of 500 and 1,000")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    console = screen()
    facts = machine_facts.describe()
    console.print(
        "[bold]Real ingestions[/]: " + f"{REQUEST_MS:g} ms a bulk request + {ROW_MS:g} ms a row", highlight=False
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    chosen.output.mkdir(parents=True, exist_ok=True)
    bounds: list[Bound] = []
    cpu_s: dict[str, float] = {}
    for catalogue in _cases(chosen):
        ways = settings(catalogue, full=chosen.full, only=chosen.only)
        runs = _measure(catalogue, ways, chosen.rounds, console)
        console.print(_table(catalogue, ways, runs))
        if "ours-fast" in runs:
            cpu_s[catalogue.key] = of(runs["ours-fast"], "loop_cpu_s").median / catalogue.expected.tables
        found = _bounds(catalogue, runs)
        if catalogue.key == "redshift-10000":
            found.append(_no_slower(cpu_s))
        figures = _figures(catalogue, runs)
        for figure in figures:
            console.print(figure.line(), highlight=False)
        bounds += found
        written: dict[str, Any] = {"catalogue": catalogue.as_dict(), "machine": facts}
        written["bounds"] = [bound.as_dict() for bound in found]
        written["figures"] = [figure.as_dict() for figure in figures]
        written["runs"] = [run.as_dict() for each in runs.values() for run in each]
        (chosen.output / f"real-{catalogue.key}.json").write_text(json.dumps(written, indent=1) + "\n")
    if before_after.is_measured(chosen.output):
        before_after.draw(chosen.output)
    return conclude(console, bounds)


def _measure(catalogue: Catalogue, ways: Sequence[Setting], rounds: int, console: Console) -> Runs:
    ready = prepared.from_environment()
    console.print(catalogue.title, highlight=False)
    tables = catalogue.expected.tables
    with catalogue.open(ready) as source:
        return in_rounds(
            ways,
            rounds,
            lambda setting: measure(setting, source, ready, tables=tables, console=console),
            lambda found: f"workflow {found.workflow_s:6.1f} s",
            console,
        )


def _workflow(runs: Runs, key: str) -> float | None:
    return of(runs[key], "workflow_s").median if key in runs else None


def _server_s(catalogue: Catalogue, rows: int) -> float:
    return (rows * ROW_AND_SHARE_MS + catalogue.expected.life_cycles * LIFE_CYCLE_MS) / 1000


def _times(catalogue: Catalogue, runs: Runs) -> list[Bound]:
    """What ours may take. The least of its runs counts, because noise only adds."""
    found: list[Bound] = []
    fast, slow = runs.get("ours-fast"), runs.get("ours-slow")
    if fast is None:
        return found
    best = min(fast, key=lambda run: run.workflow_s)
    if not catalogue.foreign_keys:
        # Keys that upstream keeps for the end are read and patched one by one, at 10 ms a request.
        text = f"{catalogue.title}, no latency: workflow <= 1.05 x source + 1.5 s (source {best.source_s:.1f} s)"
        beside = _workflow(runs, "upstream-fast")
        found.append(Bound(text, best.workflow_s, 1.05 * best.source_s + 1.5, beside=beside))
    if slow is None:
        return found
    work = _server_s(catalogue, slow[-1].rows)
    limit = 1.05 * max(best.workflow_s, work / WORKERS) + 1.5
    given = f"(E {best.workflow_s:.1f} s, S {work:.1f} s)"
    where, most = f"{catalogue.title}, the report's server", f"1.05 x max(E, S / {WORKERS}) + 1.5 s"
    workflow, beside = of(slow, "workflow_s").least, _workflow(runs, "upstream-slow")
    if catalogue.expected.life_cycles:
        return [*found, Bound(f"{where}: workflow <= {most} {given}", workflow, limit, beside=beside)]
    with_request = limit + FULL_REQUEST_S
    return [
        *found,
        Bound(f"{where}: source loop <= {most} {given}", of(slow, "loop_s").least, limit),
        Bound(f"{where}: workflow <= {most} + a full request {given}", workflow, with_request, beside=beside),
    ]


def _bounds(catalogue: Catalogue, runs: Runs) -> list[Bound]:
    found = _times(catalogue, runs)
    title = catalogue.title
    ours, upstream = _workflow(runs, "ours-fast"), _workflow(runs, "upstream-fast")
    if catalogue.faster and ours is not None and upstream is not None:
        # Where the server costs nothing, what is left is the source: this is about the accelerators.
        text = f"{title}, no latency: ours / upstream"
        found.append(Bound(text, ours / upstream, 1 / catalogue.faster, "times", beside=1.0))
    if catalogue.expected.life_cycles and "ours-fast" in runs and "plain-fast" in runs:
        accelerated, plain = (of(runs[key], "source_s").median for key in ("ours-fast", "plain-fast"))
        found.append(Bound(f"{title}: source, accelerated / not", accelerated / plain, MOST_OF_SOURCE, "times"))
    if catalogue.foreign_keys and "upstream-slow" in runs:
        sent, theirs = (float(len(runs[key][-1].log)) for key in ("ours-slow", "upstream-slow"))
        found.append(Bound(f"{title}: requests, against upstream's", sent, theirs, "requests", beside=theirs))
    missing = sum(catalogue.expected.missing(catalogue.arrived(run.state)) for each in runs.values() for run in each)
    found.append(Bound(f"{title}: tables, columns and life cycles missing at the server", missing, 0, "things"))
    if len(runs) > 1:
        reference = next((key for key in ("upstream-fast", "upstream-slow") if key in runs), next(iter(runs)))
        unequal = sum(differences(runs[reference][-1], each[-1]) for key, each in runs.items() if key != reference)
        found.append(Bound(f"{title}: differences between the catalogues", unequal, 0, "differences"))
    return found


def _no_slower(seconds: dict[str, float]) -> Bound:
    """A large warehouse costs the thread that everything waits for no more for each table."""
    text = "Redshift connector, no latency: CPU time of a table of 10,000, against one of 1,000"
    return Bound(text, 1000 * seconds["redshift-10000"], 1000 * seconds["redshift"], "ms")


def _figures(catalogue: Catalogue, runs: Runs) -> list[Figure]:
    """How many times as fast as upstream's sink ours is, with and without accelerators."""
    found = []
    for key in runs:
        who, speed = key.split("-")
        upstream, other = _workflow(runs, f"upstream-{speed}"), _workflow(runs, key)
        if who != "upstream" and upstream is not None and other is not None:
            found.append(
                Figure(f"{catalogue.title}, {_SPEEDS[speed]}: upstream / {_WHO[who]}", upstream / other, "times")
            )
    return found


def _table(catalogue: Catalogue, ways: Sequence[Setting], runs: Runs) -> Table:
    table = Table(title=catalogue.title, title_justify="left")
    head = ("", "workflow", "extraction", "in the sink", "after the loop", "requests", "rows a batch", "in flight")
    life_cycles = ("life cycle requests",) if catalogue.expected.life_cycles else ()
    for name in (*head, *life_cycles):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for setting in ways:
        found = runs[setting.key]
        last = found[-1]
        mean = request_log.mean_batch(last.log)
        cells = [of(found, name).text() for name in ("workflow_s", "source_s", "sink_s", "tail_s")]
        cells += [str(len(last.log)), f"{mean:.0f}" if mean else "-", str(request_log.most_in_flight(last.log))]
        if life_cycles:
            counts = request_log.by_class(last.log)
            cells.append(f"{counts.get('life_cycle', 0)} PATCH, {counts.get('get', 0)} GET")
        table.add_row(setting.title, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
