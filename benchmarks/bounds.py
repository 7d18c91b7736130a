"""Something that must hold, and how a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console


@dataclass(frozen=True)
class Bound:
    """A measured value and its limit."""

    text: str
    value: float
    limit: float
    unit: str = "s"

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.value <= self.limit

    def line(self) -> str:
        """For people."""
        mark = "holds" if self.holds else "MISSED"
        return f"{self.text}: {self.value:.2f} {self.unit} <= {self.limit:.2f} {self.unit}: {mark}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "holds": self.holds}


def conclude(console: Console, bounds: Sequence[Bound]) -> int:
    """Prints them; 1 where one is missed."""
    for bound in bounds:
        console.print(bound.line(), style="green" if bound.holds else "bold red", highlight=False)
    return 0 if all(bound.holds for bound in bounds) else 1
