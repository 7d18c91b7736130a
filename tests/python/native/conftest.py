"""A server with one database service, and sinks that write to it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.ingest import ReferenceServer

SERVICE = "lake"
SCHEMA = "lake.main.public"


def send(server: ReferenceServer, method: str, path: str, body: object = None) -> Any:
    """One request of our own to the reference server, past every sink."""
    request = urllib.request.Request(
        f"{server.url}/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def table(name: str, columns: int = 3, **more: object) -> str:
    """The create request of a table in SCHEMA."""
    made = {
        "name": name,
        "databaseSchema": SCHEMA,
        "columns": [{"name": f"c{number}", "dataType": "INT"} for number in range(columns)],
    }
    return json.dumps({**made, **more})


def submit_tables(sink: Any, count: int, start: int = 0, columns: int = 3) -> None:
    """Tables t0, t1, ... of SCHEMA."""
    for number in range(start, start + count):
        sink.submit("tables", f"{SCHEMA}.t{number}", table(f"t{number}", columns), parent=SCHEMA)


@pytest.fixture
def lake(server: ReferenceServer) -> ReferenceServer:
    """The reference server with a service, a database and a schema."""
    send(server, "PUT", "/services/databaseServices", {"name": SERVICE, "serviceType": "Postgres"})
    send(server, "PUT", "/databases", {"name": "main", "service": SERVICE})
    send(server, "PUT", "/databaseSchemas", {"name": "public", "database": "lake.main"})
    return server


@pytest.fixture
def make_sink(lake: ReferenceServer) -> Iterator[Callable[..., Any]]:
    """Makes sinks for the lake; closes them at the end."""
    from openmetadata_bulksink import BulkSink

    made: list[Any] = []

    def make(**settings: Any) -> Any:
        sink = BulkSink(f"{lake.url}/v1", **{"token": lake.token, **settings})
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close(timeout=5)
