"""One request for each table, in the order of the source, on its thread: the simplest sink that is correct."""

from __future__ import annotations

from benchmarks.designs.connection import Connection
from benchmarks.designs.records import Failure, LifeCycle, Record


class Sequential:
    """Writes each record before it takes the next."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = Connection(url, token)
        self.failures: list[Failure] = []

    def write(self, record: Record) -> None:
        """Returns when the server has answered."""
        if isinstance(record, LifeCycle):
            self.failures += self._connection.add_life_cycle(record)
        else:
            self.failures += self._connection.put_one(record)

    def close(self) -> None:
        """Nothing is left to write."""
        self._connection.close()
