"""The console of all runs."""

from __future__ import annotations

from rich.console import Console

# Where nobody's terminal sets a width, a table of a dozen columns must fit.
_WIDTH_WITHOUT_TERMINAL = 190


def screen() -> Console:
    """As wide as the terminal, or wide enough."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_WITHOUT_TERMINAL)
