"""The native sink by itself, with a clock: one measurement in a process of its own.

Runs in an environment of upstream with our wheel. The server's latency and faults are set by whoever starts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from openmetadata_bulksink import BulkSink, DrainTimeout

SCHEMA = "lake.main.public"
#: Seconds: long enough for a wait to have begun.
_BEGUN = 0.3


def main(descriptor: int) -> None:
    """One job: {"measure", "url", "token", and the arguments of that measurement}."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())
        measure = MEASURES[job.pop("measure")]
        answers.write(json.dumps({"result": {"seconds": measure(**job)}}) + "\n")


def _table(number: int) -> tuple[str, str, str]:
    """Collection, FQN and body."""
    body = {"name": f"t{number}", "databaseSchema": SCHEMA, "columns": [{"name": "c", "dataType": "INT"}]}
    return "tables", f"{SCHEMA}.t{number}", json.dumps(body)


def _submit(sink: BulkSink, start: int, count: int) -> None:
    for number in range(start, start + count):
        sink.submit(*_table(number), parent=SCHEMA)


def _require_written(sink: BulkSink, count: int) -> None:
    stats = sink.stats()
    if (stats.written, stats.failed) != (count, 0):
        raise SystemExit(f"{stats.written} of {count} records were written, {stats.failed} failed")


def tables(url: str, token: str, count: int, **settings: Any) -> float:
    """From the first record to the last outcome."""
    with BulkSink(url, token=token, **settings) as sink:
        started = time.perf_counter()
        _submit(sink, 0, count)
        sink.drain()
        took = time.perf_counter() - started
        _require_written(sink, count)
    return took


def tail(url: str, token: str, count: int, life_cycles: int, pace: float) -> float:
    """From the last table of a source that takes its time, with life cycles among them, to the last outcome."""
    carriers = {number * count // life_cycles for number in range(life_cycles)}
    with BulkSink(url, token=token) as sink:
        started = time.perf_counter()
        for number in range(count):
            time.sleep(max(0.0, started + number * pace - time.perf_counter()))
            _submit(sink, number, 1)
            if number in carriers:
                body = json.dumps({"created": {"timestamp": 1_700_000_000_000 + number}})
                sink.submit_life_cycle("tables", f"{SCHEMA}.t{number}", body)
        submitted = time.perf_counter()
        sink.drain()
        took = time.perf_counter() - submitted
        _require_written(sink, count + len(carriers))
    return took


def interrupted(url: str, token: str) -> float:
    """From a signal to the exception that ends a drain; the server does not answer."""
    sent: list[float] = []

    def interrupt() -> None:
        time.sleep(_BEGUN)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    sink = BulkSink(url, token=token)
    _submit(sink, 0, 1)
    threading.Thread(target=interrupt).start()
    try:
        sink.drain()
        raise SystemExit("the drain ended without a signal")
    except KeyboardInterrupt:
        took = time.perf_counter() - sent[0]
    sink.close(timeout=0)
    return took


def timed_out(url: str, token: str, end: str, timeout: float) -> float:
    """What a drain or a close takes beyond the time that it was given; the server does not answer."""
    sink = BulkSink(url, token=token)
    _submit(sink, 0, 1)
    started = time.perf_counter()
    with contextlib.suppress(DrainTimeout):
        getattr(sink, end)(timeout=timeout)
    took = time.perf_counter() - started - timeout
    sink.close(timeout=0)
    return took


def gap(url: str, token: str, count: int) -> float:
    """The longest time that an event loop stood still while awaitables waited."""

    async def run() -> float:
        sink = BulkSink(url, token=token, budget_bytes=1_000)
        gaps, last = [0.0], time.perf_counter()

        async def tick() -> None:
            nonlocal last
            while True:
                await asyncio.sleep(0.01)
                now = time.perf_counter()
                gaps.append(now - last)
                last = now

        ticker = asyncio.create_task(tick())
        for number in range(count):
            await sink.submit_async(*_table(number), parent=SCHEMA)
        await sink.close_async()
        ticker.cancel()
        _require_written(sink, count)
        return max(gaps)

    return asyncio.run(run())


MEASURES: dict[str, Callable[..., float]] = {
    measure.__name__: measure for measure in (tables, tail, interrupted, timed_out, gap)
}


if __name__ == "__main__":
    main(int(sys.argv[1]))
