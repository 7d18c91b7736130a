"""Ctrl-C in a running ingestion, until it was noticed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.ingest.child import LOOP_LEFT
from tests.ingest.runs import Session


def until_it_waits(pid: int, *, unless: Callable[[], bool] = bool) -> None:
    """Returns when a process has computed next to nothing for a while, has ended, or something else has come true."""
    used, idle = 0, 0
    while idle < 8 and not unless():
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        before, used = used, int(fields[11]) + int(fields[12])
        idle = idle + 1 if used - before <= 1 or fields[0] == "Z" else 0
        time.sleep(0.1)


def interrupt(session: Session, output: Path) -> None:
    """Presses Ctrl-C, and again where the process dropped it and went on.

    CPython ignores what a handler raises while a finaliser or a callback of a weak reference runs, and the first full
    collection after upstream's imports, a third of a second, has some.
    """

    def has_left() -> bool:
        return f"{LOOP_LEFT}KeyboardInterrupt" in output.read_text()

    for _ in range(5):
        os.kill(session.pid, signal.SIGINT)
        until_it_waits(session.pid, unless=has_left)
        if has_left():
            return
    raise AssertionError("the source loop goes on after five times Ctrl-C")
