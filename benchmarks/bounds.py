"""Something that must hold, and how a person reads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# A run by itself keeps about so many processes busy beyond the cores, at the most.
_LOAD_OF_A_RUN = 1.0

# What comes in fractions; everything else is counted.
_FINE_UNITS = ("s", "ms", "us", "%", "MB", "times")


def in_unit(number: float, unit: str) -> str:
    """A figure as people read it."""
    digits = 2 if unit in _FINE_UNITS else 0
    return f"{number:,.{digits}f} {unit}".strip()


@dataclass(frozen=True)
class Figure:
    """A measured value that nothing is demanded of."""

    text: str
    value: float
    unit: str = "s"

    def line(self) -> str:
        """For people."""
        return f"{self.text}: {in_unit(self.value, self.unit)}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Bound:
    """A measured value and its limit. beside: what upstream's sink has in the same unit, where it was measured too."""

    text: str
    value: float
    limit: float
    unit: str = "s"
    beside: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.value <= self.limit

    def line(self) -> str:
        """For people."""
        value, limit = (in_unit(number, self.unit) for number in (self.value, self.limit))
        return f"{self.text}: {value} <= {limit}: {'holds' if self.holds else 'MISSED'}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "holds": self.holds}


def conclude(console: Console, bounds: Sequence[Bound]) -> int:
    """Prints them; 1 where one is missed."""
    for bound in bounds:
        console.print(bound.line(), style="green" if bound.holds else "bold red", highlight=False)
    if all(bound.holds for bound in bounds):
        return 0
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load > cores + _LOAD_OF_A_RUN:
        console.print(
            f"The load average is {load:.1f} on {cores} cores: other processes were at work, and times are longer than "
            "they would be alone. Measure again when the machine is quiet.",
            highlight=False,
        )
    return 1
