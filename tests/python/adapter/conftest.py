"""Fixtures of the adapter's unit tests: the engine's double, a recording server, upstream's own client and sink."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import openmetadata_bulksink
from tests.python.adapter import engine_double
from tests.python.adapter.recording_server import RecordingServer


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("OM_BULKSINK"):
            monkeypatch.delenv(name)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The double in place of the native module, for one test."""
    monkeypatch.setitem(sys.modules, "openmetadata_bulksink._native", engine_double)
    monkeypatch.setattr(openmetadata_bulksink, "_native", engine_double, raising=False)
    engine_double.made.clear()
    return engine_double


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as running:
        yield running


@pytest.fixture
def client(server: RecordingServer) -> Any:
    """Upstream's own client, talking to the recording server."""
    return new_client(server.url)


def new_client(host_port: str, **more: Any) -> Any:
    from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
        OpenMetadataConnection,
    )
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    return OpenMetadata(
        OpenMetadataConnection(
            hostPort=host_port,
            authProvider="openmetadata",
            securityConfig={"jwtToken": "the-token"},
            enableVersionValidation=False,
            **more,
        )
    )


@pytest.fixture
def upstream_class() -> type:
    """Upstream's own class, whether or not ours is in its place in this process."""
    from metadata.ingestion.sink import metadata_rest

    found: type = metadata_rest.MetadataRestSink
    return found.__dict__.get("_bulksink_replaces", found)


@pytest.fixture
def make_sink(
    double: Any,  # noqa: ARG001 - in place before a sink looks for the native module
    upstream_class: type,
    client: Any,
) -> Iterator[Callable[..., Any]]:
    """Makes native sinks over the double; closes them at the end."""
    from openmetadata_bulksink.sink import sink_class

    cls: Any = sink_class(upstream_class)
    made: list[Any] = []

    def make(config: dict[str, Any] | None = None, metadata: Any = None) -> Any:
        sink = cls.create(config or {}, metadata or client)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()
