"""`shard all`: plan, open, run and close on this machine, with one start-up, one display, one summary."""

from __future__ import annotations

import time
from collections.abc import Sequence

from openmetadata_bulksink.shard.closing import close_all
from openmetadata_bulksink.shard.commands import Job, open_all, say, tell_of_failures, write_result
from openmetadata_bulksink.shard.display import Display
from openmetadata_bulksink.shard.folder import Folder
from openmetadata_bulksink.shard.results import Result
from openmetadata_bulksink.shard.running import run_shards


def run_whole(job: Job, processes: int, max_deleted: float, folder: Folder) -> bool:
    """Returns whether everything ended well. Nothing is deleted unless all shards did. Raises KeyboardInterrupt."""
    clock = _Clock()
    found: dict[int, Result] = {}
    opened = False

    def report(result: Result) -> None:
        found[result.shard] = result
        write_result(folder.result(result.shard), result)

    shards = range(len(job.plan.shards))
    try:
        opened = open_all(job)
        clock.end_of("opened")
        if not opened:
            _tell(shards, found, clock, folder, opened=False)
            return False
        display = Display(len(shards), sum(unit.tables for unit in job.plan.units()))
        try:
            run_shards(job, shards, report, processes=processes, logs=folder, tick=display.tick)
        finally:
            display.end()
        clock.end_of("shards")
        again = folder.close_command(len(shards))
        closed = not _bad(shards, found) and close_all(job, found.values(), max_deleted, now=None, again=again)
        clock.end_of("closed")
    except KeyboardInterrupt:
        clock.end_of("interrupted")
        _tell(shards, found, clock, folder, opened=opened, interrupted=True)
        raise
    _tell(shards, found, clock, folder)
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


def _bad(shards: Sequence[int], found: dict[int, Result]) -> list[int]:
    """Those that have not ended well."""
    return [shard for shard in shards if shard not in found or found[shard].ended != "well"]


def _tell(
    shards: Sequence[int],
    found: dict[int, Result],
    clock: _Clock,
    folder: Folder,
    *,
    opened: bool = True,
    interrupted: bool = False,
) -> None:
    """The summary, and how to go on where there is something to do."""
    for shard, result in sorted(found.items()):
        for part in result.parts:
            tell_of_failures(part, f"shard {shard}", most=5)
        if result.ended != "well":
            say(f"shard {shard} did not end well: {result.why} ({folder.log(shard)})")
    bad = _bad(shards, found)
    tables = sum(part.tables for result in found.values() for part in result.parts)
    failures = sum(result.failures for result in found.values())
    ended = f"{len(shards) - len(bad)} of {len(shards)} shards ended well"
    deleted = "; nothing was deleted, since not all of them did" if bad else ""
    say(f"{ended}: {tables} tables, {failures} failures{deleted} ({clock}). Logs: {folder.logs}")
    if bad:
        several = len(bad) > 1
        numbers = f", I is {', '.join(map(str, bad))}" if several else ""
        if not opened:
            say(f"To go on: {folder.open_command()}")
        say(f"{'To go on' if opened else 'Then run'}: {folder.run_command('I' if several else bad[0])}{numbers}")
    if bad or interrupted:
        say(f"Then close: {folder.close_command(len(shards))}")
