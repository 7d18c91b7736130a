"""`make bench-native`: the native sink by itself (`BulkSink`), in seconds: what an overloaded server costs, how soon
the last life cycle is written, how soon a wait ends.

The tests count what leads to these times, on any machine; here they are taken, on a quiet one. The least of all rounds
counts against a limit: noise only adds.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import children, machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest import ReferenceServer

RESULTS = Path(__file__).resolve().parent / "results"

PLACES, WORKERS, ROWS = 3, 8, 20
# A bulk request takes 60 ms; a server with three places turns more of them away for a second.
_FEW_PLACES = {
    "match": {"class": "bulk", "in_work_over": PLACES},
    "do": {"kind": "status", "status": 429, "retry_after": 1},
}
# Each level that is refused costs a pause, at the start above all.
MOST_BESIDE_AS_MANY_WORKERS = 1 / 0.85
# Ten rows at once, 40 ms each: six seconds of work that cannot be had for less.
_PLACES_FOR_ROWS = {"bulk": {"row_ms": 40}, "rows_at_once": 10, "place_timeout_ms": 300}
ROWS_WITHOUT_PLACE, MOST_FOR_ROWS_S = 1_500, 6 * 1.3
# The server needs two thirds of the source's time for a row, and writes four batches at once.
_BESIDE_A_SOURCE = {"bulk": {"request_ms": 20, "row_ms": 2.5}, "life_cycle": {"request_ms": 4}}
# A full batch, and two seconds.
MOST_BEHIND_THE_LAST_TABLE_S = 0.020 + 100 * 0.0025 + 2
# Two ticks of the wait.
MOST_UNTIL_A_WAIT_ENDS_S = 0.1
_SILENT = {"bulk": {"request_ms": 3_600_000}}


class Bench:
    """Where measurements run: a fresh server for each, a process for each."""

    def __init__(self, ready: prepared.Prepared, rounds: int) -> None:
        self._ready, self._rounds = ready, rounds

    def least(self, measure: str, latency: dict[str, Any], *, profile: str = "2.0", **job: Any) -> float:
        """Seconds; of all rounds. faults: the server's fault plan."""
        faults = job.pop("faults", [])
        found = []
        for _ in range(self._rounds):
            with ReferenceServer(self._ready.server, profile=profile) as server:
                _prepare(server)
                server.set_latency(latency)
                server.set_faults(faults)
                told = {"measure": measure, "url": f"{server.url}/v1", "token": server.token, **job}
                found.append(float(children.run("benchmarks.native_child", self._ready.with_sink, told)["seconds"]))
        return min(found)


def _prepare(server: ReferenceServer) -> None:
    """The schema that all tables are in."""
    for path, body in (
        ("services/databaseServices", {"name": "lake", "serviceType": "Postgres"}),
        ("databases", {"name": "main", "service": "lake"}),
        ("databaseSchemas", {"name": "public", "database": "lake.main"}),
    ):
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{server.url}/v1/{path}", data=data, headers=headers, method="PUT")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            answer.read()


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks native", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    console = screen()
    facts = machine_facts.describe()
    console.print("[bold]The native sink by itself[/]: seconds", highlight=False)
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    with console.status("measuring"):
        bounds = _bounds(Bench(prepared.from_environment(), chosen.rounds))
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds]}
    (chosen.output / "native.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _bounds(bench: Bench) -> list[Bound]:
    one = {"bulk": {"request_ms": 60}}
    few: dict[str, Any] = {"count": 20_000, "batch_size": ROWS, "faults": [_FEW_PLACES]}
    best = bench.least("tables", one, workers=PLACES, **few)
    ours = bench.least("tables", one, workers=WORKERS, **few)
    rows: dict[str, Any] = {"count": ROWS_WITHOUT_PLACE, "batch_size": ROWS, "workers": WORKERS}
    ends = MOST_UNTIL_A_WAIT_ENDS_S
    return [
        Bound(
            f"{WORKERS} workers at a server with {PLACES} places, beside {PLACES} workers",
            ours / best,
            MOST_BESIDE_AS_MANY_WORKERS,
            "times",
        ),
        Bound(
            "1,500 rows of 40 ms, ten at once, some without a place (1.11)",
            bench.least("tables", _PLACES_FOR_ROWS, profile="1.11", **rows),
            MOST_FOR_ROWS_S,
        ),
        Bound(
            "from the last of 1,000 tables to the last of 385 life cycles",
            bench.least("tail", _BESIDE_A_SOURCE, count=1_000, life_cycles=385, pace=0.004),
            MOST_BEHIND_THE_LAST_TABLE_S,
        ),
        Bound("from a signal to the end of a drain", bench.least("interrupted", _SILENT), ends),
        Bound(
            "a drain beyond its time-out, while the server is silent",
            bench.least("timed_out", _SILENT, end="drain", timeout=0.2),
            ends,
        ),
        Bound(
            "a close beyond its time-out, while the server is silent",
            bench.least("timed_out", _SILENT, end="close", timeout=0.3),
            ends,
        ),
        Bound(
            "the longest time that awaitables keep an event loop",
            bench.least("gap", {"bulk": {"request_ms": 300}}, count=30),
            ends,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
