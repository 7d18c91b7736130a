"""One command of upstream in a process of its own, with a clock around each thing that is ours in its start.

Runs in an environment of upstream with our wheel. What is timed is what the start-up hook does (the imports of our
package included), what a sink asks when it is made, and what the first record that goes native sets in motion.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _openmetadata_bulksink_boot as boot


def main(descriptor: int) -> None:
    """One job: {"arguments"}."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())
        answers.write(json.dumps({"result": run(job["arguments"])}) + "\n")


def run(arguments: list[str]) -> dict[str, Any]:
    """Milliseconds of CPU by part; threads: ours that were there before the first record, or at the end without one."""
    cpu_ms: dict[str, float] = {}
    threads: list[int] = []
    _watch_hook(cpu_ms, lambda: _watch_sink(cpu_ms, threads))
    from metadata.cmd import metadata

    try:
        metadata(arguments)
    except SystemExit as end:
        if end.code:
            raise
    if "hook and imports" not in cpu_ms:
        raise SystemExit("upstream's sink was not imported: there was nothing to time")
    return {"cpu_ms": cpu_ms, "threads": threads[0] if threads else _threads_of_ours()}


def _watch_hook(cpu_ms: dict[str, float], replaced: Callable[[], None]) -> None:
    """From the end of upstream's module to the end of ours."""
    replace = boot._replace

    def timed(module: Any) -> None:
        since = time.thread_time()
        replace(module)
        cpu_ms["hook and imports"] = 1000 * (time.thread_time() - since)
        replaced()

    boot._replace = timed


def _watch_sink(cpu_ms: dict[str, float], threads: list[int]) -> None:
    from openmetadata_bulksink import decision, eligibility

    decide = decision.go_native

    def deciding(*arguments: Any) -> Any:
        threads.append(_threads_of_ours())
        return decide(*arguments)

    setattr(decision, decide.__name__, deciding)
    _time(eligibility, "why_not_native", "a sink is made", cpu_ms)
    _time(decision, "go_native", "the first record", cpu_ms)


def _time(owner: Any, name: str, part: str, cpu_ms: dict[str, float]) -> None:
    original = getattr(owner, name)

    def timed(*arguments: Any) -> Any:
        since = time.thread_time()
        try:
            return original(*arguments)
        finally:
            cpu_ms[part] = cpu_ms.get(part, 0.0) + 1000 * (time.thread_time() - since)

    setattr(owner, name, timed)


def _threads_of_ours() -> int:
    """Native ones included; their names begin with the engine's."""
    names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
    return sum(name.startswith("bulksink") for name in names)


if __name__ == "__main__":
    main(int(sys.argv[1]))
