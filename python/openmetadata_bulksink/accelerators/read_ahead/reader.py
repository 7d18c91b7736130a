"""The reading ahead of one source, on that source's thread: whose turn it is, what is asked ahead, what is answered."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

from openmetadata_bulksink.accelerators import loaded
from openmetadata_bulksink.accelerators.read_ahead.asking import MOST_ROWS, Asking
from openmetadata_bulksink.accelerators.read_ahead.guesses import Guesses, Job
from openmetadata_bulksink.accelerators.read_ahead.learning import Learning
from openmetadata_bulksink.accelerators.read_ahead.templates import Asked, Place, Row
from openmetadata_bulksink.accelerators.read_ahead.texts import Statement, key_of, may_be_ahead, reads
from openmetadata_bulksink.accelerators.read_ahead.worth import Worth
from openmetadata_bulksink.log import log

#: Seconds between attempts after our connections were closed: a database notices that a little later.
_UNTIL_THERE_IS_ROOM = (0.02, 0.05, 0.1, 0.2, 0.4)

#: Options of a statement that wants its own cursor.
_OWN_CURSOR = ("stream_results", "yield_per", "max_row_buffer")
#: Levels at which a transaction may see what is there for each statement.
_EACH_SEES = frozenset({None, "AUTOCOMMIT", "READ COMMITTED", "READ UNCOMMITTED"})
#: In the `info` of a connection that has a state of its own from now on.
_HAS_STATE = "openmetadata_bulksink.has_state"
#: When a statement was sent, in its context.
_SENT_AT = "_bulksink_read_ahead_sent_at"


class Reader:
    """connections: how many may be opened."""

    def __init__(self, engine: Any, connections: int) -> None:
        self.engine = engine
        self._connections = connections
        self._process, self._thread = os.getpid(), threading.get_ident()
        quoting = engine.dialect.identifier_preparer
        self._learning, self._worth, self._guesses = Learning(quoting), Worth(connections), Guesses(quoting)
        self._asking: Asking | None = None
        self._is_open = True
        self._has_asked = self._has_ended = False
        self._expected: deque[tuple[Place, Hashable]] = deque()
        self._jobs: dict[Place, Job] = {}
        self._at: tuple[Place, Hashable] | None = None
        self._asked: list[Asked] = []
        self._sent = self._missed = 0
        self._answer: tuple[Any, Sequence[Row]] | None = None
        self._listen("listen")

    @property
    def window(self) -> int | None:
        """How many tables are wanted ahead; None: no more."""
        return self._worth.window if self._is_open and self._worth.end is None else None

    def end_if_over(self) -> None:
        """Say it where no more is asked ahead, and give the connections back. To be called between tables, also once
        nobody is told of them any more.
        """
        if self._worth.end is not None and not self._has_ended and self._is_mine():
            self._end()

    # --- whose turn it is ---

    def expect(self, tables: list[tuple[Place, Hashable]]) -> None:
        """Tables that come, with their kinds."""
        self._expected.extend(tables)
        self._ask_ahead()

    def turn(self, table: tuple[Place, Hashable] | None) -> None:
        """Whose turn it is from now on; None: no table's."""
        self._table_ends()
        self._at = table
        if table is None:
            return
        while self._expected and self._expected[0] != table and table in self._expected:
            self._expected.popleft()
        if self._expected and self._expected[0] == table:
            self._expected.popleft()
        self._ask_ahead()

    def _table_ends(self) -> None:
        if self._at is None:
            return
        place, kind = self._at
        if self._learning.wants(kind):
            self._learning.table_was_read(kind, place, self._asked)
        job = self._jobs.pop(place, None)
        if job is not None:
            self._worth.was_for_nothing(self._guesses.drop([job]))
            self._learning.table_was_guessed(kind, self._sent, self._missed)
        self._at, self._asked, self._sent, self._missed = None, [], 0, 0

    def _ask_ahead(self) -> None:
        self.end_if_over()
        if not self._worth.pays or self.window is None:
            return
        for table in [one for one in self._expected if self._learning.plan(one[1]) is not None]:
            if len(self._jobs) >= self._worth.window:
                return
            self._expected.remove(table)
            plan = self._learning.plan(table[1])
            if plan:
                self._put(Job(table[0], plan))

    def _put(self, job: Job) -> None:
        if self._asking is None:
            log.info("read_ahead asks for the tables that come on up to %s connections of its own.", self._connections)
            self._asking = Asking(self.engine, self._connections, self._guesses, self._worth.all_refused)
            self._has_asked = True
        self._jobs[job.place] = job
        self._guesses.announce(job)
        self._asking.put(job)

    def _end(self) -> None:
        """With a line, while the source goes on."""
        self._has_ended = True
        log.warning("read_ahead ends for this source: %s. Statements are sent in their turn.", self._worth.end)
        self._stop_asking()
        self._at, self._asked = None, []  # it may be told of no other table

    def _stop_asking(self) -> None:
        self._worth.was_for_nothing(self._guesses.drop(self._jobs.values()))
        self._jobs.clear()
        self._expected.clear()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.close()

    # --- what SQLAlchemy tells ---

    def _listen(self, verb: str) -> None:
        do = getattr(loaded("sqlalchemy.event"), verb)
        do(self.engine, "do_execute", self._execute)
        do(self.engine, "do_execute_no_params", self._execute_no_params)
        do(self.engine, "after_cursor_execute", self._executed)
        do(self.engine, "do_connect", self._connect)

    def _connect(self, dialect: Any, _: Any, arguments: Any, named: Any) -> Any:
        """A connection for upstream; None: SQLAlchemy makes it. A database may give so many and no more: where ours
        stand in the way of one of upstream's, ours end. That makes room once; where there are none of ours, upstream
        is refused at once.
        """
        if self._asking is None or not self._asking.is_at_work or not self._is_mine():
            return None
        try:
            return dialect.connect(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - without ours it is upstream's, whatever it is
            log.debug("read_ahead makes room for a connection of upstream's: %s", type(error).__name__)
        self._worth.stood_in_the_way()
        self.end_if_over()
        for pause in _UNTIL_THERE_IS_ROOM:
            time.sleep(pause)
            try:
                return dialect.connect(*arguments, **named)
            except Exception as error:  # noqa: BLE001 - SQLAlchemy tries once more, and upstream meets what there is
                log.debug("upstream's connection is still refused: %s", type(error).__name__)
        return None

    def _execute_no_params(self, cursor: Any, text: str, context: Any) -> bool:
        return self._execute(cursor, text, None, context)

    def _execute(self, cursor: Any, text: str, parameters: Any, context: Any) -> bool:
        """Whether the statement has its answer; else SQLAlchemy sends it."""
        self._answer = None
        if not self._is_mine():
            return False
        setattr(context, _SENT_AT, time.perf_counter())
        key = key_of(Statement(text, parameters))
        if key is None or not self._guesses.is_announced(key) or self._worth.end or _wants_its_own(context):
            return False
        guess = self._guesses.take(key)
        if guess is None:
            return False
        if not self._guesses.wait(guess, self._worth.patience):
            if guess.done.is_set():
                self._worth.was_for_nothing()
            else:
                self._worth.was_stuck()
            return False
        self._worth.was_used()
        _give(context, cursor, guess.rows, guess.description)
        self._answer = (context, guess.rows)
        return True

    def _executed(self, connection: Any, cursor: Any, text: str, parameters: Any, context: Any, many: bool) -> None:
        """SQLAlchemy's event after a statement, whoever answered it."""
        if context is None or not self._is_mine():
            return
        if many or not reads(text):
            connection.info[_HAS_STATE] = True
            return
        answered = self._answer is not None and self._answer[0] is context
        if not answered:
            sent_at = getattr(context, _SENT_AT, None)
            if sent_at is not None:
                self._worth.took(time.perf_counter() - sent_at)
        if self._at is None or not may_be_ahead(text):
            return
        self._sent += 1
        self._missed += not answered
        if self._learning.wants(self._at[1]) and not _wants_its_own(context):
            rows = self._answer[1] if answered and self._answer is not None else _rows_of(cursor)
            self._asked.append(Asked(Statement(text, parameters), rows))

    def _is_mine(self) -> bool:
        return self._is_open and threading.get_ident() == self._thread and os.getpid() == self._process

    # --- the end ---

    def close(self) -> None:
        """Leave the engine as it was, before upstream closes its connections."""
        if not self._is_open:
            return
        self.end_if_over()
        self._is_open = False
        if os.getpid() != self._process:
            return
        self._listen("remove")
        self._stop_asking()
        if self._has_asked:
            log.info(
                "read_ahead: %s statements were answered ahead of their turn, %s were sent for nothing.",
                self._worth.used,
                self._worth.unused,
            )


def _wants_its_own(context: Any) -> bool:
    options = context.execution_options
    return (
        context._is_server_side
        or any(options.get(name) for name in _OWN_CURSOR)
        or options.get("isolation_level") not in _EACH_SEES
        or _HAS_STATE in context.root_connection.info
    )


def _give(context: Any, cursor: Any, rows: Sequence[Row], description: Any) -> None:
    """Rows that are here, in SQLAlchemy's own way of having them before the result is asked for."""
    strategy = loaded("sqlalchemy.engine.cursor").FullyBufferedCursorFetchStrategy
    context.cursor_fetch_strategy = strategy(cursor, description, rows)
    context._rowcount = len(rows)


def _rows_of(cursor: Any) -> Sequence[Row] | None:
    """The rows of a statement that was sent; the cursor is at its first row again."""
    if cursor.description is None or not 0 <= cursor.rowcount <= MOST_ROWS:
        return None
    if cursor.rowcount == 0:
        return []
    rows: Sequence[Row] = cursor.fetchall()
    cursor.scroll(0, mode="absolute")
    return rows
