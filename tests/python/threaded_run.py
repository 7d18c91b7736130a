"""Workflows of upstream's with a source of the user's own, each made in one thread and executed in another.

Runs as a script in an environment with our sink: `threaded_run.py URL TOKEN WAY...`; prints one JSON object. It is the
module of its own source class, too.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
from metadata.generated.schema.api.data.createTable import CreateTableRequest
from metadata.generated.schema.api.services.createDatabaseService import CreateDatabaseServiceRequest
from metadata.ingestion.api.models import Either
from metadata.ingestion.api.steps import Source
from metadata.workflow.metadata import MetadataWorkflow

TABLES = 250
BATCH = 10


class Made(Source):
    """A database, a schema, and tables."""

    service: str

    @classmethod
    def create(cls, config_dict: Any, metadata: Any, pipeline_name: Any = None) -> Made:  # noqa: ARG003 - upstream's
        self = cls()
        self.service = config_dict["serviceName"]
        return self

    @property
    def name(self) -> str:
        return "Made"

    def prepare(self) -> None:
        """Nothing to prepare."""

    def test_connection(self) -> None:
        """Nothing to connect to."""

    def close(self) -> None:
        """Nothing to close."""

    def _iter(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield Either(right=CreateDatabaseRequest(name="d", service=self.service))
        yield Either(right=CreateDatabaseSchemaRequest(name="s", database=f"{self.service}.d"))
        for number in range(TABLES):
            columns = [{"name": "c", "dataType": "INT"}]
            yield Either(
                right=CreateTableRequest(name=f"t{number:03}", databaseSchema=f"{self.service}.d.s", columns=columns)
            )


def config(url: str, token: str, service: str) -> dict[str, Any]:
    """The workflow, as YAML would give it."""
    server = {"hostPort": url, "authProvider": "openmetadata", "securityConfig": {"jwtToken": token}}
    return {
        "source": {
            "type": "customDatabase",
            "serviceName": service,
            "serviceConnection": {
                "config": {"type": "CustomDatabase", "sourcePythonClass": f"{Path(__file__).stem}.Made"}
            },
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        },
        "sink": {"type": "metadata-rest", "config": {"bulk_sink_batch_size": BATCH}},
        "workflowConfig": {"openMetadataServerConfig": server},
        "ingestionPipelineFQN": f"{service}.pipeline",
    }


def made(url: str, token: str, service: str) -> Any:
    """The workflow, and its service on the server."""
    workflow = MetadataWorkflow.create(config(url, token, service))
    request = CreateDatabaseServiceRequest(
        name=service, serviceType="CustomDatabase", connection={"config": {"type": "CustomDatabase"}}
    )
    workflow.metadata.create_or_update(request)
    return workflow


def executed(way: str, workflow: Any) -> None:
    """Executes the workflow where `way` says."""
    if way == "here":
        workflow.execute()
    elif way == "thread":
        thread = threading.Thread(target=workflow.execute)
        thread.start()
        thread.join()
    elif way == "pool":
        with ThreadPoolExecutor(3) as pool:
            pool.submit(workflow.execute).result()
    else:
        asyncio.run(asyncio.to_thread(workflow.execute))


def ran(way: str, url: str, token: str) -> dict[str, Any]:
    """Runs one, whose service is named after the way; what was persisted, and what the program would end with."""
    workflow = made(url, token, way)
    persisted: list[Any] = []
    persist = workflow.set_ingestion_pipeline_status

    def watched(state: Any, status: Any = None, *more: Any, **named: Any) -> Any:
        summaries = getattr(status, "root", status) or []
        persisted.append([state.value, {one.name: one.errors for one in summaries}])
        return persist(state, status, *more, **named)

    workflow.set_ingestion_pipeline_status = watched
    executed(way, workflow)
    try:
        workflow.raise_from_status()
        ended = "well"
    except Exception as error:  # noqa: BLE001 - upstream's command prints it and exits with 1
        ended = type(error).__name__
    return {"persisted": persisted, "ended": ended, "lost": len(workflow.steps[-1].status.failures)}


def main(url: str, token: str, *ways: str) -> None:
    """Runs one for each way, one after the other."""
    print(json.dumps({"tables": TABLES, "runs": {way: ran(way, url, token) for way in ways}}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
