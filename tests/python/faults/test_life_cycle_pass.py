"""The life cycles of tables that are written already, by both sinks: the pass that was a serial one at the end."""

from __future__ import annotations

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import Feeder, prepare

pytestmark = [pytest.mark.wheel]

RECORDS = 385
REQUEST = 0.039
WORKERS = 4


def test_life_cycles_alone_take_one_request_each_and_keep_all_workers_busy(
    feeder: Feeder, upstream_feeder: Feeder, lake: ReferenceServer
) -> None:
    stream = [["tables", 0, RECORDS], ["status"], ["life_cycles", 0, RECORDS], ["close"]]
    latency = {"life_cycle": {"request_ms": REQUEST * 1000}, "get": {"request_ms": REQUEST * 1000}}
    seconds: dict[str, list[float]] = {"ours": [], "upstream": []}
    # The machine's noise only slows a run: the best of three counts.
    for name, process in (("ours", feeder), ("ours", feeder), ("ours", feeder), ("upstream", upstream_feeder)):
        prepare(lake)
        lake.set_latency(latency)
        fed = process.feed(lake, stream, variables={"OM_BULKSINK_WORKERS": str(WORKERS)})
        assert not fed.without_life_cycle(RECORDS)
        seconds[name].append(fed.took("life_cycles") + fed.took("close"))
        if name == "ours":
            fed.require_all_written(RECORDS, life_cycles=RECORDS)
            assert sum(request["method"] == "PATCH" for request in fed.requests) == RECORDS
    limit = RECORDS * REQUEST / WORKERS
    ours, upstream = min(seconds["ours"]), seconds["upstream"][0]
    print(f"{RECORDS} life cycles: ours {ours:.1f} s, upstream {upstream:.1f} s, limit {limit:.1f} s")
    assert ours <= 1.1 * limit, f"{ours:.2f} s, the limit is {limit:.2f} s"
    assert ours < upstream / 4
