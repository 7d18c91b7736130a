"""`shard all`: plan, open, run and close on this machine, with one start-up, one display, one summary."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from openmetadata_bulksink.shard.closing import close_all
from openmetadata_bulksink.shard.commands import Job, open_all, say, tell_of_failures
from openmetadata_bulksink.shard.display import Display
from openmetadata_bulksink.shard.results import Result
from openmetadata_bulksink.shard.running import run_shards


def run_whole(job: Job, processes: int, max_deleted: float, logs: Path | None) -> bool:
    """Returns whether everything ended well. Nothing is deleted unless all shards did."""
    clock = _Clock()
    if logs is None:
        logs = Path(tempfile.mkdtemp(prefix="bulksink-shards-"))
    logs.mkdir(parents=True, exist_ok=True)
    if not open_all(job):
        return False
    clock.end_of("opened")
    plan = job.plan
    display = Display(len(plan.shards), sum(unit.tables for unit in plan.units()))
    try:
        found = run_shards(
            job, range(len(plan.shards)), lambda _: None, processes=processes, logs=logs, tick=display.tick
        )
    finally:
        display.end()
    clock.end_of("shards")
    bad = [result for result in found if result.ended != "well"]
    for result in bad:
        say(f"shard {result.shard} did not end well: {result.why} ({logs / f'shard-{result.shard}.log'})")
    closed = not bad and close_all(job, found, max_deleted, now=None)
    clock.end_of("closed")
    say(_summary(found, bad, clock, logs))
    return closed


class _Clock:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._phases: list[str] = []

    def end_of(self, phase: str) -> None:
        """The next one begins."""
        now = time.monotonic()
        self._phases.append(f"{phase} {now - self._last:.1f} s")
        self._last = now

    def __str__(self) -> str:
        return ", ".join(self._phases)


def _summary(found: list[Result], bad: list[Result], clock: _Clock, logs: Path) -> str:
    tables = sum(part.tables for result in found for part in result.parts)
    failures = sum(result.failures for result in found)
    for result in found:
        for part in result.parts:
            tell_of_failures(part, f"shard {result.shard}", most=5)
    ended = f"{len(found) - len(bad)} of {len(found)} shards ended well"
    deleted = "; nothing was deleted, since not all of them did" if bad else ""
    return f"{ended}: {tables} tables, {failures} failures{deleted} ({clock}). Logs: {logs}"
