"""Compressed bulk requests, with a server that takes them, and with servers that do not: nothing may be lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.native.conftest import SCHEMA, submit_tables

TABLES, BATCH = 600, 100
COLUMNS = 6
BULK = {"class": "bulk"}


def write(make_sink: Callable[..., Any], **more: Any) -> list[str]:
    """Writes the tables with compression, one request at a time; what the sink says of it."""
    said: list[str] = []
    with make_sink(gzip=True, workers=1, batch_size=BATCH, on_notice=said.append, **more) as sink:
        submit_tables(sink, TABLES, columns=COLUMNS)
        sink.drain()
        outcomes = sink.take_outcomes()
    assert {outcome.status for outcome in outcomes} == {"written"}
    assert len(outcomes) == TABLES
    return said


def bulks(server: ReferenceServer) -> list[dict[str, Any]]:
    """The bulk requests, in order."""
    return [request for request in server.requests() if request["class"] == "bulk"]


def require_tables(server: ReferenceServer) -> None:
    """All of them, whole."""
    tables = server.state()["tables"]
    assert len(tables) == TABLES
    assert {len(table["columns"]) for table in tables.values()} == {COLUMNS}
    assert server.violations() == []


def test_a_server_that_takes_it(lake: ReferenceServer, make_sink: Callable[..., Any]) -> None:
    assert write(make_sink) == []
    require_tables(lake)
    sizes = [request["bytes"] for request in bulks(lake)]
    assert len(sizes) == TABLES / BATCH
    # Numbered names, all alike: real ones shrink to a fifth or less.
    assert max(sizes) < 2_500, sizes


REFUSALS = {
    "415 by the server": None,
    "400 by the server": {"kind": "status", "status": 400, "body": {"code": 400, "message": "Unable to process JSON"}},
    "403 by a firewall": {"kind": "status", "status": 403, "content_type": "text/html", "body": "<html>Blocked</html>"},
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_server_that_refuses_it(lake: ReferenceServer, make_sink: Callable[..., Any], how: str) -> None:
    fault = REFUSALS[how]
    if fault is None:
        lake.ask("PUT", "/switches", {"gzip_requests": False})
    else:
        lake.set_faults([{"match": BULK, "when": {"nth": [1]}, "do": fault}])
    try:
        said = write(make_sink)
    finally:
        lake.ask("PUT", "/switches", {"gzip_requests": True})
    require_tables(lake)
    found = bulks(lake)
    assert [request["status"] for request in found] == [int(how[:3])] + [200] * (TABLES // BATCH)
    assert all(request["bytes"] > 10_000 for request in found[1:]), "plain from then on"
    assert len(said) == 1, said
    assert said[0].startswith("requests are not compressed any more")
    assert how[:3] in said[0]


def test_a_server_that_breaks_on_it(lake: ReferenceServer, make_sink: Callable[..., Any]) -> None:
    lake.set_faults([{"match": BULK, "when": {"nth": [1, 2]}, "do": {"kind": "status", "status": 500}}])
    assert write(make_sink) == []
    require_tables(lake)
    found = bulks(lake)
    assert [request["status"] for request in found].count(500) == 2
    # What a try carried that ended badly goes plain; other errors may have other causes, so there are more tries.
    assert [request["bytes"] > 10_000 for request in found].count(True) == 2


def test_a_server_that_refuses_it_later(lake: ReferenceServer, make_sink: Callable[..., Any]) -> None:
    said: list[str] = []
    with make_sink(gzip=True, workers=1, batch_size=BATCH, on_notice=said.append) as sink:
        submit_tables(sink, TABLES, columns=COLUMNS)
        sink.drain()
        lake.ask("PUT", "/switches", {"gzip_requests": False})
        try:
            submit_tables(sink, TABLES, start=TABLES, columns=COLUMNS)
            sink.drain()
        finally:
            lake.ask("PUT", "/switches", {"gzip_requests": True})
        assert sink.stats().failed == 0
    assert len(lake.state()["tables"]) == 2 * TABLES
    assert [request["status"] for request in bulks(lake)].count(415) == 1
    assert len(said) == 1, said


def test_too_large_even_so(lake: ReferenceServer, make_sink: Callable[..., Any]) -> None:
    # The limit counts what comes over the wire: plain parts of a batch are split until they fit.
    too_large = {"kind": "status", "status": 413}
    lake.set_faults(
        [{"match": {"body_over": 20_000}, "do": too_large}, {"match": BULK, "when": {"nth": [1]}, "do": too_large}]
    )
    assert write(make_sink) == []
    require_tables(lake)


def test_off_by_default(lake: ReferenceServer, make_sink: Callable[..., Any]) -> None:
    with make_sink(batch_size=BATCH) as sink:
        submit_tables(sink, BATCH, columns=COLUMNS)
        sink.drain()
    assert [request["bytes"] > 10_000 for request in bulks(lake)] == [True]
    assert f"{SCHEMA}.t0" in lake.state()["tables"]
