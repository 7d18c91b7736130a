"""Calls a token callable on a thread of its own; used by the native module after an answer of 401.

The thread is Python's and a daemon: a callable that blocks holds up neither a run nor the end of the interpreter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def start(callable_: Callable[[], str], done: Callable[[str | None, str | None], object]) -> None:
    """Call `callable_`, then `done` with its token, or with None and what went wrong in words. Returns at once."""
    threading.Thread(target=_call, args=(callable_, done), name="bulksink-token", daemon=True).start()


def _call(callable_: Callable[[], str], done: Callable[[str | None, str | None], object]) -> None:
    try:
        token = callable_()
    except BaseException as error:  # noqa: BLE001 - whatever it raises must reach the engine as words
        # Only the kind: its text may hold the token that it failed to renew.
        done(None, f"the token callable raised {type(error).__name__}")
    else:
        done(token, None)
