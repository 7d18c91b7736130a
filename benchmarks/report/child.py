"""One run in a process of its own: `python -m benchmarks.report.child`, in an environment of upstream.

Reads one job as JSON from standard input. Writes lines of JSON to the descriptor given as first argument: {"extracted":
n} now and then, {"result": {...}} at the end.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from benchmarks.designs.asynchronous import Asynchronous
from benchmarks.designs.records import Entity, Failure, Record
from benchmarks.designs.sequential import Sequential
from benchmarks.designs.two_phase import TwoPhase
from benchmarks.report import workload
from benchmarks.report.frameworks import Framework, converter, warm_up

PROGRESS_SECONDS = 0.25


class Sink(Protocol):
    """What takes part."""

    @property
    def failures(self) -> list[Failure]:
        """What it knows it has lost."""

    def write(self, record: Any) -> None:
        """Take one record."""

    def close(self) -> None:
        """Write what is left."""


class Nowhere:
    """Takes everything and keeps nothing: what remains is the extraction."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def write(self, record: Any) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def main(descriptor: int) -> None:
    """One job."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())
        answers.write(json.dumps({"result": run(job, answers)}) + "\n")


def run(job: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    """Feeds the catalogue to the sink, and says where the time went."""
    scale = workload.Scale(job["tables"])
    kind, url, token, workers = job["kind"], job["url"], job["token"], job["workers"]
    if kind in ("extraction", "upstream", "ours"):
        convert: Callable[[Record], Any] = converter()
        warm_up(convert)
    else:
        convert = _as_it_is
    sink = _sink(kind, url + "/v1", url, token, workers)
    _put_service(url + "/v1", token)
    put_at = time.time()
    # Upstream's import leaves a heap that a collection walks through for a fifth of a second.
    gc.collect()
    gc.freeze()
    before = resource.getrusage(resource.RUSAGE_SELF)
    started_at = time.time()
    started = time.perf_counter()
    extraction, blocked = _feed(workload.extracted(scale, convert), sink, answers)
    ended = time.perf_counter()
    sink.close()
    closed = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "after_put_s": started_at - put_at,
        "total_s": closed - started,
        "extraction_s": extraction,
        "blocked_s": blocked,
        "tail_s": closed - ended,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_rss_kb": after.ru_maxrss,
        "failures": [asdict(failure) for failure in sink.failures],
        "native": getattr(sink, "native", None),
        "said": getattr(sink, "said", []),
    }


def _as_it_is(record: Record) -> Record:
    return record


def _sink(kind: str, api: str, url: str, token: str, workers: int) -> Sink:
    makers: dict[str, Callable[[], Sink]] = {
        "extraction": Nowhere,
        "sequential": lambda: Sequential(api, token),
        "asynchronous": lambda: Asynchronous(api, token, workers),
        "two phase": lambda: TwoPhase(api, token, workers),
        "upstream": lambda: Framework(url, token),
        "ours": lambda: Framework(url, token),
    }
    return makers[kind]()


def _put_service(api: str, token: str) -> None:
    from benchmarks.designs.connection import Connection

    connection = Connection(api, token)
    service = Entity("services/databaseServices", workload.SERVICE, workload.service_request())
    if lost := connection.put_one(service):
        raise SystemExit(f"the database service could not be made: {lost[0].reason}")
    connection.close()


def _feed(source: Iterator[Any], sink: Sink, answers: TextIO) -> tuple[float, float]:
    """The workflow's loop; seconds in the source and seconds in the sink."""
    clock = time.perf_counter
    extraction = blocked = 0.0
    told = asked = clock()
    for count, record in enumerate(source, 1):
        given = clock()
        extraction += given - asked
        if given - told > PROGRESS_SECONDS:
            told = given
            answers.write(json.dumps({"extracted": count}) + "\n")
            answers.flush()
        sink.write(record)
        asked = clock()
        blocked += asked - given
    extraction += clock() - asked
    return extraction, blocked


if __name__ == "__main__":
    main(int(sys.argv[1]))
