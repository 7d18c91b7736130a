"""An unchanged second run with upstream 1.13, which was slower than the first: each foreign key was a question."""

from __future__ import annotations

from rich.console import Console

from benchmarks.bounds import Bound
from benchmarks.prepared import Prepared
from benchmarks.round_trips.sources import Slow, everything_passes
from tests.ingest import ReferenceServer, ingest, workflow

#: A question of upstream's client takes so long.
_LATENCY = {"other": {"request_ms": 10}}


def measure(database: Slow, rounds: int, ready: Prepared, console: Console) -> Bound:
    """database: of tables with keys. The least of the second runs, against the least of the first ones."""
    if ready.older is None:
        raise SystemExit("this run was prepared without an older upstream")
    least = [float("inf")] * 2
    for _ in range(rounds):
        with ReferenceServer(ready.server, profile="1.13", latency=_LATENCY) as server:
            database.begin(0, everything_passes)
            config = workflow(source=database.source({}), server_url=server.url, token=server.token)
            for number, which in enumerate(("first", "unchanged second")):
                asked = len(server.requests())
                run = ingest(ready.older, config).require_success()
                least[number] = min(least[number], run.workflow_s or 0.0)
                requests = len(server.requests()) - asked
                console.print(f"1.13, {which} run: {run.workflow_s:.1f} s, {requests} requests", highlight=False)
    first, second = least
    return Bound(f"PostgreSQL with keys, 1.13: the unchanged second run (the first: {first:.1f} s)", second, first)
