"""What a run in shards took, for JSON and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import markdown

#: Of the work of one shard.
MOST = {2: 0.65, 4: 0.48}

_HEAD = ("source", "statements ahead", "by", "shards", "work", "of one", "start-up", "whole")


@dataclass(frozen=True)
class Took:
    """Seconds. work: from the first shard's first statement to the last one's last request; of shards that start by
    themselves, the longest one's. start_up: of one process, until it can do anything. whole: from the command to its
    end.
    """

    work: float
    start_up: float
    whole: float


@dataclass(frozen=True)
class Row:
    """ahead: with what reads a schema at once, or ahead."""

    source: str
    ahead: bool
    by: str
    shards: int
    took: Took

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        seconds = {f"{name}_s": round(value, 1) for name, value in vars(self.took).items()}
        return {"source": self.source, "ahead": self.ahead, "by": self.by, "shards": self.shards, **seconds}


def cells(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A table, its head first. rows: as in the file of results."""
    one = {(row["source"], row["ahead"]): row["work_s"] for row in rows if row["shards"] == 1}
    return [
        _HEAD,
        *(
            (
                row["source"],
                "yes" if row["ahead"] else "no",
                row["by"],
                str(row["shards"]),
                f"{row['work_s']:.1f} s",
                f"{row['work_s'] / one[row['source'], row['ahead']]:.2f}",
                f"{row['start_up_s']:.1f} s",
                f"{row['whole_s']:.1f} s",
            )
            for row in rows
        ),
    ]


def lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The same for docs/scaling.md."""
    return markdown.table(cells(rows), left=(0, 1, 2))
