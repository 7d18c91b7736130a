"""Threads that ask ahead, each with a connection of a pool of our own. Upstream never meets one of these connections,
and no error of theirs is anybody's but theirs.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from openmetadata_bulksink.accelerators.read_ahead.guesses import Guesses, Job
from openmetadata_bulksink.accelerators.read_ahead.texts import Statement
from openmetadata_bulksink.log import log

#: Answers with more rows are not kept.
MOST_ROWS = 1_000

#: Connections that one thread may lose before it stops.
_MOST_LOST = 3

#: Seconds in which the threads end, as a rule within a statement, and those that did not once their lines are cut.
_TO_END, _ONCE_CUT = 2.0, 1.0


class Asking:
    """The threads of one source. all_refused: called where none of them has a connection any more."""

    def __init__(self, engine: Any, connections: int, guesses: Guesses, all_refused: Callable[[], None]) -> None:
        self._dialect = engine.dialect
        # Of the same creator and with the same listeners as upstream's, so that a connection is set up as upstream's.
        self._pool = engine.pool.recreate()
        self._guesses, self._all_refused = guesses, all_refused
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        #: Of each open connection, so that a thread whose database does not answer can be ended.
        self._lines: dict[int, _Line] = {}
        self._at_work = connections
        self._threads = [
            threading.Thread(target=self._work, name=f"bulksink-read-ahead-{number}", daemon=True)
            for number in range(connections)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Ask for a table when a connection is free."""
        self._jobs.put(job)

    @property
    def is_at_work(self) -> bool:
        """Whether there is a connection, or may be one."""
        return self._at_work > 0

    def close(self) -> None:
        """End the threads and their connections."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        self._wait(_TO_END)
        if self._cut():
            self._wait(_ONCE_CUT)
        self._pool.dispose()

    def _cut(self) -> bool:
        """End what connections are still waiting for; whether there are any."""
        with self._lock:
            for line in self._lines.values():
                line.cut()
            return bool(self._lines)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        connection: Any = None
        lost = 0
        try:
            while (job := self._jobs.get()) is not None and not self._closed:
                if job.is_over:
                    continue
                try:
                    if connection is None:
                        connection = self._connect()
                except Exception as error:  # noqa: BLE001 - a role has few connections, a firewall, a password expires
                    log.debug("read_ahead got no connection: %s", type(error).__name__)
                    return
                if not self._ask(job, connection):
                    self._end(connection)
                    connection = None
                    lost += 1
                    if lost >= _MOST_LOST:
                        return
        finally:
            if connection is not None:
                self._end(connection)
            with self._lock:
                self._at_work -= 1
                none_left = self._at_work == 0
            if none_left and not self._closed:
                self._all_refused()

    def _connect(self) -> Any:
        connection = self._pool.connect()
        line = _Line(_of_driver(connection))
        with self._lock:
            self._lines[id(connection)] = line
        try:
            # No transaction stays open, and each statement sees what is there when it is sent.
            self._dialect.set_isolation_level(_of_driver(connection), "AUTOCOMMIT")
        except BaseException:
            self._end(connection)
            raise
        return connection

    def _end(self, connection: Any) -> None:
        with self._lock:
            line = self._lines.pop(id(connection), None)
        if line is not None:
            line.close()
        try:
            # Not back into the pool: it is as we have set it.
            connection.detach()
            connection.close()
        except Exception as error:  # noqa: BLE001 - it was lost
            log.debug("read_ahead closed a connection: %s", type(error).__name__)

    def _ask(self, job: Job, connection: Any) -> bool:
        """Ask for a table; False where the connection is gone."""
        for step in job.steps:
            guess = job.guesses.get(step.number)
            if guess is None or self._closed or not self._guesses.begin(guess):
                continue
            cursor: Any = None
            try:
                cursor = connection.cursor()
                self._send(cursor, guess.statement)
                if cursor.description is None or not 0 <= cursor.rowcount <= MOST_ROWS:
                    self._guesses.failed(guess)
                    continue
                self._guesses.answered(job, step.number, cursor.fetchall(), cursor.description)
            except Exception as error:  # noqa: BLE001 - the source asks by itself, and meets what there is to meet
                self._guesses.failed(guess)
                log.debug("read_ahead was refused a statement: %s", type(error).__name__)
                if self._is_gone(error, connection, cursor):
                    return False
            finally:
                if cursor is not None:
                    _close(cursor)
        return True

    def _send(self, cursor: Any, statement: Statement) -> None:
        if statement.parameters is None:
            self._dialect.do_execute_no_params(cursor, statement.text)
        else:
            self._dialect.do_execute(cursor, statement.text, statement.parameters)

    def _is_gone(self, error: Exception, connection: Any, cursor: Any) -> bool:
        if not isinstance(error, self._dialect.dbapi.Error):
            return True
        return bool(self._dialect.is_disconnect(error, _of_driver(connection), cursor))


class _Line:
    """The socket of a driver's connection, by a descriptor of our own: the driver may close its own at any time, and
    its number would be somebody else's then.
    """

    def __init__(self, connection: Any) -> None:
        self._descriptor: int | None = None
        with suppress(Exception):  # a driver that shows no socket: its connection ends with its statement
            self._descriptor = os.dup((connection if hasattr(connection, "fileno") else connection._sock).fileno())

    def cut(self) -> None:
        """Whoever waits for an answer over it gets an error."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError), socket.socket(fileno=descriptor) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Leave the connection to its driver."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _of_driver(connection: Any) -> Any:
    """The driver's connection; SQLAlchemy 1.4 has another name for it at first."""
    return getattr(connection, "dbapi_connection", None) or connection.connection


def _close(cursor: Any) -> None:
    try:
        cursor.close()
    except Exception as error:  # noqa: BLE001 - its connection is gone
        log.debug("read_ahead closed a cursor: %s", type(error).__name__)
