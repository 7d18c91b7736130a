"""Upstream's sink, or ours in its place: the same class, imported from where a workflow imports it.

Imports upstream with the first use; runs in an environment of upstream, with our wheel in it or without.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.designs.records import Entity, Failure, LifeCycle, Record


class Framework:
    """A sink of upstream's class, fed with upstream's objects."""

    def __init__(self, url: str, token: str) -> None:
        from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
            OpenMetadataConnection,
        )
        from metadata.ingestion.ometa.ometa_api import OpenMetadata
        from metadata.ingestion.sink.metadata_rest import MetadataRestSink

        self._lines = _start_lines()
        connection = {
            "hostPort": url,
            "authProvider": "openmetadata",
            "securityConfig": {"jwtToken": token},
        }
        metadata = OpenMetadata(OpenMetadataConnection.model_validate(connection))
        self._sink = MetadataRestSink.create({}, metadata)

    def write(self, record: Any) -> None:
        """As the workflow's loop does it."""
        self._sink.run(record)

    def poll(self) -> None:
        """As a display of the progress does it."""
        self._sink.get_status()

    def settle(self) -> None:
        """As the workflow's end begins: what is left is written, and every outcome is in the status."""
        self._sink._drain()

    def fence_seconds(self, paths: Sequence[str], *, barrier: bool) -> float:
        """CPU time of this thread for GETs of these paths through our fence, without sending them."""
        from metadata.ingestion.models.barrier import Barrier

        client = self._sink.metadata.client
        fence = client.__dict__["_request"]
        send, fence._send = fence._send, lambda *_: None
        try:
            if barrier:
                self._sink.run(Barrier())
            before = time.thread_time_ns()
            for path in paths:
                client._request("GET", path)
            spent = time.thread_time_ns() - before
            if not fence.pending():
                raise SystemExit("nothing was pending any more: the fence had nothing to look at")
        finally:
            fence._send = send
        return spent / 1e9

    def close(self) -> None:
        """As the workflow's end does it: the status first, then the sink."""
        self.settle()
        self._sink.close()

    @property
    def metadata(self) -> Any:
        """Upstream's client, which a source shares with the sink."""
        return self._sink.metadata

    @property
    def failures(self) -> list[Failure]:
        """What the sink reports as failed."""
        return [Failure("record", str(failure.name), str(failure.error)) for failure in self._sink.status.failures]

    @property
    def native(self) -> str | None:
        """The line with which our sink says that it writes; None where upstream's own wrote."""
        active = [line for line in self._lines if " writes to " in line]
        return active[0] if active else None

    @property
    def said(self) -> list[str]:
        """Every line of our sink."""
        return list(self._lines)


def _start_lines() -> list[str]:
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("metadata.BulkSink")
    logger.setLevel(logging.INFO)
    logger.addHandler(Collect())
    return lines


def converter() -> Callable[[Record], Any]:
    """From plain records to upstream's objects, validated as a source's own are."""
    from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
    from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.entity.data.table import Table
    from metadata.generated.schema.type.lifeCycle import LifeCycle as UpstreamLifeCycle
    from metadata.ingestion.models.life_cycle import OMetaLifeCycleData

    classes = {
        "databases": CreateDatabaseRequest,
        "databaseSchemas": CreateDatabaseSchemaRequest,
        "tables": CreateTableRequest,
    }

    def convert(record: Record) -> Any:
        if isinstance(record, LifeCycle):
            return OMetaLifeCycleData(
                entity=Table, entity_fqn=record.fqn, life_cycle=UpstreamLifeCycle.model_validate(record.life_cycle)
            )
        return classes[record.collection].model_validate(record.body)

    return convert


def warm_up(convert: Callable[[Record], Any]) -> None:
    """Models build their validators at their first use; that is a cost of the process, not of the first table."""
    from benchmarks.report import workload

    convert(Entity("databases", workload.DATABASE, {"name": "dev", "service": workload.SERVICE}))
    convert(Entity("databaseSchemas", "x", {"name": "x", "database": workload.DATABASE}))
    convert(workload.table("x", 0))
    convert(LifeCycle("x", {"created": {"timestamp": 0}}))
