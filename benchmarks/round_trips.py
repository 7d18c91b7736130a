"""`make bench-round-trips`: what round trips to the source's database cost, and what is left of them with chunks, with
statements ahead, and with upstream's threads.

A proxy on the loopback address holds back what the source sends. `E` is the source loop without the time in the sink.
All runs of a database and a delay are interleaved; the catalogues they leave are compared and must be equal.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks import machine_facts, prepared
from benchmarks.bounds import Bound, conclude
from benchmarks.ingestions import postgres_programs
from benchmarks.screen import screen
from benchmarks.stopped import told
from tests.ingest import FarDatabase, MariaDB, Postgres, ReferenceServer, compare, ingest, workflow
from tests.ingest.sources import PostgresShape, fill_postgres, mariadb_source, mariadb_statements, postgres_source
from tools import mariadb

RESULTS = Path(__file__).resolve().parent / "results"

#: Milliseconds of a round trip.
DELAYS = (0, 3, 10, 30)
QUICK_DELAYS = (0, 10)

IN_CHUNKS = "PostgreSQL in chunks"
OURS, AHEAD = "ours", "ours, 4 ahead"
UPSTREAMS_THREADS, INSTEAD_OF_THREADS = "ours, upstream's threads: 4", "ours, threads: 4"

#: Where ours with 4 ahead must be, of ours without any, by database and delay.
MOST = {("PostgreSQL one by one", 10): 0.30, ("MariaDB", 10): 0.40}
#: The same for every database.
MOST_ANYWHERE = {0: 1.05, 3: 0.95}
#: MariaDB with one schema at 10 ms and `threads: 4`: with connections instead of upstream's threads.
MOST_INSTEAD = 0.45


@dataclass(frozen=True)
class Way:
    """One way to run an ingestion. loses: its catalogue may differ, since upstream's threads lose comments and keys
    (docs/accelerators.md).
    """

    name: str
    variables: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    loses: bool = False


@dataclass(frozen=True)
class Database:
    """One that runs. source: of a workflow, for the port of a proxy and options."""

    name: str
    port: int
    source: Callable[[int, dict[str, Any]], dict[str, Any]]
    accelerate: str

    def ways(self) -> list[Way]:
        """Those that are measured for it."""
        ours = {"OM_BULKSINK_ACCELERATE": self.accelerate}
        threads = {"threads": 4}
        return [
            Way("upstream", {"OM_BULKSINK": "0"}),
            Way("upstream, threads: 4", {"OM_BULKSINK": "0"}, threads, loses=True),
            Way(OURS, {**ours, "OM_BULKSINK_READ_AHEAD": "0"}),
            Way(AHEAD, {**ours, "OM_BULKSINK_READ_AHEAD": "4"}),
            Way("ours, 8 ahead", {**ours, "OM_BULKSINK_READ_AHEAD": "8"}),
            Way(UPSTREAMS_THREADS, {**ours, "OM_BULKSINK_READ_AHEAD": "0"}, threads, loses=True),
            Way(INSTEAD_OF_THREADS, ours, threads),
        ]


@told
def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 where a bound is missed or a run failed."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks round-trips", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the tables, 0 and 10 ms, one round")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    ready = prepared.from_environment()
    console = screen()
    facts = machine_facts.describe()
    console.print(machine_facts.sentence(facts), style="dim", highlight=False)
    size, delays, rounds = (4, QUICK_DELAYS, 1) if chosen.quick else (1, DELAYS, 3)
    rows: list[dict[str, Any]] = []
    differences = 0
    for database in _databases(ready, size):
        with FarDatabase(database.port) as far:
            for delay in delays:
                differences += _measure(database, far, delay, rounds, ready, rows, console)
    console.print(_table(rows))
    bounds = [*_bounds(rows), Bound("differences of the catalogues", differences, 0, "")]
    chosen.output.mkdir(parents=True, exist_ok=True)
    written = {"machine": facts, "bounds": [bound.as_dict() for bound in bounds], "runs": rows}
    (chosen.output / "round-trips.json").write_text(json.dumps(written, indent=1) + "\n")
    return conclude(console, bounds)


def _databases(ready: prepared.Prepared, size: int) -> Iterator[Database]:
    """One after the other, each for as long as it is looked at. size: by how much they are smaller."""
    everything = ready.accelerators()
    with Postgres(postgres_programs(ready)) as server:
        fill_postgres(server, "shop", PostgresShape(schemas=4, tables=125 // size, columns=20))

        def postgres(port: int, options: dict[str, Any]) -> dict[str, Any]:
            only_ours = {"schemaFilterPattern": {"excludes": ["^(information_schema|public)$"]}}
            address = {"hostPort": f"127.0.0.1:{port}"}
            return postgres_source(server, "shop", options={**only_ours, **options}, connection=address)

        yield Database(IN_CHUNKS, server.port, postgres, ",".join(everything))
        one_by_one = ",".join(name for name in everything if name != "postgres_bulk")
        yield Database("PostgreSQL one by one", server.port, postgres, one_by_one)
    with MariaDB(mariadb.programs()) as maria:
        maria.execute(mariadb_statements(schemas=1, tables=500 // size, columns=20))

        def source(port: int, options: dict[str, Any]) -> dict[str, Any]:
            return mariadb_source(maria, port=port, options=options)

        yield Database("MariaDB", maria.port, source, ",".join(everything))


def _measure(
    database: Database,
    far: FarDatabase,
    delay: int,
    rounds: int,
    ready: prepared.Prepared,
    rows: list[dict[str, Any]],
    console: Any,
) -> int:
    """Adds a row for each way; returns how many differences their catalogues have."""
    seconds: dict[str, list[float]] = {}
    counts: dict[str, tuple[int, int]] = {}
    differences = 0
    expected: Any = None
    for _ in range(rounds):
        for way in database.ways():
            with ReferenceServer(ready.server) as server:
                far.reset()
                far.delay = delay / 1000
                source = database.source(far.port, way.options)
                config = workflow(source=source, server_url=server.url, token=server.token)
                run = ingest(ready.with_sink, config, variables=way.variables, time_sink=True).require_success()
                state = server.state()
            seconds.setdefault(way.name, []).append((run.loop_s or 0.0) - (run.sink_s or 0.0))
            counts[way.name] = (far.trips, far.most_open)
            if not way.loses:
                expected = expected or state
                differences += len(compare(expected, state))
    for name, took in seconds.items():
        trips, connections = counts[name]
        row = {"database": database.name, "delay_ms": delay, "way": name, "E_s": round(median(took), 2)}
        row |= {"round_trips": trips, "connections": connections}
        rows.append(row)
        console.print(row, highlight=False)
    return differences


def _bounds(rows: list[dict[str, Any]]) -> list[Bound]:
    found = {(row["database"], row["delay_ms"], row["way"]): row["E_s"] for row in rows}
    bounds = []
    for database, delay in dict.fromkeys((row["database"], row["delay_ms"]) for row in rows):
        most = MOST.get((database, delay), MOST_ANYWHERE.get(delay))
        if most is None or database == IN_CHUNKS:
            continue
        ratio = found[database, delay, AHEAD] / found[database, delay, OURS]
        bounds.append(Bound(f"{database}, {delay} ms: E with 4 ahead / without", ratio, most, "times"))
    ratio = found["MariaDB", 10, INSTEAD_OF_THREADS] / found["MariaDB", 10, UPSTREAMS_THREADS]
    bounds.append(Bound("MariaDB, 10 ms, threads: 4: E with 3 ahead / upstream's", ratio, MOST_INSTEAD, "times"))
    return bounds


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="seconds of the source, by milliseconds of a round trip", title_justify="left")
    for name in ("database", "delay ms", "way", "E s", "round trips", "connections"):
        table.add_column(name, justify="left" if name in ("database", "way") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    return table


if __name__ == "__main__":
    sys.exit(main())
