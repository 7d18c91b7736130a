"""What surrounds a run: edits that a user made before it, and programs that patch or mock upstream's client, where
everything is left to upstream and not one byte may differ.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import requests

from tests.ingest import Postgres, ReferenceServer, Session, compare, describe, workflow
from tests.ingest.reference_server import State
from tests.ingest.sources import PostgresShape, change_postgres, fill_postgres, postgres_source
from tests.python.order.comparison import Comparison
from tests.python.order.sides import Side
from tests.python.order.streams import Stream

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A server that keeps the bodies of requests."""
    arguments = ["--log-bodies", "true"]
    with ReferenceServer(server_program, profile=server_profile, arguments=arguments) as server:
        yield server


# --- what a user has edited ---


SHAPE = PostgresShape(schemas=1, tables=12, columns=8, foreign_keys=1, rich=True)


@pytest.mark.postgres
@pytest.mark.parametrize("override", [True, False])
def test_an_edit_of_a_user_ends_as_with_upstreams_sink(
    upstream: Session,
    sink: Session,
    server: ReferenceServer,
    server_program: Path,
    postgres: Postgres,
    override: bool,
) -> None:
    """A description edited by hand, then changed in the source: who wins is for `overrideMetadata` to say."""
    states: list[State] = []
    service = f"edited_{override}".lower()
    for session in (upstream, sink):
        server.reset()
        postgres.drop_database("edited")
        fill_postgres(postgres, "edited", SHAPE)
        source = postgres_source(postgres, "edited", service=service, options={"overrideMetadata": override})
        config = workflow(source=source, server_url=server.url, token=server.token)
        session.run(config).require_success()
        edit_as_admin(server, server_program, f"{service}.edited.area_000.table_00003", "by hand")
        change_postgres(postgres, "edited")
        session.run(config).require_success()
        states.append(server.state())
    assert server.violations() == []
    differences = compare(*states)
    assert not differences, describe(differences)
    kept = states[1]["tables"][f"{service}.edited.area_000.table_00003"]["description"]
    assert kept == ("Another comment" if override else "by hand")
    postgres.drop_database("edited")


def edit_as_admin(server: ReferenceServer, program: Path, table: str, description: str) -> None:
    """What a user does in the catalogue's own pages."""
    printed = subprocess.run([program, "--print-tokens"], capture_output=True, text=True, check=True).stdout
    operation = [{"op": "replace", "path": "/description", "value": description}]
    request = urllib.request.Request(
        f"{server.url}/v1/tables/name/{table}",
        data=json.dumps(operation).encode(),
        method="PATCH",
        headers={
            "Authorization": f"Bearer {json.loads(printed)['admin']}",
            "Content-Type": "application/json-patch+json",
        },
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        assert json.load(answer)["description"] == description


# --- upstream, to the byte ---


def requests_of(server: ReferenceServer) -> list[tuple[str, str, str, str]]:
    """All requests in order, ids aside."""
    return [
        (one["method"], _UUID.sub("(id)", one["path"]), one["query"], body_of(one))
        for one in server.requests(bodies=True)
    ]


def body_of(request: dict[str, Any]) -> str:
    """A body as it came; `seenFqns` is a set, in another order in each process."""
    body = _UUID.sub("(id)", request.get("body") or "")
    head, names, rest = body.partition('"seenFqns": [')
    listed, end, tail = rest.partition("]")
    return head + names + ", ".join(sorted(listed.split(", "))) + end + tail if names else body


def test_a_patched_session_means_upstreams_requests_to_the_byte(
    comparison: Comparison, logging_server: ReferenceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = requests.Session.request
    seen: list[str] = []

    def request(self: requests.Session, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        seen.append(url)
        return original(self, method, url, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "request", request)
    steps = [step for seed in range(3) for step in Stream(seed, comparison.classes).steps]
    logs = []
    for cls in (comparison.their_class, comparison.our_class):
        logging_server.reset()
        side = Side(cls, {"bulk_sink_batch_size": 4}, logging_server, comparison.classes)
        for number, step in enumerate(steps):
            side.take(number, step)
        side.close()
        logs.append(requests_of(logging_server))
    assert len(logs[0]) > 50
    assert len(seen) == len(logs[0]) + len(logs[1])
    assert logs[0] == logs[1]


def test_a_mocked_client_sees_upstreams_calls(comparison: Comparison, caplog: pytest.LogCaptureFixture) -> None:
    """As upstream's own unit tests use the sink."""
    stream = Stream(1, comparison.classes, only_creates=True, length=40)
    calls = []
    caplog.set_level(logging.CRITICAL, logger="metadata")
    for cls in (comparison.their_class, comparison.our_class):
        metadata = MagicMock()
        sink = cls.create({"bulk_sink_batch_size": 5}, metadata)
        records = [comparison.classes.request(step.kind, step.body) for step in stream.steps if step.act == "create"]
        for record in records:
            sink.run(record)
        sink.close()
        calls.append([(name, args, kwargs) for name, args, kwargs in metadata.mock_calls if "str" not in name])
        assert sink.buffer == []
    assert any(name == "bulk_create_or_update" for name, _, _ in calls[0])
    assert [name for name, _, _ in calls[0]] == [name for name, _, _ in calls[1]]
    assert calls[0] == calls[1]
