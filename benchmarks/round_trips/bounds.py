"""What the figures must be. A bound is there where what it needs was measured."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bounds import Bound
from benchmarks.round_trips import ways
from benchmarks.round_trips.rows import Row, Rows

POSTGRES, MARIADB, REDSHIFT = "PostgreSQL", "MariaDB", "Redshift"
#: 1,000 tables, and no round trip.
THOUSAND = "PostgreSQL, 1,000 tables"

#: Of the same source table by table: its time at so many ms, and what its thread computes.
CHUNKS_MOST = {10: 0.10, 30: 0.03}
CHUNKS_CPU_MOST = 0.55
#: Statements: of a run, and for each of its chunks, one a schema here.
STATEMENTS, OF_A_CHUNK, CHUNKS = 60, 10, 4
#: What 30 ms may cost, of the statements times that.
WAIT_MOST = 1.25

#: What is compared for it: 4 connections ahead, and none.
_WITH_AND_WITHOUT = {POSTGRES: (ways.ONE_BY_ONE_AHEAD, ways.ONE_BY_ONE), MARIADB: (ways.AHEAD, ways.OURS)}
AHEAD_MOST = {
    (POSTGRES, 10): 0.30,
    (MARIADB, 10): 0.40,
    (POSTGRES, 0): 1.05,
    (MARIADB, 0): 1.05,
    (POSTGRES, 3): 0.95,
    (MARIADB, 3): 0.95,
}
#: The delay at which statements that were sent for nothing are counted, and their share in percent.
FOR_NOTHING_AT, FOR_NOTHING_MOST = 10, 2.0

#: `threads: 4` grants four connections.
THREADS_MOST, THREADS_FAIL_MOST, GRANTED = 0.45, 1.10, 4
REDSHIFT_DELAY, REDSHIFT_MOST = 200, 0.50
#: Upstream takes eight times as long as ours.
THOUSAND_MOST = 1 / 8


def counts_of(rows: Rows) -> list[Bound]:
    """Bounds on what is counted: they hold for any number of tables, on any machine."""
    return [*_statements(rows), *_for_nothing(rows), *_connections(rows)]


def times_of(rows: Rows) -> list[Bound]:
    """Bounds on times, at the full size alone: what a run needs once is a larger part of a small one."""
    return [*_chunks(rows), *_ahead(rows), *_threads(rows), *_thousand(rows)]


# --- counts ---


def _statements(rows: Rows) -> Iterator[Bound]:
    in_chunks = [row for row in rows.all if (row.database, row.way) == (POSTGRES, ways.OURS)]
    if in_chunks:
        sent = max(row.statements for row in in_chunks)
        yield Bound("PostgreSQL in chunks: statements", sent, STATEMENTS + OF_A_CHUNK * CHUNKS, "statements")


def _for_nothing(rows: Rows) -> Iterator[Bound]:
    for database, (way, _) in _WITH_AND_WITHOUT.items():
        row = rows.of(database, FOR_NOTHING_AT, way)
        if row is not None:
            share = 100 * row.for_nothing / row.statements
            yield Bound(f"{database}, {FOR_NOTHING_AT} ms: statements sent for nothing", share, FOR_NOTHING_MOST, "%")


def _connections(rows: Rows) -> Iterator[Bound]:
    found = [row.connections for row in rows.all if (row.database, row.way) == (MARIADB, ways.THREADS)]
    if found:
        yield Bound("MariaDB, threads: 4: connections", max(found), GRANTED, "connections")


# --- times ---


def _ratio(text: str, part: Row | None, whole: Row | None, most: float) -> Iterator[Bound]:
    if part is not None and whole is not None:
        yield Bound(f"{text} ({part.E_s:.1f} / {whole.E_s:.1f} s)", part.E_s / whole.E_s, most, "times")


def _chunks(rows: Rows) -> Iterator[Bound]:
    for delay, most in CHUNKS_MOST.items():
        in_chunks, by_table = (rows.of(POSTGRES, delay, way) for way in (ways.OURS, ways.ONE_BY_ONE))
        yield from _ratio(f"PostgreSQL, {delay} ms: E in chunks / table by table", in_chunks, by_table, most)
    near, by_table, far = (
        rows.of(POSTGRES, delay, way) for delay, way in ((0, ways.OURS), (0, ways.ONE_BY_ONE), (30, ways.OURS))
    )
    if near is not None and by_table is not None:
        text = "PostgreSQL: CPU of the source's thread, in chunks / table by table"
        yield Bound(text, near.cpu_s / by_table.cpu_s, CHUNKS_CPU_MOST, "times")
    if near is not None and far is not None:
        waited = WAIT_MOST * far.statements * 0.030
        yield Bound("PostgreSQL in chunks: E at 30 ms, less E at 0 ms", far.E_s - near.E_s, waited)


def _ahead(rows: Rows) -> Iterator[Bound]:
    for (database, delay), most in AHEAD_MOST.items():
        ahead, without = (rows.of(database, delay, way) for way in _WITH_AND_WITHOUT[database])
        yield from _ratio(f"{database}, {delay} ms: E with 4 ahead / without", ahead, without, most)


def _threads(rows: Rows) -> Iterator[Bound]:
    upstreams, instead, failing = (
        rows.of(MARIADB, 10, way) for way in (ways.UPSTREAMS_THREADS, ways.THREADS, ways.HELPERS_FAIL)
    )
    text = "MariaDB, 10 ms, threads: 4: E with 3 ahead"
    yield from _ratio(f"{text} / upstream's", instead, upstreams, THREADS_MOST)
    yield from _ratio(f"{text}, which fail half way / upstream's", failing, upstreams, THREADS_FAIL_MOST)
    four, one = (rows.of(REDSHIFT, REDSHIFT_DELAY, way) for way in (ways.THREADS, ways.OURS))
    yield from _ratio(f"Redshift, {REDSHIFT_DELAY} ms: E with threads: 4 / with one", four, one, REDSHIFT_MOST)


def _thousand(rows: Rows) -> Iterator[Bound]:
    ours, upstream = (rows.of(THOUSAND, 0, way) for way in (ways.OURS, ways.UPSTREAM))
    if ours is not None and upstream is not None:
        text = (
            f"{THOUSAND}, no latency: workflow, ours / upstream ({ours.workflow_s:.1f} / {upstream.workflow_s:.1f} s)"
        )
        yield Bound(text, ours.workflow_s / upstream.workflow_s, THOUSAND_MOST, "times")
