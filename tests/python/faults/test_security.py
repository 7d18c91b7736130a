"""No secret in anything that a faulty run leaves behind, and no answer that a hostile server can hurt us with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer, Session, workflow
from tests.ingest.sources import sqlite_file, sqlite_source
from tests.python.faults.conftest import CLIENT
from tests.python.faults.streams import Feeder, prepare

pytestmark = [pytest.mark.wheel]


def faults(token: str) -> list[dict[str, Any]]:
    """One of each kind, and servers that repeat the token in their answers."""
    texts = [f"Token {token} is not valid", f"Authorization: Bearer {token}"]
    actions: list[dict[str, Any]] = [
        {"kind": "status", "status": 401, "body": {"code": 401, "message": texts[0]}},
        {"kind": "status", "status": 503, "body": {"code": 503, "message": texts[1]}},
        {"kind": "status", "status": 500, "body": texts[1], "content_type": "text/plain"},
        {"kind": "status", "status": 302, "headers": {"Location": f"http://127.0.0.1:9/?access_token={token}"}},
        {"kind": "status", "status": 407, "body": {"message": texts[1]}},
        {"kind": "reset", "at": "before_work"},
        {"kind": "truncate"},
        {"kind": "html"},
        {"kind": "invalid_utf8"},
        {"kind": "fail_rows", "count": 1, "message": texts[0]},
        {"kind": "fail_rows", "count": 1, "status": 503, "message": texts[1]},
        {"kind": "status", "status": 400, "body": {"code": 400, "message": texts[1]}},
    ]
    bulk = [
        {"match": {"class": "bulk"}, "when": {"nth": [number]}, "do": action}
        for number, action in enumerate(actions, 1)
    ]
    refusal = {"kind": "status", "status": 400, "body": {"code": 400, "message": texts[0]}}
    patches = {"match": {"method": "PATCH"}, "when": {"nth": [1, 3]}, "do": refusal}
    return [*bulk, patches]


def parts_of(token: str) -> list[str]:
    """The token, and the part of it that is worth stealing."""
    return [token, token.rsplit(".", 1)[-1], token.split(".")[1]]


@pytest.mark.upstream
def test_no_token_in_anything_that_a_faulty_ingestion_prints(
    sink_environment: Path, server: ReferenceServer, tmp_path: Path
) -> None:
    letters = tmp_path / "lost.jsonl"
    server.set_faults(faults(server.token))
    source = sqlite_source(sqlite_file(tmp_path / "shop.db", tables=300, columns=3), service="secret")
    variables = {"OM_BULKSINK_DEAD_LETTERS": str(letters), "RUST_BACKTRACE": "1", "RUST_LOG": "trace"}
    config = workflow(
        source=source,
        server_url=server.url,
        token=server.token,
        log_level="DEBUG",
        sink={"bulk_sink_batch_size": 10},
    )
    with Session(sink_environment, variables) as session:
        run = session.run(config)
    printed = run.output + json.dumps([step.failures for step in run.steps])
    assert "openmetadata-bulksink" in printed
    assert run.sink.failures, "no fault was met"
    left = letters.read_text()
    assert left
    for part in parts_of(server.token):
        assert part not in left
        at = printed.find(part)
        assert at < 0, printed[max(0, at - 300) : at + 100]


def test_no_token_in_what_a_faulty_stream_says(feeder: Feeder, lake: ReferenceServer, tmp_path: Path) -> None:
    letters = tmp_path / "lost.jsonl"
    lake.set_faults(faults(lake.token))
    variables = {"OM_BULKSINK_DEAD_LETTERS": str(letters), "OM_BULKSINK_ACCELERATE": "0"}
    stream = [["tables", 0, 250], ["life_cycles", 0, 20], ["status"], ["close"]]
    sink = {"bulk_sink_batch_size": 10}
    fed = feeder.feed(lake, stream, client=CLIENT, variables=variables, sink=sink)
    fed.require_accounted_for(250, life_cycles=20)
    assert fed.failures
    shown = f"{fed.failures} {fed.log} {fed.warnings} {letters.read_text()}"
    for part in parts_of(lake.token):
        assert part not in shown


@pytest.fixture
def alone(sink_environment: Path) -> Iterator[Feeder]:
    """A process of its own: its memory is measured."""
    with Feeder(sink_environment) as process:
        yield process


HOSTILE: dict[str, dict[str, Any]] = {
    "a gigabyte": {"kind": "huge", "megabytes": 1_024},
    "JSON nested a million deep": {"kind": "deep_json", "depth": 1_000_000},
    "a flood of headers": {"kind": "header_flood", "headers": 100_000, "bytes": 1_000},
    "bytes that are no UTF-8": {"kind": "invalid_utf8", "work": False},
    "rows that were never sent": {"kind": "extra_rows", "count": 50_000},
}


# A gigabyte and a million brackets, each several times: minutes where other processes take the cores.
@pytest.mark.timeout(1_800)
def test_hostile_answers_cost_neither_memory_nor_records(
    alone: Feeder, server_program: Path, server_profile: str
) -> None:
    well = {"OM_BULKSINK_DELIVERY_TIMEOUT": "60", "OM_BULKSINK_ACCELERATE": "0"}
    ill = {**well, "OM_BULKSINK_DELIVERY_TIMEOUT": "3"}
    client = {"timeout": (3, 3)}
    with ReferenceServer(server_program, profile=server_profile) as server:
        prepare(server)
        stream = [["tables", 0, 100], ["status"], ["close"]]
        before = alone.feed(server, stream, variables=well).require_all_written(100).peak_rss_kb
        for title, action in HOSTILE.items():
            prepare(server, [{"match": {"class": "bulk"}, "do": action}])
            fed = alone.feed(server, stream, client=client, variables=ill)
            fed.require_accounted_for(100)
            grown = (fed.peak_rss_kb - before) // 1_024
            assert grown < 300, f"{title}: {grown} MiB more"
            for failure in fed.failures:
                assert len(failure["error"]) < 1_000, title
            # The next sink of the same process is none the worse.
            prepare(server)
            alone.feed(server, stream, variables=well).require_all_written(100)
