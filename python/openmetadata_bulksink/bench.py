"""`openmetadata-bulksink bench`: how many tables a second a server takes, for several numbers of workers.

Writes to a real server: a database service of its own, and deletes it with all that is in it, also after a failure.
It measures the server and the way to it, with bodies that are made beforehand; it says nothing about a source.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from openmetadata_bulksink import eligibility, settings, workflow_file

#: Seconds for what is under way when the measurement is interrupted.
_LAST_SECONDS = 1.0


class Size(NamedTuple):
    """What is written for each number of workers."""

    tables: int
    columns: int


def measure(config: Path, size: Size, workers: list[int]) -> bool:
    """Print one line for each number of workers. Returns whether all was written and the service is gone. Raises
    Unreadable, SettingError.
    """
    chosen = settings.tuning()
    workflow = workflow_file.load(config)
    mask = workflow.mask
    reason = eligibility.why_not_native(workflow.client)
    if reason is not None:
        raise workflow_file.Unreadable(mask(f"the native client cannot be used: {reason}"))
    workflow_file.engine(workflow, chosen, settings.writing(workflow.sink_config, chosen)).close()
    client = workflow.client.client
    service = f"bulksink_bench_{uuid.uuid4().hex[:8]}"
    well = True
    try:
        _create(workflow, service)
    except BaseException as error:
        if not isinstance(error, (_Refused, _OutOfReach)):
            _say_when_interrupted(error, service)
            _deleted(client, mask, service, left=f"It is not known whether the service {service} was made")
        raise
    try:
        what = f"{size.tables} tables of {size.columns} columns"
        print(f"Writing to the service {service}: {what} for each number of workers.")
        for number in workers:
            well = _one(workflow, chosen, service, size, number) and well
    except BaseException as error:
        _say_when_interrupted(error, service)
        raise
    finally:
        gone = _deleted(client, mask, service)
    return well and gone


def _say_when_interrupted(error: BaseException, service: str) -> None:
    """The server may take its time, or be silent; a second interruption leaves the service where it is."""
    if isinstance(error, KeyboardInterrupt):
        print(f"Interrupted: deleting the service {service}; once more leaves it there.", flush=True)


class _Refused(workflow_file.Unreadable):
    """The server has said that it makes no service for us."""


class _OutOfReach(workflow_file.Unreadable):
    """No request has left this machine."""


def _create(workflow: workflow_file.Workflow, service: str) -> None:
    body = json.dumps({"name": service, "serviceType": "CustomDatabase"})
    try:
        made = workflow.client.client.put("/services/databaseServices", data=body)
    except Exception as error:  # noqa: BLE001 - whatever upstream's client raises
        text = workflow.mask(" ".join(str(error).split()))
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and status < 500:
            raise _Refused(f"the server does not let us create a service: {text}") from None
        if _never_left(error):
            raise _OutOfReach(f"the server cannot be reached: {text}") from None
        raise workflow_file.Unreadable(f"the server has made no service: {text}") from None
    if not made:
        raise workflow_file.Unreadable("the server has made no service: upstream's client gets no answer")


def _never_left(error: BaseException | None) -> bool:
    """Whether no connection was made, so that no request can have arrived."""
    while error is not None:
        reasons = [error, *(getattr(one, "reason", None) for one in error.args)]
        if any(type(one).__name__ in _NO_CONNECTION for one in reasons):
            return True
        error = error.__cause__ or error.__context__
    return False


#: What the HTTP library raises where there was no connection.
_NO_CONNECTION = frozenset({"NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ProxyError"})


def _deleted(client: Any, mask: Any, service: str, left: str = "") -> bool:
    """Delete the service. Where that fails, or is interrupted, it is named: somebody has to do it. left: what is said
    of it then.
    """
    left = left or f"The service {service} could not be deleted"
    try:
        client.delete(f"/services/databaseServices/name/{service}?recursive=true&hardDelete=true")
    except Exception as error:  # noqa: BLE001 - as above
        if getattr(error, "status_code", None) == 404:
            return True  # it was never made
        print(mask(f"{left}; delete it by hand ({' '.join(str(error).split())})."))
        return False
    except BaseException:
        print(f"{left}; delete it by hand (interrupted).")
        raise
    print(f"The service {service} is deleted.")
    return True


def _one(workflow: workflow_file.Workflow, chosen: settings.Tuning, service: str, size: Size, number: int) -> bool:
    """Write the tables with so many workers. Returns whether the server took all of them."""
    found = rate(workflow, chosen, service, size, number)
    print(
        f"  {number:2d} workers: {found.written / found.seconds:8.1f} tables/s, {found.seconds:6.2f} s, "
        f"{found.requests} requests, {found.retries} retries, {len(found.refused)} refused"
    )
    for line in found.refused[:3]:
        print(f"     refused: {line}")
    return not found.refused


class Rate(NamedTuple):
    """What was written in how many seconds. refused: FQN and reason of each table that was not, masked."""

    written: int
    seconds: float
    requests: int
    retries: int
    refused: list[str]


def rate(
    workflow: workflow_file.Workflow,
    chosen: settings.Tuning,
    service: str,
    size: Size,
    number: int,
    batch_size: int | None = None,
) -> Rate:
    """Write the tables with so many workers into a database of their own below the service. batch_size: records a
    request; else the workflow's.
    """
    how = settings.writing(workflow.sink_config, chosen)._replace(workers=number, synchronous=False)
    if batch_size is not None:
        how = how._replace(batch_size=batch_size)
    database = f"{service}.w{number}"
    schema = f"{database}.public"
    fields = [{"name": f"c{at}", "dataType": "INT", "description": f"Column {at}"} for at in range(size.columns)]
    bodies = [
        (name, json.dumps({"name": name, "databaseSchema": schema, "columns": fields}))
        for name in (f"t{at:06d}" for at in range(size.tables))
    ]
    engine = workflow_file.engine(workflow, chosen, how)
    try:
        engine.submit("databases", database, json.dumps({"name": f"w{number}", "service": service}), service)
        engine.submit("databaseSchemas", schema, json.dumps({"name": "public", "database": database}), database)
        engine.drain()
        started = time.perf_counter()
        for name, body in bodies:
            engine.submit("tables", f"{schema}.{name}", body, schema)
        engine.drain()
        seconds = time.perf_counter() - started
    except BaseException:
        _end_soon(engine)
        raise
    engine.close()
    outcomes: list[Any] = engine.take_outcomes()
    refused = [workflow.mask(f"{one.fqn}: {one.reason}") for one in outcomes if one.status == "failed"]
    written = sum(outcome.collection == "tables" and outcome.status != "failed" for outcome in outcomes)
    stats: Any = engine.stats()
    return Rate(written, seconds, stats.requests, stats.retries, refused)


def _end_soon(engine: Any) -> None:
    """End without waiting for what is pending: the service that holds it is deleted."""
    from openmetadata_bulksink import _native

    try:
        engine.close(timeout=_LAST_SECONDS)
    except _native.BulkSinkError:
        return  # it could not write all: that is known
