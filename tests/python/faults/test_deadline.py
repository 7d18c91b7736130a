"""How long faults may last, and what then (rule E9), on real sockets; times are a twentieth of the real ones.

300 s of delivery time-out and of read time-out are 15 here, outages of 5, 60 and 240 s are 0.25, 3 and 12. Pauses
between attempts are not scaled, so that some bounds have room for one of them. `make chaos` plays the same scenarios
at full scale (BULKSINK_TEST_SCALE=1). `BulkSink` by itself: the time of extraction plays no part.
"""

from __future__ import annotations

import json
import os
import time
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
#: Rule E5: work goes on so soon after the server is back. Not scaled.
RECOVERY = 10.0
#: What a look-up of unknown results and a busy machine may add. Not scaled.
MORE = 10.0 + 2.0


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
            started, blocked = time.monotonic(), 0.0
            for number in range(tables):
                columns = [{"name": "c", "dataType": "INT"}]
                body = {"name": f"t{number}", "databaseSchema": SCHEMA, "columns": columns, "sourceHash": f"h{number}"}
                sink.submit("tables", f"{SCHEMA}.t{number}", json.dumps(body), parent=SCHEMA)
                if after is not None and number == after[0]:
                    after[1]()
                    blocked = sink.stats().blocked_seconds
                    started = time.monotonic()
            #: What the source itself took since then: a busy machine makes it seconds.
            self.extraction = time.monotonic() - started - (sink.stats().blocked_seconds - blocked)
            sink.drain()
            self.seconds = time.monotonic() - started
            self.outcomes = sink.take_outcomes()
            self.stats = sink.stats()
        assert len(self.outcomes) == tables
        self.lost = [outcome for outcome in self.outcomes if outcome.status != "written"]


def a_server_that_comes_back_costs_nothing(lake: ReferenceServer, seconds: float) -> None:
    lake.ask("POST", "/outage", {"seconds": seconds})
    written = Written(lake, 500, delivery_timeout=max(DEADLINE, seconds + RECOVERY + 5))
    assert not written.lost
    assert len(lake.state()["tables"]) == 500
    assert written.seconds < seconds + RECOVERY + 2
    stalls = [line for line in written.notices if line.startswith("nothing could be written")]
    goes_on = [line for line in written.notices if line.startswith("writing goes on")]
    assert len(stalls) == len(goes_on) <= 1, written.notices
    assert stalls or seconds < 10, "ten seconds without success are told, once"


def a_server_that_dies_for_good_ends_the_run(lake: ReferenceServer, how: str) -> None:
    """Within the deadline and one attempt; each loss is named once, and people are told once."""

    def die() -> None:
        if how == "refuses":
            lake.ask("POST", "/outage", {"seconds": 10_000})
        else:
            lake.set_faults([{"do": {"kind": "stall"}}])

    try:
        written = Written(lake, 10_000, after=(2_000, die))
    finally:
        lake.ask("POST", "/outage", {"seconds": 0})
    one_attempt = 0.0 if how == "refuses" else READ_TIMEOUT
    bound = DEADLINE + one_attempt + written.extraction + MORE
    assert written.seconds < bound, f"{written.seconds:.1f} s, {written.extraction:.1f} of them extraction"
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
    assert written.seconds < DEADLINE + MORE
    # One probe a pause, and none for what is given up at once.
    assert lake.summary()["statuses"]["503"] < 40 + DEADLINE


def one_row_that_fails_for_ever_costs_only_itself(lake: ReferenceServer) -> None:
    rule = {"match": {"class": "bulk", "fqn": f"{SCHEMA}.t7"}, "do": {"kind": "status", "status": 500}}
    lake.set_faults([rule])
    written = Written(lake, 1_000)
    assert [outcome.fqn for outcome in written.lost] == [f"{SCHEMA}.t7"]
    assert written.seconds < DEADLINE + MORE


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
