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
import urllib.request
from collections.abc import Callable
from typing import Any

SCHEMA = "lake.main.public"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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


def ask(job: dict[str, Any], method: str, path: str, body: Any = None) -> Any:
    """One request to the server's control port."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(job["control"] + path, data=data, method=method)
    with _DIRECT.open(request, timeout=120) as answer:
        return json.loads(answer.read())


def until_it_stands_still(thread: int) -> None:
    """Returns when a thread has stood at one place of its program for some time: it waits. The final drain comes back
    there, each time that it has taken what was written.
    """
    seen: object = None
    looks = 0
    while looks < 6:
        frame = sys._current_frames()[thread]
        place = (frame.f_code, frame.f_lasti)
        looks = looks + 1 if place == seen else 0
        seen = place
        time.sleep(0.05)


def signal_when_it_waits(*numbers: int) -> threading.Thread:
    """A thread that sends signals to this process, each when the calling thread stands in a wait (again)."""
    waiting = threading.get_ident()

    def send() -> None:
        for number in numbers:
            until_it_stands_still(waiting)
            os.kill(os.getpid(), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


# --- interrupted ---


def interrupted(job: dict[str, Any]) -> dict[str, Any]:
    """For each kind of wait: what ended it while the server held all requests, and what close made of the rest."""
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
        "state": lambda: settle(sink),
        "close": sink.close,
    }
    thread = signal_when_it_waits(number)
    by = None
    try:
        waits[wait]()
    except BaseException as error:  # noqa: BLE001 - it is what we want to know
        by = type(error).__name__
    thread.join()
    before = sink._writer.engine.stats().as_dict()
    ask(job, "PUT", "/latency", {})
    ask(job, "POST", "/release")
    sink.close()
    metadata.close()
    ask(job, "PUT", "/latency", job["latency"])
    return {"by": by, "pending": before["pending"], **told(sink)}


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
        signal_when_it_waits(signal.SIGINT, signal.SIGINT)
        try:
            settle(sink)
        finally:
            sink.close()
    return {}


def settle(sink: Any) -> None:
    """What a workflow does before it decides its state; with upstream's sink, that is nothing."""
    getattr(sink, "_drain", sink.get_status)()


# --- tasks ---


def tasks(job: dict[str, Any]) -> dict[str, Any]:
    """A runner like Airflow's: the parent has imported everything, may hold a sink with records, and forks for each
    task.
    """
    metadata, sink = made(job)
    give(sink, "parent", 15)
    ends = []
    for task in range(job["tasks"]):
        told_by_child, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = _task(job, task, tell)
            finally:
                os._exit(code)
        os.close(tell)
        if task % 2:
            os.read(told_by_child, 1)
            os.kill(pid, signal.SIGTERM)
        os.close(told_by_child)
        _, status = os.waitpid(pid, 0)
        ends.append(os.waitstatus_to_exitcode(status))
    give(sink, "parent", 15, 15)
    sink.close()
    metadata.close()
    return {"ends": ends, **told(sink)}


def _task(job: dict[str, Any], task: int, tell: int) -> int:
    """In the child: a sink of its own; odd tasks say that they wait, and would for ever if nobody terminated them."""
    signal.signal(signal.SIGTERM, terminate)
    metadata, sink = made(job)
    terminated = False
    try:
        give(sink, f"task{task}x", 15)
        if task % 2:
            metadata.client.get("/tables?limit=1")
            os.write(tell, b".")
            time.sleep(3_600)
        settle(sink)
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
