"""The program inside upstream's environment that is interrupted, leaves early, or forks, with the real sink class.

Runs as a script with `-P` and imports nothing of this project. What to do is its first argument, as JSON; what came
of it is
the last line that it prints, as JSON.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

SCHEMA = "lake.main.public"


class Terminated(BaseException):
    """What Airflow's runner makes of SIGTERM."""


class TerminatedAsError(Exception):
    """What older ones make of it."""


def terminate(*_: object) -> None:
    """A handler as Airflow has it."""
    raise Terminated("Task received SIGTERM signal")


def terminate_as_error(*_: object) -> None:
    """The same of older releases."""
    raise TerminatedAsError("Task received SIGTERM signal")


def made(job: dict[str, Any], **config: Any) -> tuple[Any, Any]:
    """A client and a sink."""
    from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
        OpenMetadataConnection,
    )
    from metadata.ingestion.ometa.ometa_api import OpenMetadata
    from metadata.ingestion.sink import metadata_rest

    metadata = OpenMetadata(
        OpenMetadataConnection(
            hostPort=job["url"],
            authProvider="openmetadata",
            securityConfig={"jwtToken": job["token"]},
            enableVersionValidation=False,
        )
    )
    return metadata, metadata_rest.MetadataRestSink(metadata_rest.MetadataRestSinkConfig(**config), metadata)


def give(sink: Any, prefix: str, count: int, start: int = 0) -> None:
    """Tables for the sink."""
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.entity.data.table import Column, DataType

    for number in range(start, start + count):
        columns = [Column(name="c", dataType=DataType.INT)]
        sink.run(CreateTableRequest(name=f"{prefix}{number}", databaseSchema=SCHEMA, columns=columns))


def told(sink: Any) -> dict[str, Any]:
    """What the sink says in the end."""
    return {
        "records": len(sink.status.records),
        "failures": [{"name": one.name, "error": one.error} for one in sink.status.failures],
        "stats": sink._writer.engine.stats().as_dict(),
    }


# --- interrupted ---


def interrupted(job: dict[str, Any]) -> dict[str, Any]:
    """For each kind of wait: how long after the signal it was left, by what, and what close made of the rest."""
    number = {"KeyboardInterrupt": signal.SIGINT, "Terminated": signal.SIGTERM, "TerminatedAsError": signal.SIGUSR1}
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGUSR1, terminate_as_error)
    os.environ["OM_BULKSINK_STRICT_BARRIER"] = "1"
    os.environ["OM_BULKSINK_WORKERS"] = "1"
    return {wait: _interrupted(job, wait, number[job["by"]]) for wait in job["waits"]}


def _interrupted(job: dict[str, Any], wait: str, number: int) -> dict[str, Any]:
    from metadata.generated.schema.entity.data.table import Table
    from metadata.ingestion.models.barrier import Barrier

    metadata, sink = made(job, bulk_sink_batch_size=10)
    # Four batches of ten for the one worker fill all places.
    give(sink, wait, 40 if wait == "budget" else 15)
    waits: dict[str, Callable[[], object]] = {
        "budget": lambda: give(sink, wait, 1, 40),
        "fence": lambda: metadata.get_by_name(entity=Table, fqn=f"{SCHEMA}.fence14"),
        "barrier": lambda: sink.run(Barrier()),
        "status": sink.get_status,
        "close": sink.close,
    }
    sent: list[float] = []

    def interrupt() -> None:
        time.sleep(0.3)
        sent.append(time.monotonic())
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    by = None
    try:
        waits[wait]()
    except BaseException as error:  # noqa: BLE001 - it is what we want to know
        by = type(error).__name__
    left = time.monotonic()
    thread.join()
    before = sink._writer.engine.stats().as_dict()
    sink.close()
    metadata.close()
    return {"left_after": left - sent[0], "by": by, "pending": before["pending"], **told(sink)}


# --- leaving early ---


def leave(job: dict[str, Any]) -> dict[str, Any]:
    """Ends with records pending, in the way that the job names."""
    metadata, sink = made(job)
    give(sink, "left", 15)
    how = job["how"]
    if how == "client closed first":
        metadata.close()
        sink.close()
        return told(sink)
    if how == "exception":
        raise RuntimeError("the source broke")
    if how == "exit":
        sys.exit(3)
    if how == "twice":
        # As upstream's workflow: the finally block closes the sink, and is interrupted, too.
        for at in (0.3, 0.9):
            threading.Timer(at, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            sink.get_status()
        finally:
            sink.close()
    return {}


# --- tasks ---


def tasks(job: dict[str, Any]) -> dict[str, Any]:
    """A runner like Airflow's: the parent has imported everything, may hold a sink with records, and forks for each
    task.
    """
    metadata, sink = made(job)
    give(sink, "parent", 15)
    ends = []
    for task in range(job["tasks"]):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _task(job, task)
            finally:
                os._exit(code)
        if task % 2:
            time.sleep(0.5)
            os.kill(pid, signal.SIGTERM)
        started = time.monotonic()
        _, status = os.waitpid(pid, 0)
        ends.append((os.waitstatus_to_exitcode(status), time.monotonic() - started))
    give(sink, "parent", 15, 15)
    sink.close()
    metadata.close()
    return {"ends": ends, **told(sink)}


def _task(job: dict[str, Any], task: int) -> int:
    """In the child: a sink of its own; odd tasks are terminated while they wait."""
    signal.signal(signal.SIGTERM, terminate)
    metadata, sink = made(job)
    terminated = False
    try:
        give(sink, f"task{task}x", 15)
        if task % 2:
            metadata.client.get("/tables?limit=1")
            time.sleep(30)
        sink.get_status()
    except Terminated:
        terminated = True
    finally:
        sink.close()
        metadata.close()
    if len(sink.status.records) != 15:
        return 5
    return 7 if terminated else 0


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("metadata").setLevel(logging.INFO)
    result = {"interrupted": interrupted, "leave": leave, "tasks": tasks}[chosen["do"]](chosen)
    print(json.dumps(result), flush=True)
