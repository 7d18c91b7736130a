"""The program inside upstream's environment: feeds upstream's own sink class with a small stream and says what came
of it.

Runs as a script with `-P` and imports nothing of this project; whether the class is ours or upstream's is decided by
the
environment alone (`OM_BULKSINK`). Jobs come as JSON lines on standard input and run at the same time, each in a thread
with a client and a sink of its own; one report a line goes to the descriptor given as first argument.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Iterator
from typing import Any

Job = dict[str, Any]
Report = dict[str, Any]

SCHEMA = "lake.main.public"

# Control requests never go through a proxy of the machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_making = threading.Lock()


def main(descriptor: int) -> None:
    """Works until standard input ends and the last job is done."""
    logs = _LogsByThread()
    # Upstream's own name above all of its loggers, ours included.
    logging.getLogger("metadata").addHandler(logs)
    logging.getLogger("metadata").setLevel(logging.INFO)
    threads = []
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        answering = threading.Lock()

        def work(job: Job) -> None:
            logs.begin()
            try:
                report = run(job)
            except BaseException:  # noqa: BLE001 - a job that cannot even be set up is a report too
                report = {"broken": traceback.format_exc()}
            report.update(id=job["id"], log=logs.lines(), peak_rss_kb=_peak())
            with answering:
                answers.write(json.dumps(report) + "\n")
                answers.flush()

        for line in sys.stdin:
            thread = threading.Thread(target=work, args=(json.loads(line),), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class _LogsByThread(logging.Handler):
    """What each job's thread logged, at INFO and above."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: dict[int, list[str]] = {}

    def begin(self) -> None:
        self._lines[threading.get_ident()] = []

    def emit(self, record: logging.LogRecord) -> None:
        lines = self._lines.get(threading.get_ident())
        if lines is not None and len(lines) < 1_000:
            lines.append(f"{record.levelname} {record.name}: {record.getMessage()[:500]}")

    def lines(self) -> list[str]:
        return self._lines.pop(threading.get_ident(), [])


def run(job: Job) -> Report:
    """One stream through one sink."""
    # For the whole process: a job with variables of its own must be the only one.
    os.environ.update(job.get("environment", {}))
    try:
        return _run(job)
    finally:
        for name in job.get("environment", {}):
            os.environ.pop(name, None)


def _run(job: Job) -> Report:
    metadata, sink = _made(job)
    feed = _Feed(job, metadata, sink)
    steps = []
    for verb, *arguments in job["stream"]:
        started = time.perf_counter()
        problem = None
        try:
            getattr(feed, verb)(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever a step raises is what it came to
            problem = f"{type(error).__name__}: {error}"
        steps.append({"verb": verb, "seconds": time.perf_counter() - started, "error": problem})
    status = sink.status
    writer = getattr(sink, "_writer", None)
    stats = writer.engine.stats().as_dict() if writer is not None else {}
    metadata.close()
    return {
        "native": writer is not None,
        "submitted": feed.submitted,
        "steps": steps,
        "records": len(status.records),
        "success": status.calculate_success(),
        "failures": [{"name": str(failure.name), "error": str(failure.error)} for failure in status.failures],
        "warnings": [str(warning) for warning in status.warnings],
        "stats": stats,
    }


def _made(job: Job) -> tuple[Any, Any]:
    """A client and a sink, with the job's variables in the environment while they are made."""
    # Upstream's modules import each other in circles: two threads that do so together meet half a module.
    with _making:
        from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
            OpenMetadataConnection,
        )
        from metadata.ingestion.ometa.ometa_api import OpenMetadata
        from metadata.ingestion.sink import metadata_rest

    connection = {
        "hostPort": job["url"],
        "authProvider": "openmetadata",
        "securityConfig": {"jwtToken": job["token"]},
        "enableVersionValidation": False,
        **job.get("connection", {}),
    }
    client = {name: tuple(value) if name == "timeout" else value for name, value in job.get("client", {}).items()}
    with _making:
        variables = job.get("variables", {})
        before = {name: os.environ.get(name, "1" if name == "OM_BULKSINK" else "") for name in variables}
        os.environ.update(variables)
        try:
            metadata = OpenMetadata(OpenMetadataConnection(**connection), additional_client_config_arguments=client)
            config = metadata_rest.MetadataRestSinkConfig(**job.get("sink", {}))
            sink = metadata_rest.MetadataRestSink(config, metadata)
        finally:
            # Empty is as good as not set. None is taken away: other threads go through them at the same time.
            os.environ.update(before)
    return metadata, sink


class _Feed:
    """The verbs of a stream."""

    def __init__(self, job: Job, metadata: Any, sink: Any) -> None:
        self._control = job.get("control", "")
        self._metadata = metadata
        self._sink = sink
        self.submitted = 0

    def tables(self, start: int, count: int, columns: int = 2) -> None:
        """Create requests of t<start>, t<start + 1> ..."""
        for request in tables(start, count, columns):
            self.submitted += 1
            self._sink.run(request)

    def keyed(self, name: str, referred: str) -> None:
        """A table with a foreign key to another one."""
        from metadata.generated.schema.entity.data.table import ConstraintType, TableConstraint

        (request,) = tables(0, 1, 2)
        key = TableConstraint(
            constraintType=ConstraintType.FOREIGN_KEY, columns=["c1"], referredColumns=[f"{SCHEMA}.{referred}.c0"]
        )
        self.submitted += 1
        self._sink.run(request.model_copy(update={"name": type(request.name)(name), "tableConstraints": [key]}))

    def parents(self) -> None:
        """The service, the database and the schema of the tables."""
        from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
        from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
        from metadata.generated.schema.api.services.createDatabaseService import CreateDatabaseServiceRequest

        self._sink.run(CreateDatabaseServiceRequest(name="lake", serviceType="Postgres"))
        self._sink.run(CreateDatabaseRequest(name="main", service="lake"))
        self._sink.run(CreateDatabaseSchemaRequest(name="public", database="lake.main"))
        self.submitted += 2

    def life_cycles(self, start: int, count: int) -> None:
        """A life cycle for each of these tables."""
        from metadata.generated.schema.entity.data.table import Table
        from metadata.generated.schema.type.lifeCycle import AccessDetails, LifeCycle
        from metadata.ingestion.models.life_cycle import OMetaLifeCycleData

        for number in range(start, start + count):
            life_cycle = LifeCycle(created=AccessDetails(timestamp=1_700_000_000_000 + number))
            self.submitted += 1
            self._sink.run(OMetaLifeCycleData(entity=Table, entity_fqn=f"{SCHEMA}.t{number}", life_cycle=life_cycle))

    def barrier(self) -> None:
        """Upstream's own record for 'all of it visible from here on'."""
        from metadata.ingestion.models.barrier import Barrier

        self._sink.run(Barrier())

    def read(self, name: str) -> None:
        """A read of one table through the shared client, as sources do it."""
        from metadata.generated.schema.entity.data.table import Table

        found = self._metadata.get_by_name(entity=Table, fqn=f"{SCHEMA}.{name}")
        if found is None:
            raise LookupError(f"{name} is not there")

    def list(self) -> None:
        """A list through the shared client."""
        self._metadata.client.get(f"/tables?databaseSchema={SCHEMA}&limit=10")

    def status(self) -> None:
        """What the workflow does before it decides its state; with upstream's sink, that is nothing."""
        getattr(self._sink, "_drain", self._sink.get_status)()

    def close(self) -> None:
        """The end of the step."""
        self._sink.close()

    def sleep(self, seconds: float) -> None:
        """The source takes its time."""
        time.sleep(seconds)

    def remove(self, folder: str) -> None:
        """Somebody tidies up in the middle of the run."""
        shutil.rmtree(folder)

    def ask(self, method: str, path: str, body: Any = None) -> None:
        """One request to the server's control port, in the middle of the stream."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._control + path, data=data, method=method)
        with _DIRECT.open(request, timeout=30) as answer:
            answer.read()


def tables(start: int, count: int, columns: int) -> Iterator[Any]:
    """Upstream's create requests of tables, with a hash of their source as the sources of 2.0 send it."""
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.entity.data.table import Column, DataType

    has_hash = "sourceHash" in CreateTableRequest.model_fields
    for number in range(start, start + count):
        more = {"sourceHash": f"{number:032x}"} if has_hash else {}
        yield CreateTableRequest(
            name=f"t{number}",
            databaseSchema=SCHEMA,
            columns=[Column(name=f"c{column}", dataType=DataType.INT) for column in range(columns)],
            **more,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
