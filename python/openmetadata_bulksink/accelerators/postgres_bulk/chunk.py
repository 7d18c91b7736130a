"""A chunk: tables of one schema that are read together, and their answers. Pure: nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openmetadata_bulksink.accelerators.postgres_bulk.questions import Answer

#: A chunk has at most so many tables, and so many columns where it has more than one table.
MOST_TABLES = 250
MOST_COLUMNS = 20_000

#: For fewer tables a chunk costs more statements than it saves.
FEWEST_TABLES = 2

#: So many chunks in a row that gave less than half of their tables: no more of them.
MOST_FAILURES = 3

#: Statements that may be spent in one chunk to find out which tables make a question fail.
MOST_TRIES = 16


class Relation(NamedTuple):
    """A table as the chunk finds it. is_partitioned: upstream's look-up of partitions would find it."""

    number: int
    name: str
    columns: int
    is_partitioned: bool


@dataclass
class Chunk:
    """What was read of some tables in one snapshot. names: those that it was read for. relations: those of them whose
    answers are all here. partitions: what upstream's look-up found, for those that have some.
    """

    schema: str
    engine: Any
    names: frozenset[str]
    relations: dict[str, Relation] = field(default_factory=dict)
    answers: dict[Hashable, Answer] = field(default_factory=dict)
    partitions: dict[str, Any] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        """Whether it was read for this table, too."""
        return name in self.names

    def relation(self, name: str) -> Relation | None:
        """A table whose answers are all here."""
        return self.relations.get(name)

    def lose(self, numbers: Iterable[int]) -> None:
        """All answers for these tables, because one of them is not here: no table has answers of two kinds."""
        lost = set(numbers)
        self.relations = {name: one for name, one in self.relations.items() if one.number not in lost}


class Expected:
    """The names that come, of one schema, in their order."""

    def __init__(self) -> None:
        self._schema: str | None = None
        self._names: list[str] = []

    def add(self, schema: str, names: Sequence[str]) -> None:
        """More names; those of another schema replace the ones that are left."""
        if schema != self._schema:
            self._schema, self._names = schema, []
        self._names += names

    def take(self, schema: str, name: str) -> list[str]:
        """The names of the next chunk, which begins with this one; none where nobody knows that it comes. Those before
        it are forgotten.
        """
        if schema != self._schema or name not in self._names:
            return []
        del self._names[: self._names.index(name)]
        return self._names[:MOST_TABLES]

    def drop(self, names: Iterable[str]) -> None:
        """Forget names that were taken."""
        gone = set(names)
        self._names = [name for name in self._names if name not in gone]


def that_fit(names: Sequence[str], found: Iterable[Relation]) -> tuple[list[Relation], list[str]]:
    """The first tables, in the order of their names, with as many columns as a chunk may have; and the names that the
    chunk takes, which holds those that were not found.
    """
    by_name = {relation.name: relation for relation in found}
    chosen: list[Relation] = []
    taken: list[str] = []
    columns = 0
    for name in names:
        relation = by_name.get(name)
        if relation is not None:
            columns += max(relation.columns, 0)
            if chosen and columns > MOST_COLUMNS:
                break
            chosen.append(relation)
        taken.append(name)
    return chosen, taken


def find_out(
    numbers: Sequence[int], ask: Callable[[Sequence[int]], Answer | None], join: Callable[[Answer, Answer], Answer]
) -> tuple[Answer | None, list[int]]:
    """Ask in halves, and halves of halves, for tables of which some make the question fail. ask: the answer, or None
    where it failed; called at most MOST_TRIES times. Returns the answer for those that have one, and the others.
    """
    answer: Answer | None = None
    lost: list[int] = []
    waiting = [list(numbers)]
    for _ in range(MOST_TRIES):
        if not waiting:
            break
        part = waiting.pop(0)
        got = ask(part)
        if got is not None:
            answer = got if answer is None else join(answer, got)
        elif len(part) == 1:
            lost += part
        else:
            middle = len(part) // 2
            waiting += [part[:middle], part[middle:]]
    for part in waiting:
        lost += part
    return answer, lost
