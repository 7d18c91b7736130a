"""Feeds tables and life cycles to our sink as upstream's workflow would, and says what that cost its thread.

Runs in an environment of upstream with our wheel. Chunks are small enough that the sink never has to wait for room; the
time between them is not counted. What comes later is: outcomes are accounted for in the next record's call, and the
last ones when the sink settles.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.designs.connection import Connection
from benchmarks.designs.records import Entity, LifeCycle
from benchmarks.report import workload
from benchmarks.report.frameworks import Framework, converter, warm_up

# Fewer than the four batches of four workers at which a sink waits for the server.
CHUNK = 400

Convert = Any


def main(descriptor: int) -> None:
    """One job: {"url", "token", "columns": [...], "records", "series", "callgrind", "polled"}; polled: the columns of
    the tables behind each of which the status is asked for.
    """
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())
        answers.write(json.dumps({"result": run(job)}) + "\n")


def run(job: dict[str, Any]) -> dict[str, Any]:
    """A list of series for each number of columns; one of life cycles, one of fences and one of polls under their
    names.
    """
    convert = converter()
    warm_up(convert)
    connection = Connection(job["url"] + "/v1", job["token"])
    lost = connection.put_one(Entity("services/databaseServices", workload.SERVICE, workload.service_request()))
    connection.close()
    if lost:
        raise SystemExit(f"the database service could not be made: {lost[0].reason}")
    framework = Framework(job["url"], job["token"])
    framework.write(convert(Entity("databases", workload.DATABASE, {"name": "dev", "service": workload.SERVICE})))
    found: dict[str, Any] = {}
    for columns in job["columns"]:
        for number in range(job["series"]):
            schema = f"{workload.DATABASE}.columns_{columns}_{number}"
            body = {"name": schema.rsplit(".", 1)[1], "database": workload.DATABASE}
            framework.write(convert(Entity("databaseSchemas", schema, body)))
            tables = [convert(workload.table(schema, index, columns)) for index in range(job["records"])]
            measure = _counted_series if job.get("callgrind") else _series
            found.setdefault(str(columns), []).append(measure(framework, tables))
            if columns == job["columns"][0] and not job.get("callgrind"):
                names = [f"{schema}.{table.name.root}" for table in tables]
                life_cycles = [convert(_life_cycle(name)) for name in names]
                found.setdefault("life_cycle", []).append(_life_cycles(framework, life_cycles))
                found.setdefault("fence", []).append(_fences(framework, tables[:60], names[60:]))
            if columns == job.get("polled") and not job.get("callgrind"):
                found.setdefault("polled", []).append(_polled(framework, tables))
    framework.close()
    if framework.failures or framework.native is None:
        raise SystemExit(f"the native sink wrote: {framework.native}; lost: {framework.failures[:3]}")
    return found


def _life_cycle(fqn: str) -> LifeCycle:
    return LifeCycle(fqn, {"created": {"timestamp": 1_700_000_000_000}, "accessed": {"timestamp": 1_700_000_000_001}})


def _life_cycles(framework: Framework, records: Sequence[Any]) -> dict[str, float]:
    """Microseconds of this thread for one life cycle of a table that is written already."""
    gc.collect()
    gc.disable()
    clock = time.thread_time_ns
    spent = 0
    for first in range(0, len(records), CHUNK):
        before = clock()
        for record in records[first : first + CHUNK]:
            framework.write(record)
        spent += clock() - before
        time.sleep(0.3)
    before = clock()
    framework.settle()
    spent += clock() - before
    gc.enable()
    return {"life_cycle_us": spent / len(records) / 1000}


def _fences(framework: Framework, pending: Sequence[Any], others: Sequence[str]) -> dict[str, float]:
    """Microseconds of this thread that a request of the shared client waits for nothing: others than it reads are
    pending.
    """
    paths = [f"/tables/name/{name}?fields=owners" for name in others]
    found: dict[str, float] = {}
    for name, barrier in (("fence_us", False), ("fence_behind_barrier_us", True)):
        best = None
        for _ in range(5):
            framework.settle()
            for table in pending:
                framework.write(table)
            spent = framework.fence_seconds(paths, barrier=barrier)
            best = spent if best is None else min(best, spent)
        found[name] = (best or 0.0) / len(paths) * 1e6
    framework.settle()
    return found


def _polled(framework: Framework, tables: Sequence[Any]) -> dict[str, float]:
    """How many times what a record costs this thread alone it costs with a look at the status behind it: both in turn,
    over the same tables, each up to its last outcome.
    """
    spent = {False: 0, True: 0}
    for first in range(0, len(tables), CHUNK):
        for polled in (False, True, True, False):
            gc.collect()
            before = time.thread_time_ns()
            for table in tables[first : first + CHUNK]:
                framework.write(table)
                if polled:
                    framework.poll()
            framework.settle()
            spent[polled] += time.thread_time_ns() - before
    return {"polled_ratio": spent[True] / spent[False]}


def _series(framework: Framework, tables: Sequence[Any]) -> dict[str, float]:
    """Microseconds of this thread for one record: to serialise it, and in the sink."""
    gc.collect()
    gc.disable()
    serialised = _serialise(tables)
    clock = time.thread_time_ns
    in_sink = 0
    fastest: list[int] = []
    for first in range(0, len(tables), CHUNK):
        time.sleep(0.3)
        walls = []
        for table in tables[first : first + CHUNK]:
            before, wall = clock(), time.perf_counter_ns()
            framework.write(table)
            walls.append(time.perf_counter_ns() - wall)
            in_sink += clock() - before
        fastest.append(sorted(walls)[len(walls) // 2])
    time.sleep(0.3)
    before = clock()
    framework.settle()
    in_sink += clock() - before
    # Reading the two clocks is no work of the sink.
    clocks = _cost_of_clocks(len(tables))
    gc.enable()
    return {
        "to_json_us": serialised,
        "run_us": (in_sink - clocks) / len(tables) / 1000,
        "run_wall_us": min(fastest) / 1000,
        "bytes": sum(len(_body(table)) for table in tables) / len(tables),
    }


def _body(table: Any) -> bytes:
    serializer = type(table).__pydantic_serializer__
    body: bytes = serializer.to_json(table, exclude_unset=True, exclude_none=True, by_alias=False, warnings=False)
    return body


def _serialise(tables: Sequence[Any]) -> float:
    best = None
    for _ in range(3):
        before = time.thread_time_ns()
        for table in tables:
            _body(table)
        spent = (time.thread_time_ns() - before) / len(tables) / 1000
        best = spent if best is None else min(best, spent)
    return best or 0.0


def _cost_of_clocks(times: int) -> int:
    clock, wall = time.thread_time_ns, time.perf_counter_ns
    spent = 0
    for _ in range(times):
        before, other = clock(), wall()
        _ = wall() - other
        spent += clock() - before
    return spent


def _counted_series(framework: Framework, tables: Sequence[Any]) -> dict[str, float]:
    """The same work once, for callgrind: it leaves one file for each block. The empty one is what counting costs."""
    gc.collect()
    gc.disable()
    for table in tables:
        _body(table)
    with _counting():
        pass
    with _counting():
        for table in tables:
            _body(table)
    with _counting():
        for table in tables:
            framework.write(table)
        framework.settle()
    gc.enable()
    return {"records": len(tables)}


@contextlib.contextmanager
def _counting() -> Iterator[None]:
    """Callgrind, which this process runs under, counts within the block and writes what it counted behind it."""
    _tell_callgrind("--instr=on")
    yield
    _tell_callgrind("--instr=off")
    _tell_callgrind("--dump")


def _tell_callgrind(what: str) -> None:
    command = ["callgrind_control", what, str(os.getpid())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)


if __name__ == "__main__":
    main(int(sys.argv[1]))
