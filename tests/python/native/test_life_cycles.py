"""Life cycles over real sockets, at a scaled-down pace of the case this project started from: written while tables are
still coming, whatever happens to either of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.native.conftest import SCHEMA, table

pytestmark = [pytest.mark.wheel]

TABLES = 1_000
LIFE_CYCLES = 385
#: Seconds from one table to the next; the server needs two thirds of that for a row, and writes four batches at once.
PACE = 0.004
LATENCY = {"bulk": {"request_ms": 20, "row_ms": 2.5}, "life_cycle": {"request_ms": 4}}

MakeSink = Callable[..., Any]

#: The tables that have a life cycle, evenly among all.
CARRIERS = [number * TABLES // LIFE_CYCLES for number in range(LIFE_CYCLES)]


def name(number: int) -> str:
    return f"{SCHEMA}.t{number}"


def life_cycle(number: int) -> dict[str, Any]:
    return {"created": {"timestamp": 1_700_000_000_000 + number}, "accessed": {"timestamp": 1_700_000_500_000 + number}}


class Feed:
    """What a source yields, at its pace: each life cycle behind its table, or before it, or with an update behind
    both.

    most_open: life cycles without an outcome that it waits for before it goes on.
    """

    def __init__(
        self,
        sink: Any,
        early: AbstractSet[int] = frozenset(),
        updated: AbstractSet[int] = frozenset(),
        most_open: int = LIFE_CYCLES,
    ) -> None:
        self._sink, self._early, self._updated, self._most_open = sink, early, updated, most_open
        self._open = 0
        self.outcomes: list[Any] = []

    def run(self, life_cycles: AbstractSet[int]) -> None:
        started = time.monotonic()
        for number in range(TABLES):
            time.sleep(max(0.0, started + number * PACE - time.monotonic()))
            if number in life_cycles and number in self._early:
                self._life_cycle(number)
            self._sink.submit("tables", name(number), table(f"t{number}"), parent=SCHEMA)
            if number in life_cycles and number not in self._early:
                self._life_cycle(number)
            if number in self._updated:
                body = table(f"t{number}", description="later")
                self._sink.submit("tables", name(number), body, parent=SCHEMA)

    def _life_cycle(self, number: int) -> None:
        self._sink.submit_life_cycle("tables", name(number), json.dumps(life_cycle(number)))
        self._open += 1
        while self._open > self._most_open:
            time.sleep(PACE)
            ended = self._sink.take_outcomes()
            self._open -= sum(outcome.kind == "life_cycle" for outcome in ended)
            self.outcomes += ended


def test_life_cycles_are_written_while_tables_are_coming(make_sink: MakeSink, lake: ReferenceServer) -> None:
    lake.set_latency(LATENCY)
    sink = make_sink()
    # A source that is faster than the machine would be at its end before the first of them is written.
    feed = Feed(sink, most_open=LIFE_CYCLES // 5)
    feed.run(set(CARRIERS))
    sink.drain()
    outcomes = feed.outcomes + sink.take_outcomes()
    assert len(outcomes) == TABLES + LIFE_CYCLES
    assert all(outcome.status == "written" for outcome in outcomes)
    stored = lake.state()["tables"]
    assert {number: stored[name(number)]["lifeCycle"] for number in CARRIERS} == {
        number: life_cycle(number) for number in CARRIERS
    }
    patches = [request for request in lake.requests() if request["method"] == "PATCH"]
    assert len(patches) == LIFE_CYCLES, "one request for each"
    assert all(request["status"] == 200 for request in patches), "none came before its table"
    ends = sorted(request["t_end_ms"] for request in lake.requests() if request["path"].endswith("/bulk"))
    before_the_end = sum(request["t_end_ms"] < ends[-1] for request in patches)
    assert before_the_end > LIFE_CYCLES * 0.7, f"only {before_the_end} were written before the last tables"
    assert lake.violations() == []


def test_whatever_happens_each_life_cycle_is_written_or_fails_with_its_table(
    make_sink: MakeSink, lake: ReferenceServer
) -> None:
    """One request in fifty fails, tables are refused, life cycles come before their table or before an update of it."""
    refused = set(CARRIERS[7::40])
    early = set(CARRIERS[3::10])
    updated = set(CARRIERS[5::10])
    no = {"kind": "fail_rows", "status": 400, "message": "no such type", "fqns": [name(number) for number in refused]}
    rules: list[dict[str, Any]] = [
        {"when": {"rate": 0.005}, "do": {"kind": "status", "status": 503}},
        {"when": {"rate": 0.005}, "do": {"kind": "status", "status": 500}},
        {"when": {"rate": 0.005}, "do": {"kind": "empty"}},
        # Before the fault that does the work first: it would write what is to be refused.
        *({"match": {"class": "bulk", "fqn": fqn}, "do": no} for fqn in no["fqns"]),
        {"when": {"rate": 0.005}, "do": {"kind": "reset", "at": "after_work"}},
    ]
    lake.set_latency(LATENCY)
    lake.set_faults(rules)
    sink = make_sink(read_timeout=5.0)
    Feed(sink, early, updated).run(set(CARRIERS))
    sink.drain()
    outcomes = sink.take_outcomes()
    assert len(outcomes) == TABLES + LIFE_CYCLES + len(updated)
    lost = {(outcome.kind, outcome.fqn): outcome.reason for outcome in outcomes if outcome.status != "written"}
    assert set(lost) == {(kind, name(number)) for kind in ("create", "life_cycle") for number in refused}
    for number in refused:
        reason = lost["life_cycle", name(number)]
        assert name(number) in reason
        assert "no such type" in reason or "failed in this run" in reason, reason
    stored = lake.state()["tables"]
    for number in set(CARRIERS) - refused:
        assert stored[name(number)]["lifeCycle"] == life_cycle(number), name(number)
    assert all(stored[name(number)]["description"] == "later" for number in updated - refused)
    assert lake.violations() == []
