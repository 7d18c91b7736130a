"""Batches over a few worker threads, and life cycles in a second phase, after the last batch: nothing is lost.

The report's own second phase was one serial pass; here the workers share it, which is what its author would do next.
"""

from __future__ import annotations

from benchmarks.designs.asynchronous import Asynchronous
from benchmarks.designs.records import LifeCycle


class TwoPhase(Asynchronous):
    """Holds life cycles back until every table is written."""

    def __init__(self, url: str, token: str, workers: int) -> None:
        super().__init__(url, token, workers)
        self._held: list[LifeCycle] = []

    def write_life_cycle(self, record: LifeCycle) -> None:
        """For later."""
        self._held.append(record)

    def close(self) -> None:
        """Phase one to its end, then phase two."""
        self.send_batch()
        self._workers.finish()
        for record in self._held:
            super().write_life_cycle(record)
        super().close()
