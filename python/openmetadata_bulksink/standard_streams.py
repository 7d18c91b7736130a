"""Standard input, output and error of a process that was started without one of them, with one that takes few letters,
or whose reader has gone.

Python has nothing in its place then, and the next file or pipe that is opened gets its number: what a child prints
would go into it. So what is missing is the null device, as most programs that start others make it themselves.
"""

from __future__ import annotations

import io
import os
import sys

_missing: set[str] = set()


def complete() -> None:
    """Before anything is opened. A name that the encoding of an output does not know is escaped, and ends nothing."""
    _open_what_is_missing()
    for stream in (sys.stdout, sys.stderr):
        # What a test or a notebook has put there may be none of Python's own, and takes any text.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _open_what_is_missing() -> None:
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is not None:
            continue
        _missing.add(name)
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def is_missing(name: str) -> bool:
    """Whether this process was started without it: `stdout`."""
    return name in _missing


def let_go() -> None:
    """What nobody takes (`| head`, a full disk) is dropped: tried again at the end of the process, it would be the exit
    status.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
