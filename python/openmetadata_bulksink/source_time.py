"""Where the time of a run went, as seen from the source's thread: waiting for its database, computing, blocked by the
sink.

Statements are timed by SQLAlchemy's own events. They see what the source sends, on whatever engine; a source that does
not use SQLAlchemy has none. Nothing here changes a statement.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

#: A wait that is worth a hint: so many seconds, so large a share of the run, so long a statement.
_SECONDS, _SHARE, _STATEMENT = 5.0, 0.3, 0.002


class Spent(NamedTuple):
    """Seconds of one run. computed: of the thread that made the sink; None where another one closed it.
    statements, waited: of all threads, for the source's database. stood_still: of that, the thread that made the sink,
    without what it computed meanwhile. processor: how long that thread waited for a processor; None where the system
    does not say, or another thread asks. failed, in_vain: statements that ended without an answer, and their time,
    which is in stood_still and not in waited. threads: how many sent statements.
    """

    wall: float
    computed: float | None
    statements: int
    waited: float
    stood_still: float = 0.0
    processor: float | None = None
    failed: int = 0
    in_vain: float = 0.0
    threads: int = 1


class Idle:
    """How long the thread that made it stood still between each `begin` and its `end`: wall time without the thread's
    own CPU time. Other threads may call them, and add nothing.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._seconds = 0.0
        #: Wall and CPU time from when on the thread stands still, while it does.
        self._since: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        """Up to now: who asks may be the handler of a signal that came in the middle."""
        return self._seconds + self._passed()

    def begin(self) -> None:
        """The thread waits for something from now on."""
        if threading.get_ident() == self._thread:
            self._since = time.perf_counter(), time.thread_time()

    def end(self) -> None:
        """The thread goes on."""
        if threading.get_ident() == self._thread:
            self._seconds += self._passed()
            self._since = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens in here is something else, though in the middle of it: a signal's handler that drains."""
        stands_still = self._since is not None
        self.end()
        try:
            yield
        finally:
            if stands_still:
                self.begin()

    def _passed(self) -> float:
        if self._since is None or threading.get_ident() != self._thread:
            return 0.0
        wall, computed = self._since
        return max(0.0, time.perf_counter() - wall - (time.thread_time() - computed))


class SourceTime:
    """Counts from now on, until `end`."""

    def __init__(self) -> None:
        self._started, self._computed = time.perf_counter(), time.thread_time()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._statements, self._waited = 0, 0.0
        self._failures, self._in_vain = 0, 0.0
        self._threads: set[int] = set()
        #: In statements of the source.
        self.idle = Idle()
        self._processor = _processor()
        self._spent: Spent | None = None
        self._events = _events()
        #: Where the start of a statement is kept until its end: of this watch, there may be two.
        self._mark = f"_bulksink_started_{id(self)}"
        self._listen("listen")

    def end(self) -> Spent:
        """What was spent so far; nothing is counted from now on."""
        if self._spent is None:
            self._listen("remove")
            self._spent = self._so_far()
        return self._spent

    def so_far(self) -> Spent:
        """What was spent so far, or until the end."""
        return self._spent or self._so_far()

    def _so_far(self) -> Spent:
        same = threading.get_ident() == self._thread
        now = _processor() if same else None
        processor = None if now is None or self._processor is None else now - self._processor
        stood_still = self.idle.seconds
        computed = time.thread_time() - self._computed if same else None
        wall = time.perf_counter() - self._started  # the last, so that no part is longer
        return Spent(
            wall,
            computed,
            self._statements,
            self._waited,
            stood_still,
            processor,
            self._failures,
            self._in_vain,
            max(1, len(self._threads)),
        )

    def _listen(self, verb: str) -> None:
        if self._events is not None:
            event, engine = self._events
            getattr(event, verb)(engine, "before_cursor_execute", self._before)
            getattr(event, verb)(engine, "after_cursor_execute", self._after)
            getattr(event, verb)(engine, "handle_error", self._failed)

    def _before(self, *arguments: Any) -> None:
        """SQLAlchemy's arguments: connection, cursor, statement, parameters, context, executemany."""
        context = arguments[4]
        if context is not None:
            setattr(context, self._mark, time.perf_counter())
            self.idle.begin()

    def _after(self, *arguments: Any) -> None:
        took = self._took(arguments[4])
        if took is not None:
            self.idle.end()
            with self._lock:
                self._statements += 1
                self._waited += took

    def _failed(self, failure: Any) -> None:
        """A statement that ends without an answer (a time-out, Ctrl-C) is none that was answered; its time is that of
        the database all the same. failure: SQLAlchemy's, of a statement or of a connection that is opened.
        """
        self.idle.end()
        took = self._took(failure.execution_context)
        if took is not None:
            with self._lock:
                self._failures += 1
                self._in_vain += took

    def _took(self, context: Any) -> float | None:
        """The seconds of a statement that ends; None where its start is not known, or its end is."""
        begun: float | None = getattr(context, self._mark, None)
        if begun is None:
            return None
        took = time.perf_counter() - begun
        delattr(context, self._mark)
        with self._lock:
            self._threads.add(threading.get_ident())
        return took


def _events() -> tuple[Any, Any] | None:
    """SQLAlchemy's module of events and the class of all engines; None where nobody has imported it."""
    engine = sys.modules.get("sqlalchemy.engine")
    event = sys.modules.get("sqlalchemy.event")
    return None if engine is None or event is None else (event, engine.Engine)


def _processor() -> float | None:
    """How long this thread has waited for a processor since it began; None where the system does not say (it is
    Linux's `schedstat`).
    """
    try:
        _, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
        return int(waited) / 1e9
    except (OSError, ValueError):
        return None


def sentence(spent: Spent, blocked: float) -> str:
    """For the line at the end. blocked: seconds in which the sink held the source up."""
    parts = []
    if spent.statements or spent.failed:
        parts.append(_waited(spent))
    if spent.computed is not None:
        parts.append(f"computed {spent.computed:.1f} s")
    parts.append(f"was blocked by the sink for {blocked:.1f} s")
    *first, last = parts
    return f"{spent.wall:.1f} s, in which the source {', '.join(first)}{' and ' if first else ''}{last}"


#: Seconds of failed statements.
_TOLD_FROM = 0.1


def _waited(spent: Spent) -> str:
    mean = 1000 * spent.waited / max(1, spent.statements)
    # Sources try what a database may not have: that it does not is worth a word where it took time.
    tells = spent.in_vain >= _TOLD_FROM
    in_vain = f"; {spent.failed:,} more failed after {spent.in_vain:.1f} s" if tells else ""
    return (
        f"waited {spent.waited + spent.in_vain:.1f} s{f' in {spent.threads} threads' if spent.threads > 1 else ''} "
        f"for its database ({spent.statements:,} statements, {mean:.1f} ms each{in_vain})"
    )


def hint(spent: Spent, connections: int | None) -> str | None:
    """The one thing to do where the source waited for most of the run; None where there is none. connections: how many
    for statements ahead are granted, None where that cannot be set. Several threads overlap their statements already,
    and what they waited together is no share of the run.
    """
    worth = spent.waited > max(_SECONDS, _SHARE * spent.wall) and spent.waited > _STATEMENT * spent.statements
    if connections is None or connections > 0 or spent.threads > 1 or not worth:
        return None
    return (
        f"the source waited {spent.waited:.0f} of {spent.wall:.0f} s in {spent.statements:,} statements: "
        "OM_BULKSINK_READ_AHEAD=4 overlaps them"
    )
