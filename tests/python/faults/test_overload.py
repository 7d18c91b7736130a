"""A server with few places: as fast as the best fixed number of workers, without a storm, and back to speed when it
is over.

`BulkSink` by itself, so that the time of extraction plays no part.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import SCHEMA, prepare

pytestmark = [pytest.mark.wheel]

PLACES = 3
ROWS = 20


@pytest.fixture
def lake(server: ReferenceServer) -> ReferenceServer:
    prepare(server)
    server.set_latency({"bulk": {"request_ms": 60}})
    return server


def bodies(count: int) -> list[tuple[str, str]]:
    column = {"name": "c", "dataType": "INT"}
    made = [{"name": f"t{number}", "databaseSchema": SCHEMA, "columns": [column]} for number in range(count)]
    return [(f"{SCHEMA}.{body['name']}", json.dumps(body)) for body in made]


def write(server: ReferenceServer, tables: int, **settings: Any) -> tuple[float, Any, list[Any]]:
    """Seconds, stats and losses of one sink."""
    from openmetadata_bulksink import BulkSink

    chosen = {"token": server.token, "batch_size": ROWS, "read_timeout": 5.0, **settings}
    records = bodies(tables)
    with BulkSink(f"{server.url}/v1", **chosen) as sink:
        started = time.monotonic()
        for fqn, body in records:
            sink.submit("tables", fqn, body, parent=SCHEMA)
        sink.drain()
        seconds = time.monotonic() - started
        lost = [outcome for outcome in sink.take_outcomes() if outcome.status != "written"]
        return seconds, sink.stats(), lost


def refuse_beyond(places: int, **more: Any) -> list[dict[str, Any]]:
    action = {"kind": "status", "status": 429, **more}
    return [{"match": {"class": "bulk", "in_work_over": places}, "do": action}]


def rate_of_second_half(server: ReferenceServer) -> float:
    """Requests a second that were served, once the sink has found out how many the server takes."""
    ends = sorted(r["t_end_ms"] for r in server.requests() if r["path"].endswith("/bulk") and r["status"] == 200)
    late = ends[len(ends) // 2 :]
    return (len(late) - 1) / (late[-1] - late[0]) * 1_000


@pytest.mark.parametrize("retry_after", [None, 1], ids=str)
def test_throughput_with_few_places(lake: ReferenceServer, retry_after: Any) -> None:
    """Finding the level costs a pause for each level that is refused; from then on nothing is given away."""
    rules = refuse_beyond(PLACES, **({} if retry_after is None else {"retry_after": retry_after}))
    prepare(lake, rules)
    lake.set_latency({"bulk": {"request_ms": 60}})
    _, stats, lost = write(lake, 3_000, workers=PLACES)
    assert not lost
    best = rate_of_second_half(lake)

    prepare(lake, rules)
    lake.set_latency({"bulk": {"request_ms": 60}})
    # A refused level is tried again after 8 s, then after 16 and 30: where each of these costs a second, the run must
    # be longer than from one to the next.
    tables = 20_000 if retry_after == 1 else 6_000
    _, stats, lost = write(lake, tables, workers=8)
    assert not lost
    refused = lake.summary()["statuses"].get("429", 0)
    assert refused <= 30, f"{refused} requests were refused"
    assert stats.requests <= tables // ROWS + refused + 8
    rate = rate_of_second_half(lake)
    assert rate >= best * 0.85, f"{rate:.1f} requests a second; as many workers as places: {best:.1f}"


def test_rows_that_find_no_place(server_program: Any) -> None:
    """1.11: a bulk request is answered, and the rows that found no place in time carry a status 503."""
    latency = {"bulk": {"row_ms": 40}, "rows_at_once": 10, "place_timeout_ms": 300}
    with ReferenceServer(server_program, profile="1.11", latency=latency) as server:
        prepare(server)
        seconds, stats, lost = write(server, 1_500, workers=8)
        assert not lost
        # Ten rows at once, 40 ms each: six seconds of work that cannot be had for less.
        assert seconds < 6 * 1.3, f"{seconds:.1f} s, {stats}"
        assert stats.rows <= 1_500 * 1.5, f"{stats.rows} rows were sent for 1,500"


def test_no_storm_while_the_server_is_overloaded_and_full_speed_soon_after(lake: ReferenceServer) -> None:
    lake.set_faults([{"match": {"class": "bulk"}, "when": {"to_s": 8}, "do": {"kind": "status", "status": 503}}])
    _, stats, lost = write(lake, 4_000, workers=8, budget_bytes=1 << 30)
    assert not lost
    log = [request for request in lake.requests() if request["path"].endswith("/bulk")]
    refused = [request for request in log if request["status"] == 503]
    # Eight at the start, then single probes with pauses that double to five seconds.
    assert len(refused) <= 8 + 30, f"{len(refused)} requests while nothing could be had"
    end = max(request["t_end_ms"] for request in refused)
    first = min(request["t_end_ms"] for request in log if request["status"] == 200)
    assert first - end < 10_000
    busy = [request for request in log if request["status"] == 200]
    last_quarter = busy[-len(busy) // 4 :]
    rate = len(last_quarter) / (last_quarter[-1]["t_end_ms"] - last_quarter[0]["t_end_ms"]) * 1_000
    assert rate > 0.5 * 8 / 0.060, f"{rate:.0f} requests a second at the end, {8 / 0.060:.0f} are possible"
    assert stats.limit == 8


def test_a_pause_that_the_server_asks_for_is_kept_by_all_workers(lake: ReferenceServer) -> None:
    rule = {
        "match": {"class": "bulk"},
        "when": {"nth": [10]},
        "do": {"kind": "status", "status": 429, "retry_after": 3},
    }
    lake.set_faults([rule])
    _, stats, lost = write(lake, 1_000, workers=8)
    assert not lost
    log = sorted((r for r in lake.requests() if r["path"].endswith("/bulk")), key=lambda r: r["t_start_ms"])
    refused = next(request for request in log if request["status"] == 429)
    during = [
        request for request in log if refused["t_end_ms"] + 200 < request["t_start_ms"] < refused["t_end_ms"] + 2_900
    ]
    assert during == [], "requests in the pause that was asked for"
    assert stats.retries <= 2
