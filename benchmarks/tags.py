"""`make bench-tags`: what do tag records cost? Nine labels on each table, of 40 distinct tags, at 5 ms a request.

Upstream PUTs a classification and a tag for each record. The same source runs with tag records and, against a server
that has the tags already, without them; the difference is what they add to the run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import children, machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.measures import spread
from benchmarks.screen import screen
from benchmarks.stopped import Stopped, told
from benchmarks.tags_child import DISTINCT, GROUPS, TAGS_OF_A_TABLE
from tests.ingest.reference_server import ReferenceServer

RESULTS = Path(__file__).resolve().parent / "results"

REQUEST_MS = 5.0
# What upstream's Redshift connector takes for a table; its users tell of seconds with catalogues that answer slowly.
EXTRACT_MS = 10.0
MOST_REQUESTS, MOST_ADDED_PERCENT = 60, 2.0
UPSTREAMS_SHARE = 10


class Contender(NamedTuple):
    """One way to run. ours: with our wheel. tags: whether the sink gets the tag records."""

    title: str
    ours: bool
    tags: bool
    tables: int


class Run(NamedTuple):
    """What came of it."""

    total_s: float
    # In the sink, in reads of labels, and after the last record: all that a sink can hold up.
    held_s: float
    tag_requests: int
    reads: int


class Wrong(Stopped):
    """A run that did not do what it is meant to measure."""


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks tags", description=__doc__)
    parser.add_argument("--tables", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--extract-ms", type=float, default=EXTRACT_MS, help="for a table and its tag records")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    few = max(1, chosen.tables // UPSTREAMS_SHARE)
    contenders = [
        Contender("ours, without tag records", ours=True, tags=False, tables=chosen.tables),
        Contender("ours", ours=True, tags=True, tables=chosen.tables),
        Contender("upstream, without tag records", ours=False, tags=False, tables=few),
        Contender("upstream", ours=False, tags=True, tables=few),
    ]
    console.print(
        f"[bold]Tags[/]: {chosen.tables:,} tables, {chosen.tables * TAGS_OF_A_TABLE:,} tag records of {DISTINCT} tags "
        f"in {GROUPS} classifications; {chosen.extract_ms:g} ms to extract a table, {REQUEST_MS:g} ms a request; "
        f"upstream with {few:,} tables",
        highlight=False,
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    runs: dict[str, list[Run]] = {contender.title: [] for contender in contenders}
    for number in range(1, chosen.rounds + 1):
        for contender in contenders:
            if not contender.ours and number > 1:
                continue
            with console.status(contender.title):
                found = _measure(contender, ready, chosen.extract_ms)
            runs[contender.title].append(found)
            console.print(f"  round {number}  {contender.title:<30} {found.total_s:6.1f} s", highlight=False)
    return _judge(console, chosen, contenders, runs, facts)


def _measure(contender: Contender, ready: prepared.Prepared, extract_ms: float) -> Run:
    latency = {"bulk": {"request_ms": REQUEST_MS}, "other": {"request_ms": REQUEST_MS}}
    with ReferenceServer(ready.server, latency=latency) as server:
        job = {"url": server.url, "token": server.token, "tables": contender.tables}
        job |= {"extract_ms": extract_ms, "with_tags": contender.tags}
        environment = ready.with_sink if contender.ours else ready.plain
        found = children.run("benchmarks.tags_child", environment, job)
        log, state = server.requests(), server.state()
    if found["failures"] or bool(found["native"]) != contender.ours:
        raise Wrong(f"{contender.title}: native: {found['native']}, failures: {found['failures']}")
    written = (len(state["tables"]), len(state["tags"]), len(state["classifications"]))
    if written != (contender.tables, DISTINCT, GROUPS):
        raise Wrong(f"{contender.title}: the server holds {written} tables, tags and classifications")
    about_tags = [one for one in log if one["collection"] in ("tags", "classifications")]
    writes = [one for one in about_tags if one["method"] == "PUT"]
    sent = len(writes) if contender.tags else 0
    held = found["sink_s"] + found["read_s"] + found["total_s"] - found["loop_s"]
    return Run(found["total_s"], held, sent, sum(one["method"] == "GET" for one in about_tags))


def _added_s(with_tags: Sequence[Run], without: Sequence[Run]) -> float:
    """Seconds that tag records add. Of what holds the source up the least run of each counts, because noise only adds.
    Not from the runs as a whole: by how much a source that sleeps oversleeps is more than what is looked for.
    """
    return min(run.held_s for run in with_tags) - min(run.held_s for run in without)


def _judge(
    console: Console,
    chosen: argparse.Namespace,
    contenders: Sequence[Contender],
    runs: dict[str, list[Run]],
    facts: dict[str, str],
) -> int:
    table = Table()
    for name in ("", "tables", "run", "held up", "PUTs of tags and classifications", "GETs of tags"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for contender in contenders:
        found = runs[contender.title]
        table.add_row(
            contender.title,
            f"{contender.tables:,}",
            spread(run.total_s for run in found).text(),
            spread(run.held_s for run in found).text("s", 2),
            f"{found[-1].tag_requests:,}",
            f"{found[-1].reads:,}",
        )
    console.print(table)
    added_s = {who: _added_s(runs[who], runs[f"{who}, without tag records"]) for who in ("ours", "upstream")}
    ours, upstream = (
        100 * added_s[who] / min(run.total_s for run in runs[f"{who}, without tag records"]) for who in added_s
    )
    cost_us = 1e6 * added_s["ours"] / (chosen.tables * TAGS_OF_A_TABLE)
    console.print(
        f"Tag records add {ours:.2f} % to a run with our sink, {upstream:.0f} % to one with upstream's. "
        f"One holds the source's thread up for {cost_us:.1f} us, the first ones of each tag included.",
        highlight=False,
    )
    bounds = [
        Bound(
            "requests for tags and classifications", max(run.tag_requests for run in runs["ours"]), MOST_REQUESTS, ""
        ),
        Bound("time that tag records add to the run", ours, MOST_ADDED_PERCENT, "%", beside=upstream),
    ]
    chosen.output.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {
        "machine": facts,
        "rates": {"extract_ms": chosen.extract_ms, "request_ms": REQUEST_MS},
        "bounds": [bound.as_dict() for bound in bounds],
        "added_percent": {"ours": ours, "upstream": upstream},
        "record_us": cost_us,
        "runs": {
            contender.title: {"tables": contender.tables, "runs": [run._asdict() for run in runs[contender.title]]}
            for contender in contenders
        },
    }
    (chosen.output / "tags.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


if __name__ == "__main__":
    sys.exit(main())
