"""Tables of Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(cells: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """The lines of a table, its head first; columns that are not named in `left` stand on the right."""
    head, *body = cells
    rule = "|" + "".join("---|" if number in left else "---:|" for number in range(len(head)))
    return ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in body)]
