"""The life cycles of tables that are written already, by both sinks: the pass that was a serial one at the end."""

from __future__ import annotations

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import Fed, Feeder, prepare

pytestmark = [pytest.mark.wheel]

RECORDS = 385
WORKERS = 4


def test_life_cycles_alone_take_one_request_each_and_keep_all_workers_busy(
    feeder: Feeder, upstream_feeder: Feeder, lake: ReferenceServer
) -> None:
    """What that makes in time is asked of the engine in its own time (`life_cycles_alone_keep_all_workers_busy`)."""
    stream = [["tables", 0, RECORDS], ["status"], ["life_cycles", 0, RECORDS], ["close"]]
    latency = {"life_cycle": {"request_ms": 20}, "get": {"request_ms": 20}}

    def feed(process: Feeder) -> tuple[Fed, int, int]:
        """What came of it; requests for the life cycles; the most patches that were in work at once."""
        prepare(lake)
        lake.set_latency(latency)
        fed = process.feed(lake, stream, variables={"OM_BULKSINK_WORKERS": str(WORKERS)})
        assert not fed.without_life_cycle(RECORDS)
        requests = sum(request["class"] in ("get", "life_cycle", "patch") for request in fed.requests)
        return fed, requests, lake.summary()["max_in_flight_by_class"]["life_cycle"]

    ours, our_requests, our_most = feed(feeder)
    ours.require_all_written(RECORDS, life_cycles=RECORDS)
    assert our_requests == RECORDS
    assert our_most == WORKERS
    _, their_requests, their_most = feed(upstream_feeder)
    assert their_most == 1
    assert their_requests >= our_requests
