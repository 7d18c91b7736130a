"""The program inside upstream's environment: runs upstream's own command line and reports what came of it.

Runs as a script with `-P`, imports nothing of this project, and touches upstream in four places only, from outside:
it notes the times of `execute` and `execute_internal`, the pipeline states that are sent, and the steps when they are
closed.

One job a line on standard input, as JSON: {"arguments", "variables", "output", "time_sink"}; one report a line on the
descriptor given as first argument. Upstream is imported with the first job.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

Report = dict[str, Any]

#: How the output says that an exception has left the source loop; its name follows.
LOOP_LEFT = "the source loop was left by "

_report: Report = {}
_watched = False


def main(descriptor: int) -> None:
    """Works until standard input ends."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            answers.write(json.dumps(run(json.loads(line))) + "\n")
            answers.flush()


def run(job: dict[str, Any]) -> Report:
    """One command line of upstream, with its output in a file and its variables in the environment."""
    _report.clear()
    _report.update(pipeline_states=[], steps=[], close_s=0.0)
    before = dict(os.environ)
    threads = set(threading.enumerate())
    os.environ.update(job["variables"])
    try:
        with _output_to(job["output"]):
            _report["exit_code"] = _exit_code(job)
    finally:
        os.environ.clear()
        os.environ.update(before)
    _report["threads_left"] = [thread.name for thread in threading.enumerate() if thread not in threads]
    _report["peak_rss_kb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _report


def _exit_code(job: dict[str, Any]) -> int:
    started = time.perf_counter()
    try:
        from metadata.cmd import metadata

        _watch()
        _report["import_s"] = time.perf_counter() - started
        _report["time_sink"] = bool(job.get("time_sink"))
        started = time.perf_counter()
        metadata(job["arguments"])
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:  # noqa: BLE001 - as the interpreter does it: print, and a status
        traceback.print_exc()
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    finally:
        _report["command_s"] = time.perf_counter() - started
    return 0


@contextlib.contextmanager
def _output_to(path: str) -> Iterator[None]:
    """Standard output and error to a file, below Python, so that native code and old log handlers follow."""
    kept = [os.dup(1), os.dup(2)]
    with open(path, "wb") as file:  # noqa: PTH123
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, descriptor in zip((1, 2), kept, strict=True):
                os.dup2(descriptor, target)
                os.close(descriptor)


def _watch() -> None:
    """Wraps the four places, once for each process."""
    global _watched  # noqa: PLW0603
    if _watched:
        return
    _watched = True
    from metadata.workflow.base import BaseWorkflow
    from metadata.workflow.ingestion import IngestionWorkflow

    _wrap(BaseWorkflow, "execute", _around_execute)
    _wrap(IngestionWorkflow, "execute_internal", _around_loop)
    _wrap(BaseWorkflow, "set_ingestion_pipeline_status", _around_pipeline_state)


def _wrap(owner: type, name: str, around: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        return around(functools.partial(original, self), self, *args, **kwargs)

    setattr(owner, name, replacement)


def _around_execute(original: Callable[..., Any], workflow: Any) -> Any:
    for step in workflow.workflow_steps():
        _watch_close(step)
    if _report["time_sink"]:
        _watch_sink(workflow.workflow_steps()[-1])
    started = time.perf_counter()
    try:
        return original()
    finally:
        _report["workflow_s"] = time.perf_counter() - started
        _report["steps"] = [_describe_step(step) for step in workflow.workflow_steps()]


def _around_loop(original: Callable[..., Any], _: Any) -> Any:
    _report["loop_started"] = time.time()
    started, cpu = time.perf_counter(), time.thread_time()
    try:
        return original()
    except BaseException as error:
        print(f"{LOOP_LEFT}{type(error).__name__}", file=sys.stderr, flush=True)
        raise
    finally:
        _report["loop_cpu_s"] = time.thread_time() - cpu
        _report["loop_s"] = time.perf_counter() - started
        _report["loop_ended"] = time.time()


def _around_pipeline_state(original: Callable[..., Any], _: Any, *args: Any, **kwargs: Any) -> Any:
    state = args[0] if args else kwargs.get("state")
    _report["pipeline_states"].append(getattr(state, "value", str(state)))
    return original(*args, **kwargs)


def _watch_close(step: Any) -> None:
    original = step.close

    def close() -> Any:
        started = time.perf_counter()
        try:
            return original()
        finally:
            _report["close_s"] += time.perf_counter() - started

    step.close = close


def _watch_sink(sink: Any) -> None:
    original = sink.run
    clock, cpu_clock = time.perf_counter, time.thread_time
    _report["sink_s"] = _report["sink_cpu_s"] = 0.0
    _report["sink_calls"] = 0

    def run_timed(record: Any) -> Any:
        started, cpu = clock(), cpu_clock()
        try:
            return original(record)
        finally:
            _report["sink_cpu_s"] += cpu_clock() - cpu
            _report["sink_s"] += clock() - started
            _report["sink_calls"] += 1

    sink.run = run_timed


def _describe_step(step: Any) -> Report:
    status = step.status
    return {
        "name": step.name,
        "type": f"{type(step).__module__}.{type(step).__qualname__}",
        "records": max(getattr(status, "record_count", 0) or 0, len(status.records)),
        "updated": len(status.updated_records),
        "warnings": len(status.warnings),
        "filtered": len(status.filtered),
        "failures": [{"name": str(failure.name), "error": str(failure.error)} for failure in status.failures],
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
