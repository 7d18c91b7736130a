"""`make bench-link`: does it pay to compress bulk requests over a link of 50 Mbit/s and 40 ms?

`BulkSink` driven directly, so that nothing hides the writing, with and without compression: over loopback and over the
link, against servers that cost nothing, 5 ms a row and 26 ms a row. In an ingestion the time saved is hidden behind
extraction as long as that takes longer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks import children, machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.measures import Spread, spread
from benchmarks.screen import screen
from benchmarks.stopped import Stopped, told
from tests.ingest.reference_server import ReferenceServer

RESULTS = Path(__file__).resolve().parent / "results"

WORKERS, BATCH = 4, 100
MBIT_S, ROUND_TRIP_MS = 50.0, 40.0
ROUNDS = 3
# Where writing is what a run waits for, over the link: so many times as fast at 5 ms a row.
FASTER = 1.1
MOST_SLOWER = 1.1
MB = 1e6


class Case(NamedTuple):
    """One server, and tables of one size; so many that each worker has full requests to send, one after the other."""

    body_bytes: int
    row_ms: float
    tables: int


CASES = (
    Case(5_000, 0.0, 4_000),
    Case(5_000, 5.0, 3_200),
    Case(5_000, 26.0, 1_600),
    Case(20_000, 0.0, 1_600),
    Case(20_000, 5.0, 1_600),
    Case(20_000, 26.0, 1_200),
)


class Run(NamedTuple):
    """What came of it."""

    tables_per_s: float
    sent_bytes: int
    cpu_us: float
    connections: int


Runs = dict[tuple[Case, bool, bool], list[Run]]


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks link", description=__doc__)
    parser.add_argument("--mbit", type=float, default=MBIT_S, help="speed of the link")
    parser.add_argument("--round-trip-ms", type=float, default=ROUND_TRIP_MS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print(
        f"[bold]Link[/]: {chosen.mbit:g} Mbit/s, {chosen.round_trip_ms:g} ms; {WORKERS} workers, "
        f"{BATCH} records a request",
        highlight=False,
    )
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    runs: Runs = {}
    for number in range(1, chosen.rounds + 1):
        for case in CASES:
            for over_link in (False, True):
                for gzip in (False, True):
                    with console.status(_title(case, over_link, gzip)):
                        found = _measure(case, chosen if over_link else None, gzip, ready)
                    runs.setdefault((case, over_link, gzip), []).append(found)
                    line = f"  round {number}  {_title(case, over_link, gzip):<48} {found.tables_per_s:8,.0f} tables/s"
                    console.print(line, highlight=False)
    console.print(_table(runs))
    bounds = _bounds(runs)
    chosen.output.mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {
        "machine": facts,
        "link": {"mbit_s": chosen.mbit, "round_trip_ms": chosen.round_trip_ms},
        "bounds": [bound.as_dict() for bound in bounds],
        "runs": [
            {**case._asdict(), "over_link": over_link, "gzip": gzip, "runs": [run._asdict() for run in found]}
            for (case, over_link, gzip), found in runs.items()
        ],
    }
    (chosen.output / "link.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _title(case: Case, over_link: bool, gzip: bool) -> str:
    way = "link" if over_link else "loopback"
    return f"{case.body_bytes // 1000} kB, {case.row_ms:g} ms a row, {way}, {'gzip' if gzip else 'plain'}"


def _measure(case: Case, link: argparse.Namespace | None, gzip: bool, ready: prepared.Prepared) -> Run:
    latency: dict[str, Any] = {"bulk": {"row_ms": case.row_ms}}
    if link is not None:
        latency["link"] = {"bytes_per_s": link.mbit * 1e6 / 8, "round_trip_ms": link.round_trip_ms}
    job = {"tables": case.tables, "body_bytes": case.body_bytes, "workers": WORKERS, "gzip": gzip}
    with ReferenceServer(ready.server, latency=latency, arguments=["--keep-bodies", "false"]) as server:
        found = children.run(
            "benchmarks.link_child", ready.with_sink, {"url": server.url, "token": server.token, **job}
        )
        log = server.requests()
        connections = server.summary()["connections"]
    if found["lost"]:
        raise Stopped(f"{_title(case, link is not None, gzip)}: lost {found['lost']}")
    tables = [request for request in log if request["collection"] == "tables"]
    if sum(request["rows"] for request in tables) != case.tables:
        raise Stopped(f"{_title(case, link is not None, gzip)}: some tables were sent twice")
    return Run(
        case.tables / found["total_s"],
        sum(request["bytes"] for request in tables),
        1e6 * found["cpu_s"] / case.tables,
        connections,
    )


def _figure(found: Sequence[Run], name: str) -> Spread:
    return spread(float(getattr(run, name)) for run in found)


def _table(runs: Runs) -> Table:
    table = Table()
    columns = ("a table", "server", "way", "plain", "gzip", "faster", "plain MB", "gzip MB", "CPU plain", "CPU gzip")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for case in CASES:
        for over_link in (False, True):
            plain, gzip = runs[case, over_link, False], runs[case, over_link, True]
            rates = [_figure(found, "tables_per_s") for found in (plain, gzip)]
            table.add_row(
                f"{case.body_bytes // 1000} kB",
                f"{case.row_ms:g} ms a row",
                "link" if over_link else "loopback",
                *(rate.text("/s", 0) for rate in rates),
                f"{rates[1].median / rates[0].median:.2f} x",
                *(f"{_figure(found, 'sent_bytes').median / MB:.1f}" for found in (plain, gzip)),
                *(f"{_figure(found, 'cpu_us').median:.0f} us" for found in (plain, gzip)),
            )
    return table


def _bounds(runs: Runs) -> list[Bound]:
    bounds = []
    for case in CASES:
        plain, gzip = (_figure(runs[case, True, how], "tables_per_s").median for how in (False, True))
        least = FASTER if case.row_ms < 26 else 1.0
        name = f"{case.body_bytes // 1000} kB, {case.row_ms:g} ms a row"
        bounds.append(Bound(f"{name}, link: plain / gzip", plain / gzip, 1 / least, "times"))
        if case.row_ms:
            plain, gzip = (_figure(runs[case, False, how], "tables_per_s").median for how in (False, True))
            bounds.append(Bound(f"{name}, loopback: plain / gzip", plain / gzip, MOST_SLOWER, "times"))
    most = max(run.connections for found in runs.values() for run in found)
    return [*bounds, Bound("connections of a run", most, WORKERS + 2, "connections")]


if __name__ == "__main__":
    sys.exit(main())
