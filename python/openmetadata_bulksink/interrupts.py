"""SIGTERM and SIGHUP as what Ctrl-C is to the commands: an exception, so that they end in order."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

#: What ends a process that does nothing about it: a runner's end, and that of the terminal.
_ENDING: tuple[int, ...] = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

#: Seconds in which what was raised has left the work that it ends, or had no effect.
_ON_ITS_WAY = 1.0


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came, or whoever started this process is gone."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = number


def _interrupt(number: int) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _handle(number: int, _: object) -> None:
    if _is_repeated(number):
        signal.signal(number, signal.SIG_IGN)
    _interrupt(number)


def _is_repeated(number: int) -> bool:
    """A terminal that is closed says so more than once (its shell does, too), and nobody there asks for haste."""
    return number not in (signal.SIGINT, signal.SIGTERM)


def _unhandled(*numbers: int) -> list[int]:
    """Those that nobody else handles, or ignores as `nohup` does; none beside the main thread, where none can come."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [one for one in numbers if signal.getsignal(one) in (signal.SIG_DFL, signal.default_int_handler)]


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end everything as Ctrl-C does: orderly. Only where nobody else handles them."""
    numbers = _unhandled(*_ENDING)
    for number in numbers:
        signal.signal(number, _handle)
    try:
        yield
    finally:
        if numbers:  # else they are somebody's around this
            signals_end_again()


def signals_end_again() -> None:
    """Those that were made exceptions of end this process at once: behind the block, and in a forked child. What is
    ignored since it came stays so: the process is at its end.
    """
    for number in _ENDING:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL)


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP in a block whose end must not be cut off.

    The first is raised. Those that follow while it is on its way out are counted, and so are all from `hold` on, which
    the end begins with: so no second one comes through between the first and the end. Where the first had no effect
    (Python drops what is raised in a finaliser) the next one is raised. What came in an end is raised behind the block,
    unless that raises something else.
    """

    def __init__(self) -> None:
        self._came: list[int] = []
        self._raised_at: float = 1
        self._on_its_way_until = -math.inf
        self._before: dict[int, Any] = {}

    @property
    def came(self) -> int:
        """How many came so far."""
        return len(self._came)

    def __enter__(self) -> Interrupts:
        for number in _unhandled(signal.SIGINT, *_ENDING):
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.hold()
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if _is_repeated(number) and number in self._came else handler)
        if self._came and kind is None:
            _interrupt(self._came[0])

    def _take(self, number: int, _: object) -> None:
        if self._came and _is_repeated(number):
            return
        self._came.append(number)
        self._raise(number)

    def _raise(self, number: int) -> None:
        now = time.monotonic()
        if self.came >= self._raised_at and now >= self._on_its_way_until:
            self._on_its_way_until = now + _ON_ITS_WAY
            _interrupt(number)

    def hold(self) -> None:
        """None is raised from now on."""
        self._raised_at = math.inf

    def raise_at(self, count: int) -> int:
        """The one that makes it so many is raised, and each later one. Returns how many that are from now on; at least
        one.
        """
        self._on_its_way_until = -math.inf
        more = max(count - self.came, 1)
        self._raised_at = self.came + more
        return more

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What comes in the block is raised behind it."""
        before, already = self._raised_at, self.came
        self.hold()
        try:
            yield
        finally:
            self._raised_at = before
        if self.came > already:
            self._raise(self._came[-1])


def signal_of(how: KeyboardInterrupt) -> signal.Signals:
    """What was made an exception of."""
    return signal.Signals(how.number) if isinstance(how, Terminated) else signal.SIGINT


def end_by(number: int) -> NoReturn:
    """End this process by a signal. The kernel keeps it from the first process of a container, which then ends with the
    status that a shell has for such an end. Only on the main thread.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(128 + number)
