"""SIGTERM as what Ctrl-C is to the commands: an exception, so that they end in order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM came, or whoever started this process is gone."""


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """SIGTERM ends everything as Ctrl-C does: orderly. Only where nobody else handles it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(*_: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def signal_of(how: KeyboardInterrupt) -> signal.Signals:
    """What was made an exception of."""
    return signal.SIGTERM if isinstance(how, Terminated) else signal.SIGINT


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
