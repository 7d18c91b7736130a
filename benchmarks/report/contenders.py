"""Who takes part, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["extraction", "sequential", "asynchronous", "two phase", "upstream", "ours"]

PYTHON_DESIGNS: tuple[Kind, ...] = ("sequential", "asynchronous", "two phase")


@dataclass(frozen=True)
class Contender:
    """One row of the table. key: short, for files and options."""

    key: str
    title: str
    kind: Kind
    workers: int = 1
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def is_python_design(self) -> bool:
        """One of the small sinks of `benchmarks/designs`."""
        return self.kind in PYTHON_DESIGNS


def contenders(upstream: str) -> list[Contender]:
    """All of them."""
    ours = [
        Contender(f"ours-{count}", f"openmetadata-bulksink, {count} workers", "ours", count, _workers(count))
        for count in (2, 4, 8)
    ]
    return [
        Contender("extraction", "extraction alone", "extraction"),
        Contender("sequential", "Python, one request a table", "sequential"),
        Contender("asynchronous", "Python, 2 workers, life cycles at once", "asynchronous", 2),
        Contender("two-phase-2", "Python, 2 workers, two-phase", "two phase", 2),
        Contender("two-phase-4", "Python, 4 workers, two-phase", "two phase", 4),
        Contender("upstream", f"upstream {upstream}", "upstream", 1, {"OM_BULKSINK": "0"}),
        *ours,
    ]


def _workers(count: int) -> dict[str, str]:
    return {"OM_BULKSINK_WORKERS": str(count)}
