"""A server with few places: its places are used, without a storm, and all workers are at work again when it is over.

`BulkSink` by itself, so that extraction plays no part. What is counted here on real sockets is asked in seconds of the
engine in its own time (tests/engine/scenarios.rs: `work_goes_on_soon_after_an_overload`, and with rows that find no
place `an_overloaded_server_is_used_as_well_as_by_the_best_fixed_number_of_workers`), and of all of it by `make
bench-native`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import SCHEMA, prepare

pytestmark = [pytest.mark.wheel]

PLACES = 3
ROWS = 20
WORKERS = 8


@pytest.fixture
def lake(server: ReferenceServer) -> ReferenceServer:
    prepare(server)
    server.set_latency({"bulk": {"request_ms": 60}})
    return server


def bodies(count: int) -> list[tuple[str, str]]:
    column = {"name": "c", "dataType": "INT"}
    made = [{"name": f"t{number}", "databaseSchema": SCHEMA, "columns": [column]} for number in range(count)]
    return [(f"{SCHEMA}.{body['name']}", json.dumps(body)) for body in made]


def write(server: ReferenceServer, tables: int, **settings: Any) -> Any:
    """The stats of one sink that writes all of them."""
    from openmetadata_bulksink import BulkSink

    records = bodies(tables)
    # Requests are full whatever the pace of this thread.
    settings = {"batch_size": ROWS, "workers": WORKERS, "linger": 3_600.0, **settings}
    with BulkSink(f"{server.url}/v1", token=server.token, **settings) as sink:
        for fqn, body in records:
            sink.submit("tables", fqn, body, parent=SCHEMA)
        sink.drain()
        assert {outcome.status for outcome in sink.take_outcomes()} == {"written"}
        return sink.stats()


def bulks(server: ReferenceServer) -> list[dict[str, Any]]:
    """The bulk requests, in the order in which they came."""
    return [request for request in server.requests() if request["path"].endswith("/bulk")]


def most_at_once(requests: Sequence[dict[str, Any]]) -> int:
    """How many of them were in work at the same time, at the most; or more, where others came while the log still wrote
    that an answer had gone.
    """
    edges = sorted([(one["t_start_ms"], 1) for one in requests] + [(one["t_end_ms"], -1) for one in requests])
    busy = most = 0
    for _, step in edges:
        busy += step
        most = max(most, busy)
    return most


@pytest.mark.parametrize("retry_after", [None, 1], ids=str)
def test_few_places_are_used_and_what_is_refused_is_rare(lake: ReferenceServer, retry_after: Any) -> None:
    """Finding the level costs a pause for each level that is refused; from then on all places are in use."""
    more = {} if retry_after is None else {"retry_after": retry_after}
    action = {"kind": "status", "status": 429, **more}
    lake.set_faults([{"match": {"class": "bulk", "in_work_over": PLACES}, "do": action}])
    tables = 6_000
    stats = write(lake, tables)
    refused = lake.summary()["statuses"].get("429", 0)
    assert 0 < refused <= 30, f"{refused} requests were refused"
    assert stats.requests <= tables // ROWS + refused + WORKERS
    served = [request for request in bulks(lake) if request["status"] == 200]
    assert most_at_once(served[len(served) // 2 :]) >= PLACES


def test_rows_that_find_no_place(server_program: Any) -> None:
    """1.11: a bulk request is answered, and the rows that found no place in time carry a status 503."""
    latency = {"bulk": {"row_ms": 40}, "rows_at_once": 10, "place_timeout_ms": 300}
    with ReferenceServer(server_program, profile="1.11", latency=latency) as server:
        prepare(server)
        stats = write(server, 1_500)
        assert stats.rows > 1_500, "every row found a place"
        assert stats.rows <= 1_500 * 1.5, f"{stats.rows} rows were sent for 1,500"


def test_no_storm_while_the_server_is_overloaded_and_all_workers_after(lake: ReferenceServer) -> None:
    lake.set_faults([{"match": {"class": "bulk"}, "when": {"to_s": 8}, "do": {"kind": "status", "status": 503}}])
    stats = write(lake, 4_000, budget_bytes=1 << 30)
    refused = [request for request in bulks(lake) if request["status"] == 503]
    # Eight at the start, then single probes with pauses that double to five seconds.
    assert len(refused) <= 8 + 30, f"{len(refused)} requests while nothing could be had"
    served = [request for request in bulks(lake) if request["status"] == 200]
    assert most_at_once(served[-len(served) // 4 :]) >= WORKERS
    assert stats.limit == WORKERS


def test_a_pause_that_the_server_asks_for_is_kept_by_all_workers(lake: ReferenceServer) -> None:
    rule = {
        "match": {"class": "bulk"},
        "when": {"nth": [10]},
        "do": {"kind": "status", "status": 429, "retry_after": 3},
    }
    lake.set_faults([rule])
    stats = write(lake, 1_000)
    log = bulks(lake)
    refused = next(request for request in log if request["status"] == 429)
    during = [request for request in log if 0 < request["t_start_ms"] - refused["t_end_ms"] < 2_900]
    # What the others had sent before the answer was read.
    assert len(during) < WORKERS, f"{len(during)} requests in the pause that was asked for"
    assert stats.retries <= 2
