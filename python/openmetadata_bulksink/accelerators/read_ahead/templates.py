"""What a statement of one table looks like for another one.

Where the names of table and schema stand, a statement gets holes; a number that came with an earlier answer of the
same table gets the place of that answer. Filled for another table, the statement is a guess: it is used only if
upstream sends exactly that. So a template may be wrong; but it must not be dangerous. A name that could end a literal
or an identifier is never written into a text. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol

from openmetadata_bulksink.accelerators.read_ahead.texts import Statement

Row = Sequence[Any]

#: Smaller numbers are in many answers.
_LEAST_NUMBER = 10

_HARMLESS = re.compile(r"[^'\"`\\%;:\x00-\x1f\x7f]+\Z")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Quoting(Protocol):
    """How the dialect writes names: SQLAlchemy's `IdentifierPreparer`."""

    def quote_identifier(self, value: str) -> str:
        """With quotes."""

    def quote(self, ident: str) -> str:
        """With quotes where they are needed."""


class Place(NamedTuple):
    """A table."""

    schema: str
    table: str


class Form(Enum):
    """How a name is written."""

    QUOTED = "as an identifier in quotes"
    BARE = "as a word"
    LITERAL = "as a literal"
    VALUE = "as a parameter"


class Hole(NamedTuple):
    """Where a name of the place stands. of: the field of `Place`."""

    of: str
    form: Form


class Found(NamedTuple):
    """A value that is in the only row of an earlier step's answer."""

    step: int
    column: int


class Step(NamedTuple):
    """One statement of a table. parameters: as they were, with `Hole` and `Found` in them."""

    number: int
    text: tuple[str | Hole, ...]
    parameters: Any
    needs: frozenset[int]


class Asked(NamedTuple):
    """A statement that was sent for a table. rows: None where they were not kept."""

    statement: Statement
    rows: Sequence[Row] | None


def steps_of(asked: Iterable[Asked], place: Place, quoting: Quoting) -> list[Step]:
    """What was asked for one table, as templates."""
    if place.schema == place.table:
        return []
    steps: list[Step] = []
    answers: dict[int, Sequence[Row]] = {}
    for number, (statement, rows) in enumerate(asked):
        parameters = _marked(statement.parameters, place, answers)
        steps.append(Step(number, _holes(statement.text, place, quoting), parameters, frozenset(_needs(parameters))))
        if rows is not None:
            answers[number] = rows
    return steps


def filled(step: Step, place: Place, quoting: Quoting, answers: Mapping[int, Sequence[Row]]) -> Statement | None:
    """The statement for another table; None where an answer that it needs is not there, or a name is not written into
    a text.
    """
    parts = [part if isinstance(part, str) else _written(part, place, quoting) for part in step.text]
    if None in parts:
        return None
    try:
        return Statement(
            "".join(part for part in parts if part is not None), _unmarked(step.parameters, place, answers)
        )
    except LookupError:
        return None


def _holes(text: str, place: Place, quoting: Quoting) -> tuple[str | Hole, ...]:
    forms: dict[str, Hole] = {}
    for of, name in place._asdict().items():
        if not _HARMLESS.match(name):
            continue
        forms[quoting.quote_identifier(name)] = Hole(of, Form.QUOTED)
        forms[f"'{name}'"] = Hole(of, Form.LITERAL)
        if _PLAIN.match(name) and quoting.quote(name) == name:
            forms[name] = Hole(of, Form.BARE)
    if not forms:
        return (text,)
    # Longest first: a word may be a part of what is quoted.
    ways = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    pieces = re.split(rf"(?<![\w$])({ways})(?![\w$])", text)
    return tuple(forms.get(piece, piece) if at % 2 else piece for at, piece in enumerate(pieces))


def _written(hole: Hole, place: Place, quoting: Quoting) -> str | None:
    name: str = getattr(place, hole.of)
    if not _HARMLESS.match(name):
        return None
    if hole.form is Form.QUOTED:
        return quoting.quote_identifier(name)
    if hole.form is Form.LITERAL:
        return f"'{name}'"
    return name if _PLAIN.match(name) and quoting.quote(name) == name else None


def _marked(value: Any, place: Place, answers: Mapping[int, Sequence[Row]]) -> Any:
    if isinstance(value, Mapping):
        return {name: _marked(each, place, answers) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_marked(each, place, answers) for each in value])
    if isinstance(value, str):
        for of, name in place._asdict().items():
            if value == name:
                return Hole(of, Form.VALUE)
    if type(value) is int and value >= _LEAST_NUMBER:
        for step, rows in answers.items():
            if len(rows) == 1:
                for column, found in enumerate(rows[0]):
                    if type(found) is int and found == value:
                        return Found(step, column)
    return value


def _unmarked(value: Any, place: Place, answers: Mapping[int, Sequence[Row]]) -> Any:
    """Raises LookupError where an answer is not there."""
    if isinstance(value, Hole):
        return getattr(place, value.of)
    if isinstance(value, Found):
        rows = answers[value.step]
        if len(rows) != 1:
            raise LookupError
        return rows[0][value.column]
    if isinstance(value, dict):
        return {name: _unmarked(each, place, answers) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_unmarked(each, place, answers) for each in value])
    return value


def _needs(value: Any) -> Iterable[int]:
    if isinstance(value, Found):
        yield value.step
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _needs(each)
    elif isinstance(value, (list, tuple)) and not isinstance(value, Hole):
        for each in value:
            yield from _needs(each)
