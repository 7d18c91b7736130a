"""One progress display for all shards: a line that is drawn over on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time

from openmetadata_bulksink.shard.running import Running

#: Seconds between two lines where nothing can be drawn over.
_SELDOM = 15.0


class Display:
    """Of one `shard all`."""

    def __init__(self, shards: int, tables: int) -> None:
        self._shards, self._tables = shards, tables
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._last = self._began

    def tick(self, shards: list[Running]) -> None:
        """Shows how far the shards are."""
        now = time.monotonic()
        if not self._terminal and now - self._last < _SELDOM:
            return
        self._last = now
        line = self._line(shards, now - self._began)
        if self._terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def end(self) -> None:
        """What follows begins on a line of its own."""
        if self._terminal:
            print(file=sys.stderr, flush=True)

    def _line(self, shards: list[Running], seconds: float) -> str:
        counts = [(shard, shard.progress()) for shard in shards]
        tables = sum(progress.tables for _, progress in counts)
        failures = sum(progress.failures for _, progress in counts)
        ended = sum(shard.result is not None for shard in shards)
        running = " ".join(
            f"[{shard.number}: {progress.tables}/{shard.expected}]" for shard, progress in counts if shard.child
        )
        left = ""
        if 0 < tables < self._tables:
            left = f", {seconds / tables * (self._tables - tables):.0f} s left"
        return (
            f"{ended} of {self._shards} shards done, {tables} of {self._tables} tables, {failures} failures"
            f"{left} {running}"
        ).rstrip()
