"""What is asked for each table of a kind: learned from one table, and believed where the next one asks the same.

A statement that belongs to a schema is asked once, so the second table does not confirm it. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from openmetadata_bulksink.accelerators.read_ahead.templates import Asked, Place, Quoting, Row, Step, filled, steps_of
from openmetadata_bulksink.accelerators.read_ahead.texts import key_of, may_be_ahead

#: How often a kind is learned anew.
_MOST_LESSONS = 20


class _Kind:
    """What is known of the tables of a kind."""

    def __init__(self) -> None:
        self.plan: list[Step] | None = None
        self.first: list[Step] | None = None
        self.lessons = 0
        self.learns = True


class Learning:
    """The kinds of one source."""

    def __init__(self, quoting: Quoting) -> None:
        self._quoting = quoting
        self._kinds: dict[Hashable, _Kind] = {}

    def plan(self, kind: Hashable) -> list[Step] | None:
        """What to ask for a table of a kind; None: not known yet."""
        return self._of(kind).plan

    def wants(self, kind: Hashable) -> bool:
        """Whether the rows of the next table of a kind are to be kept."""
        return self._of(kind).learns

    def table_was_read(self, kind: Hashable, place: Place, asked: Sequence[Asked]) -> None:
        """Learn from a table whose rows were kept."""
        known = self._of(kind)
        if not known.learns:
            return
        ahead = [one for one in asked if may_be_ahead(one.statement.text)]
        if known.first is None:
            known.lessons += 1
            known.first = steps_of(ahead, place, self._quoting)
            return
        plan = _confirmed(known.first, place, ahead, self._quoting)
        known.first = None
        if plan or known.lessons >= _MOST_LESSONS:
            known.learns = False
            known.plan = plan

    def table_was_guessed(self, kind: Hashable, asked: int, missed: int) -> None:
        """Learn anew where most of what a table asked had not been guessed."""
        known = self._of(kind)
        if 2 * missed > asked and known.lessons < _MOST_LESSONS:
            known.learns = True

    def _of(self, kind: Hashable) -> _Kind:
        return self._kinds.setdefault(kind, _Kind())


def _confirmed(steps: list[Step], place: Place, asked: Sequence[Asked], quoting: Quoting) -> list[Step]:
    """Those steps that, filled for this table, are what it asked."""
    counts: Counter[Hashable] = Counter()
    rows: dict[Hashable, Sequence[Row]] = {}
    for statement, found in asked:
        key = key_of(statement)
        counts[key] += 1
        if found is not None:
            rows[key] = found
    kept: list[Step] = []
    answers: dict[int, Sequence[Row]] = {}
    for step in steps:
        guess = filled(step, place, quoting, answers)
        key = None if guess is None else key_of(guess)
        if key is None or not counts[key]:
            continue
        counts[key] -= 1
        kept.append(step)
        if key in rows:
            answers[step.number] = rows[key]
    return kept
