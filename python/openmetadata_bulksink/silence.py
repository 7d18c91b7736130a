"""Upstream is silent while a command runs: what it logs may hold a token, what it warns of is no matter of the user's.
What matters of it, the command says.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_silence = ExitStack()


@contextmanager
def upstream_is_silent() -> Iterator[None]:
    """No line of a log and no warning, until the end or `broken`."""
    with _silence:
        _silence.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        _silence.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def broken() -> None:
    """For a process that was forked within, whose log is its own."""
    _silence.close()
