"""How long faults may last, and what then (rule E9), on real sockets; times are a twentieth of the real ones.

300 s of delivery time-out and of read time-out are 15 here, outages of 5, 60 and 240 s are 0.25, 3 and 12. `make chaos`
plays the same scenarios at full scale (BULKSINK_TEST_SCALE=1). `BulkSink` by itself: the time of extraction plays no
part.

That a run ends, what is lost, and with how many requests, is asked here; how soon, of the engine in its own time, where
no machine is too slow for it (`an_outage_that_ends_in_time_costs_nothing_but_time`, `a_slow_server_is_waited_for`,
`work_goes_on_soon_after_an_overload` and `a_server_that_is_gone_for_ever_ends_the_run_in_time` in
tests/engine/scenarios.rs).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import SCHEMA, own_server, prepare

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1_200)]

SCALE = float(os.environ.get("BULKSINK_TEST_SCALE", "20"))


def scaled(seconds: float) -> float:
    return seconds / SCALE


DEADLINE = scaled(300)
READ_TIMEOUT = scaled(300)
#: What the records of an outage have beyond it, so that each is tried again; pauses are not scaled.
RECOVERY = 60.0


class Written:
    """One sink from its first record to its end."""

    def __init__(
        self,
        server: ReferenceServer,
        tables: int,
        *,
        after: tuple[int, Callable[[], object]] | None = None,
        **more: Any,
    ) -> None:
        from openmetadata_bulksink import BulkSink

        self.notices: list[str] = []
        times = {"delivery_timeout": DEADLINE, "connect_timeout": max(1.0, scaled(10)), "read_timeout": READ_TIMEOUT}
        settings = {**times, **more, "on_notice": self.notices.append}
        with BulkSink(f"{server.url}/v1", token=server.token, **settings) as sink:
            for number in range(tables):
                columns = [{"name": "c", "dataType": "INT"}]
                body = {"name": f"t{number}", "databaseSchema": SCHEMA, "columns": columns, "sourceHash": f"h{number}"}
                sink.submit("tables", f"{SCHEMA}.t{number}", json.dumps(body), parent=SCHEMA)
                if after is not None and number == after[0]:
                    after[1]()
            sink.drain()
            self.outcomes = sink.take_outcomes()
            self.stats = sink.stats()
        assert len(self.outcomes) == tables
        self.lost = [outcome for outcome in self.outcomes if outcome.status != "written"]


def a_server_that_comes_back_costs_nothing(lake: ReferenceServer, seconds: float) -> None:
    lake.ask("POST", "/outage", {"seconds": seconds})
    written = Written(lake, 500, delivery_timeout=seconds + RECOVERY)
    assert not written.lost
    assert len(lake.state()["tables"]) == 500
    stalls = [line for line in written.notices if line.startswith("nothing could be written")]
    goes_on = [line for line in written.notices if line.startswith("writing goes on")]
    assert len(stalls) == len(goes_on) <= 1, written.notices
    assert stalls or seconds < 20, "ten seconds without success are told, once"


def a_server_that_dies_for_good_ends_the_run(lake: ReferenceServer, how: str) -> None:
    """The run ends although the server never comes back; each loss is named once, and people are told once."""

    def die() -> None:
        if how == "refuses":
            lake.ask("POST", "/outage", {"seconds": 10_000})
        else:
            lake.set_faults([{"do": {"kind": "stall"}}])

    try:
        written = Written(lake, 10_000, after=(2_000, die))
    finally:
        lake.ask("POST", "/outage", {"seconds": 0})
    names = Counter(outcome.fqn for outcome in written.lost)
    assert names
    assert max(names.values()) == 1
    assert all(outcome.reason for outcome in written.lost)
    there = set(lake.state().get("tables", {}))
    unnamed = {f"{SCHEMA}.t{number}" for number in range(10_000)} - there - set(names)
    assert not unnamed
    assert len(written.notices) <= 3, written.notices


def a_server_that_answers_503_for_ever(lake: ReferenceServer) -> None:
    lake.set_faults([{"match": {"class": "bulk"}, "do": {"kind": "status", "status": 503}}])
    written = Written(lake, 2_000)
    assert len(written.lost) == 2_000
    # One probe a pause, and none for what is given up at once.
    assert lake.summary()["statuses"]["503"] < 40 + DEADLINE


def one_row_that_fails_for_ever_costs_only_itself(lake: ReferenceServer) -> None:
    rule = {"match": {"class": "bulk", "fqn": f"{SCHEMA}.t7"}, "do": {"kind": "status", "status": 500}}
    lake.set_faults([rule])
    written = Written(lake, 1_000)
    assert [outcome.fqn for outcome in written.lost] == [f"{SCHEMA}.t7"]


def an_attempt_that_is_slow_but_answers_in_time_is_written(lake: ReferenceServer) -> None:
    """200 s with a read time-out of 300 s: longer than most of the deadline, and no retry."""
    lake.set_latency({"bulk": {"request_ms": 1_000 * scaled(200)}})
    written = Written(lake, 50)
    assert not written.lost
    assert written.stats.retries == 0


def a_batch_that_takes_too_long_is_written_in_halves(lake: ReferenceServer) -> None:
    """310 s with a read time-out of 300 s: 100 rows do not fit into it, 50 do, also past the deadline."""
    lake.set_latency({"bulk": {"row_ms": 10 * scaled(310)}})
    written = Written(lake, 100, workers=1)
    assert not written.lost
    assert len(lake.state()["tables"]) == 100


def a_504_whose_work_is_done_later_loses_nothing(lake: ReferenceServer) -> None:
    """The work is done after the next attempt has begun."""
    late = {"kind": "status", "status": 504, "work_after_s": scaled(160)}
    lake.set_faults([{"match": {"class": "bulk"}, "when": {"first": 2}, "do": late}])
    written = Written(lake, 300)
    assert not written.lost
    assert len(lake.state()["tables"]) == 300


Scenario = Callable[[ReferenceServer], None]

SCENARIOS: dict[str, Scenario] = {
    **{
        f"away-{seconds}": partial(a_server_that_comes_back_costs_nothing, seconds=scaled(seconds))
        for seconds in (5, 60, 240)
    },
    **{f"dead-{how}": partial(a_server_that_dies_for_good_ends_the_run, how=how) for how in ("refuses", "stalls")},
    "503": a_server_that_answers_503_for_ever,
    "one row": one_row_that_fails_for_ever_costs_only_itself,
    "slow": an_attempt_that_is_slow_but_answers_in_time_is_written,
    "too slow": a_batch_that_takes_too_long_is_written_in_halves,
    "late": a_504_whose_work_is_done_later_loses_nothing,
}


def play(program: Path, scenario: Scenario) -> None:
    """With a server of its own."""
    with own_server(program) as server:
        prepare(server)
        scenario(server)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_deadline(scenario: str, scenarios: dict[str, Future[None]]) -> None:
    scenarios[scenario].result()
