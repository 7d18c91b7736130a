"""`openmetadata-bulksink bench`: how many tables a second a server takes, for several numbers of workers.

Writes to a real server: a database service of its own, and deletes it with all that is in it, also after a failure.
It measures the server and the way to it, with bodies that are made beforehand; it says nothing about a source.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

from openmetadata_bulksink import connection, eligibility, settings, workflow_file


def measure(config: Path, tables: int, columns: int, workers: list[int]) -> None:
    """Print one line for each number of workers. Raises Unreadable, SettingError."""
    workflow = workflow_file.load(config)
    reason = eligibility.why_not_native(workflow.client)
    if reason is not None:
        raise workflow_file.Unreadable(f"the native client cannot be used: {reason}")
    client = workflow.client.client
    service = f"bulksink_bench_{uuid.uuid4().hex[:8]}"
    try:
        client.put("/services/databaseServices", data=json.dumps({"name": service, "serviceType": "CustomDatabase"}))
    except Exception as error:  # noqa: BLE001 - whatever upstream's client raises
        raise workflow_file.Unreadable(f"the server does not let us create the service {service}: {error}") from None
    print(f"Writing to the service {service}: {tables} tables of {columns} columns for each number of workers.")
    try:
        for number in workers:
            _one(workflow, service, tables, columns, number)
    finally:
        client.delete(f"/services/databaseServices/name/{service}?recursive=true&hardDelete=true")
        print(f"The service {service} is deleted.")


def _one(workflow: workflow_file.Workflow, service: str, tables: int, columns: int, number: int) -> None:
    from openmetadata_bulksink import _native

    chosen = settings.tuning()
    how = settings.writing(workflow.sink_config, chosen)._replace(workers=number, synchronous=False)
    arguments = settings.engine_arguments(chosen, how, connection.arguments(workflow.client.client))
    database = f"{service}.w{number}"
    schema = f"{database}.public"
    fields = [{"name": f"c{at}", "dataType": "INT", "description": f"Column {at}"} for at in range(columns)]
    bodies = [
        (name, json.dumps({"name": name, "databaseSchema": schema, "columns": fields}))
        for name in (f"t{at:06d}" for at in range(tables))
    ]
    with _native.BulkSink(**arguments) as engine:
        engine.submit("databases", database, json.dumps({"name": f"w{number}", "service": service}), service)
        engine.submit("databaseSchemas", schema, json.dumps({"name": "public", "database": database}), database)
        engine.drain()
        started = time.perf_counter()
        for name, body in bodies:
            engine.submit("tables", f"{schema}.{name}", body, schema)
        engine.drain()
        seconds = time.perf_counter() - started
        lost = [outcome for outcome in engine.take_outcomes() if outcome.status == "failed"]
        stats: Any = engine.stats()
    print(
        f"  {number:2d} workers: {tables / seconds:8.1f} tables/s, {seconds:6.2f} s, {stats.requests} requests, "
        f"{stats.retries} retries, {len(lost)} refused"
    )
    for outcome in lost[:3]:
        print(f"     refused: {outcome.fqn}: {outcome.reason}")
