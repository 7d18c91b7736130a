"""What the reference server's log says about a run: how many requests of which kind, and how many at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]

# Requests that write or read entities; not those that ask for versions or report a pipeline's state.
WRITING = ("bulk", "single", "life_cycle", "patch", "get")


def by_class(log: Iterable[Entry]) -> dict[str, int]:
    """Requests of each class."""
    return dict(sorted(Counter(str(entry["class"]) for entry in log).items()))


def by_status(log: Iterable[Entry]) -> dict[str, int]:
    """Answers of each status, but 200 and 201."""
    counts = Counter(int(entry["status"]) for entry in log)
    return {str(status): count for status, count in sorted(counts.items()) if status not in (200, 201)}


def rows(log: Iterable[Entry], collection: str | None = None) -> int:
    """Rows of bulk requests."""
    return sum(
        int(entry["rows"])
        for entry in log
        if entry["class"] == "bulk" and (collection is None or entry["collection"] == collection)
    )


def mean_batch(log: Sequence[Entry], collection: str = "tables") -> float | None:
    """Rows of a bulk request on the average; None without any."""
    sizes = [int(entry["rows"]) for entry in log if entry["class"] == "bulk" and entry["collection"] == collection]
    return sum(sizes) / len(sizes) if sizes else None


def in_flight(log: Iterable[Entry], origin_ms: float = 0.0) -> list[tuple[float, int]]:
    """(seconds after the origin, requests in flight from then on), one step for each change."""
    changes: Counter[float] = Counter()
    for entry in log:
        changes[float(entry["t_start_ms"])] += 1
        changes[float(entry["t_end_ms"])] -= 1
    steps = []
    number = 0
    for moment, change in sorted(changes.items()):
        if change:
            number += change
            steps.append(((moment - origin_ms) / 1000, number))
    return steps


def most_in_flight(log: Iterable[Entry]) -> int:
    """The highest step."""
    return max((number for _, number in in_flight(log)), default=0)


def busy_seconds(log: Iterable[Entry]) -> float:
    """The sum of all requests' times: what the server worked."""
    return sum(float(entry["t_end_ms"]) - float(entry["t_start_ms"]) for entry in log) / 1000
