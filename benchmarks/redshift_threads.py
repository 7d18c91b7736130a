"""`make bench-redshift-threads`: does `threads: N` of the workflow pay on a Redshift whose catalogue takes its time?

Upstream keeps what it read of one schema at a time, for all threads; each takes it from the others and the same query
for a whole schema is sent again and again, and tables lose their keys and descriptions. With the accelerator
`schema_caches` each thread keeps its schema.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.ingestions import Ingestion, Runs, Setting, in_rounds, measure, no_differences, of, postgres_programs
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest import compare
from tests.redshift import Shape, Warehouse

RESULTS = Path(__file__).resolve().parent / "results"

MOST = 0.6

#: Statements that read a whole schema.
BY_SCHEMA = ("pg_get_late_binding_view_cols", "create_time", "pg_get_viewdef")


def settings(accelerators: Sequence[str]) -> list[tuple[int, Setting]]:
    """Number of threads, and how."""
    without = {"OM_BULKSINK_ACCELERATE": ",".join(name for name in accelerators if name != "schema_caches")}
    return [
        (1, Setting("1", "1 thread", {})),
        (2, Setting("2", "2 threads", {})),
        (4, Setting("4", "4 threads", {})),
        (4, Setting("4-without", "4 threads, no schema_caches", {}, without)),
    ]


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where the bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks redshift-threads", description=__doc__)
    parser.add_argument("--schemas", type=int, default=8)
    parser.add_argument("--tables", type=int, default=50, help="in each schema")
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds before each catalogue query")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    shape = Shape(schemas=chosen.schemas, tables=chosen.tables, columns=chosen.columns)
    console = screen()
    runs, sent, facts = _measure(shape, chosen.delay, chosen.rounds)
    console.print(_table(runs, sent))
    lost = compare(runs["1"][-1].state, runs["4-without"][-1].state)
    console.print(
        f"4 threads, schema_caches off: {len(lost)} differences to the catalogue of 1 thread", highlight=False
    )
    bounds = _bounds(runs, sent)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {"shape": vars(shape), "delay_s": chosen.delay, "machine": facts}
    written["differences_without_schema_caches"] = len(lost)
    written["bounds"] = [bound.as_dict() for bound in bounds]
    written["statements"] = {key: {"all": len(texts), "by_schema": _by_schema(texts)} for key, texts in sent.items()}
    written["runs"] = [run.as_dict() for found in runs.values() for run in found]
    (chosen.output / "redshift-threads.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


Sent = dict[str, list[str]]


def _measure(shape: Shape, delay: float, rounds: int) -> tuple[Runs, Sent, dict[str, str]]:
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    tables = shape.schemas * (shape.tables + shape.views)
    console.print(
        f"[bold]Threads[/]: Redshift connector, {shape.schemas} x {shape.tables} tables x {shape.columns} columns, "
        f"{1000 * delay:g} ms a catalogue query",
        highlight=False,
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    chosen = settings(ready.accelerators())
    threads = {setting.key: number for number, setting in chosen}
    sent: Sent = {}
    with Warehouse(postgres_programs(ready), shape, delay=delay) as warehouse:

        def once(setting: Setting) -> Ingestion:
            before = len(warehouse.proxy.statements)
            source = warehouse.source(options={"threads": threads[setting.key]})
            found = measure(setting, source, ready, tables=tables, console=console)
            sent[setting.key] = [one.text for one in warehouse.proxy.statements[before:]]
            return found

        def figure(found: Ingestion) -> str:
            return f"loop {found.loop_s:6.1f} s, {len(sent[found.setting]):4} statements"

        runs = in_rounds([setting for _, setting in chosen], rounds, once, figure, console)
    return runs, sent, facts


def _by_schema(texts: list[str]) -> int:
    """How many statements read a whole schema; the two of the connection test that look like it do not."""
    return sum(any(word in text for word in BY_SCHEMA) and "LIMIT 1" not in text.upper() for text in texts)


def _bounds(runs: Runs, sent: Sent) -> list[Bound]:
    one, four = of(runs["1"], "loop_s").median, of(runs["4"], "loop_s").median
    return [
        Bound(f"loop with 4 threads / with 1 ({four:.1f} / {one:.1f} s)", four / one, MOST, "times"),
        Bound("statements for whole schemas, 4 threads", _by_schema(sent["4"]), _by_schema(sent["1"]), "statements"),
        no_differences(runs["1"][-1], runs["4"][-1]),
    ]


def _table(runs: Runs, sent: Sent) -> Table:
    table = Table(title="the same warehouse, read by several threads", title_justify="left")
    for name in ("threads", "loop", "workflow", "statements", "of them for whole schemas", "to 1 thread"):
        table.add_column(name, justify="left" if name == "threads" else "right", no_wrap=True)
    first = of(runs["1"], "loop_s").median
    for key, found in runs.items():
        texts = sent[key]
        cells = [of(found, name).text() for name in ("loop_s", "workflow_s")]
        cells += [str(len(texts)), str(_by_schema(texts)), f"{of(found, 'loop_s').median / first:.2f}"]
        table.add_row(key.replace("-without", ", schema_caches off"), *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
