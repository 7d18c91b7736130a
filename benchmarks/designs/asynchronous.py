"""Batches over a few worker threads; a life cycle goes out as soon as a worker is free.

Tables of one batch go out together, so a life cycle can overtake the table that it belongs to: the server answers 404
and the life cycle is lost. That is the flaw of this design, not of its code.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

from benchmarks.designs.connection import Connection
from benchmarks.designs.records import Entity, Failure, LifeCycle, Record

BATCH = 100

Work = Callable[[Connection], list[Failure]]


class Workers:
    """Threads with a session each, behind a bounded queue: the source waits when two jobs a worker are pending."""

    def __init__(self, url: str, token: str, count: int) -> None:
        self.failures: list[Failure] = []
        self._jobs: queue.Queue[Work | None] = queue.Queue(maxsize=2 * count)
        self._threads = [
            threading.Thread(target=self._work, args=(Connection(url, token),), name=f"worker-{number}")
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> None:
        """Blocks while the queue is full."""
        self._jobs.put(work)

    def finish(self) -> None:
        """Returns when everything submitted so far is done."""
        self._jobs.join()

    def end(self) -> None:
        """Finishes, then ends the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, connection: Connection) -> None:
        while (work := self._jobs.get()) is not None:
            try:
                self.failures += work(connection)
            except Exception as error:  # noqa: BLE001 - a worker that dies would block the source for ever
                self.failures.append(Failure("batch", "?", f"{type(error).__name__}: {error}"))
            finally:
                self._jobs.task_done()
        connection.close()


class Asynchronous:
    """Databases and schemas at once, tables in batches of 100, life cycles as they come."""

    def __init__(self, url: str, token: str, workers: int) -> None:
        self._containers = Connection(url, token)
        self._workers = Workers(url, token, workers)
        self._batch: list[Entity] = []
        self._lost: list[Failure] = []

    @property
    def failures(self) -> list[Failure]:
        """What was lost so far, as far as this design knows."""
        return self._lost + self._workers.failures

    def write(self, record: Record) -> None:
        """Returns when the record is in a batch or in the queue; for a container, when it is written."""
        if isinstance(record, LifeCycle):
            self.write_life_cycle(record)
        elif record.collection == "tables":
            self._batch.append(record)
            if len(self._batch) >= BATCH:
                self.send_batch()
        else:
            # Tables of the container before are of no concern to this one, so nothing has to be waited for.
            self._lost += self._containers.put_one(record)

    def write_life_cycle(self, record: LifeCycle) -> None:
        """Straight to the workers."""
        self._workers.submit(lambda connection: connection.add_life_cycle(record))

    def send_batch(self) -> None:
        """Hands over what has been collected."""
        batch: Sequence[Entity] = self._batch
        self._batch = []
        if batch:
            self._workers.submit(lambda connection: connection.put_many("tables", batch))

    def close(self) -> None:
        """The last batch, then the end of the workers."""
        self.send_batch()
        self._workers.end()
        self._containers.close()
