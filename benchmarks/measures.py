"""Medians and their spread, and how a person reads them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """A few measurements of one thing."""

    median: float
    least: float
    most: float
    count: int

    def text(self, unit: str = "s", digits: int = 1) -> str:
        """`12.3 s (12.1-12.8)`; without a range where there was one measurement only."""
        middle = f"{self.median:.{digits}f} {unit}"
        if self.count < 2:
            return middle
        return f"{middle} ({self.least:.{digits}f}-{self.most:.{digits}f})"

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {"median": self.median, "least": self.least, "most": self.most, "count": self.count}


def spread(values: Iterable[float]) -> Spread:
    """Of at least one value."""
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1], len(found))
