"""`OM_BULKSINK_TERM_GRACE=SECONDS`: what is pending is delivered after SIGTERM, for so long (Kubernetes, systemd).

Without it a process that is ended by SIGTERM loses what it has not delivered, as upstream's does. Only in the main
thread. Where the runner has a handler of its own, that one is called afterwards; else the process ends by the signal,
as it would have; the first process of a container, which would not have, ends with status 143.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from openmetadata_bulksink.accelerators import Undo
from openmetadata_bulksink.interrupts import end_by
from openmetadata_bulksink.log import log

#: Who else is told how many records were not delivered.
listeners: list[Callable[[int], None]] = []


def install(deliver: Callable[[float], int], seconds: float) -> list[Undo]:
    """Handle SIGTERM from now on, where that is possible; what takes it out again.

    deliver: writes what is pending for at most so many seconds, and returns how many records were not delivered.
    """
    if threading.current_thread() is not threading.main_thread():
        log.warning("OM_BULKSINK_TERM_GRACE has no effect: the sink was not started on the main thread")
    return before_the_end(lambda: _say(deliver(seconds), seconds))


def before_the_end(action: Callable[[], None]) -> list[Undo]:
    """Do something when SIGTERM comes, before it has its effect, where that is possible: on the main thread; what takes
    that out again.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    before = signal.getsignal(signal.SIGTERM)
    if before is None or before is signal.SIG_IGN:
        return []
    owner = os.getpid()

    def handle(number: int, frame: Any) -> None:
        take_out()
        if os.getpid() == owner:
            action()
        if callable(before):
            before(number, frame)
        else:
            end_by(number)

    def take_out() -> None:
        if signal.getsignal(signal.SIGTERM) is handle:
            signal.signal(signal.SIGTERM, before)

    signal.signal(signal.SIGTERM, handle)
    return [take_out]


def _say(left: int, seconds: float) -> None:
    for listener in listeners:
        listener(left)
    if left:
        log.warning("SIGTERM: %d records were not delivered within %g s (OM_BULKSINK_TERM_GRACE)", left, seconds)
    else:
        log.info("SIGTERM: everything that was pending has been delivered")
