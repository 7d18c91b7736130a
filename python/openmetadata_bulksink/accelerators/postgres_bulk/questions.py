"""What upstream asks PostgreSQL for a table, and how one asks the same for many. Pure: nothing is sent here.

Nobody writes upstream's statements down a second time: its functions, and SQLAlchemy's, are run once against an
`Asker`, which has no rows and keeps what it is asked. Each statement is of one of four kinds:

- the number (oid) of a table by its name: the chunk knows it;
- one that takes a list of numbers already (SQLAlchemy 2): it gets the list of the chunk;
- a text with the number of one table. One that asks for an order becomes the inner side of a LATERAL join over all
  numbers, word for word. One that asks for none (SQLAlchemy 1.4's unique constraints) gets its rows in the order of the
  plan, which depends on the number: there all statements are sent as one, each with its number, joined by UNION ALL;
- one that names no table (enums, domains): as it is, once.

Anything else is not known, and the table is asked for as upstream does.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = tuple[Any, ...]


class NotHere(BaseException):
    """A statement that nobody here can answer. Not an Exception: upstream would take it for a fault of the table."""


@dataclass(frozen=True)
class Question:
    """One kind of question. key: what a statement that asks it is recognised by.

    number_at: the position of the table's number in a row of the answer for many; None where the answer is the same
    for all tables. keeps_number: whether the answer for one table has that column, too. statement: what is sent, or
    makes what is sent for some numbers.
    """

    key: Hashable
    statement: Any
    number_at: int | None
    keeps_number: bool
    parameters: tuple[tuple[str, Any], ...] = ()

    def asked_for(self, numbers: Sequence[int]) -> tuple[Any, dict[str, Any]]:
        """The statement with which it is asked for these tables, and its parameters."""
        if isinstance(self.statement, _Apart):
            return self.statement.joined(numbers), {}
        named = dict(self.parameters)
        return self.statement, named if self.number_at is None else {**named, "oids": list(numbers)}


@dataclass(frozen=True)
class _Apart:
    """A text with the number of one table as its parameter, which is sent for each of them in one statement."""

    text: str
    parameter: str
    text_of: Any

    def joined(self, numbers: Sequence[int]) -> Any:
        singles = [(f"{number:d}", _with(self.text, self.parameter, f"{number:d}")) for number in numbers]
        parts = [f"SELECT {number} AS number, answer.* FROM (\n{single}\n) AS answer" for number, single in singles]
        return self.text_of("\nUNION ALL\n".join(parts))


@dataclass(frozen=True)
class Answer:
    """The rows for many tables, or for all."""

    keys: list[str]
    of_table: Mapping[int, Sequence[Row]] | None
    rows: Sequence[Row] = ()

    def rows_of(self, number: int) -> Sequence[Row]:
        """The rows that a statement for this table alone would have brought."""
        return self.rows if self.of_table is None else self.of_table.get(number, ())


def sorted_out(question: Question, keys: Iterable[str], rows: Iterable[Sequence[Any]]) -> Answer:
    """Which rows belong to which table; their order stays."""
    keys = list(keys)
    at = question.number_at
    if at is None:
        return Answer(keys, None, [tuple(row) for row in rows])
    if not question.keeps_number:
        keys = keys[:at] + keys[at + 1 :]
    of_table: dict[int, list[Row]] = {}
    for row in rows:
        whole = tuple(row)
        kept = whole if question.keeps_number else whole[:at] + whole[at + 1 :]
        of_table.setdefault(whole[at], []).append(kept)
    return Answer(keys, of_table)


def together(one: Answer, other: Answer) -> Answer:
    """The answers for two halves of the tables."""
    return Answer(one.keys, {**(one.of_table or {}), **(other.of_table or {})}, one.rows)


def key_of(statement: Any, parameters: Mapping[str, Any] | None) -> tuple[str | int, Any]:
    """What a statement is recognised by: its text, or itself where SQLAlchemy keeps it; and the kind of constraint."""
    text = getattr(getattr(statement, "element", statement), "text", None)
    name = text if isinstance(text, str) else id(statement)
    return name, (parameters or {}).get("contype")


def asks_for_number(parameters: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a statement looks up the number of this table (SQLAlchemy 2)."""
    return bool(parameters) and list((parameters or {}).items()) == [("filter_names", [name])]


def question_of(statement: Any, parameters: Mapping[str, Any] | None, number: int, text_of: Any) -> Question:
    """Recognise what was asked for the table with this number. text_of: SQLAlchemy's `text`. Raises NotHere."""
    key = key_of(statement, parameters)
    text, _ = key
    named = dict(parameters or {})
    if not named:
        return Question(key, statement, None, keeps_number=False)
    if set(named) == {"oids", "contype"} and named["oids"] == [number]:
        return Question(key, statement, 0, keeps_number=True, parameters=(("contype", named["contype"]),))
    if isinstance(text, str) and len(named) == 1 and number in named.values() and _as_they_come(statement):
        (name,) = named
        ordered = re.search(r"\border\s+by\b", text, re.IGNORECASE)
        many = text_of(for_many(text, name)) if ordered else _Apart(text, name, text_of)
        return Question(key, many, 0, keeps_number=False)
    raise NotHere


def is_about(number: int, parameters: Mapping[str, Any] | None) -> bool:
    """Whether the parameters of a recognised statement ask for this table, and not for another one."""
    named = dict(parameters or {})
    named.pop("contype", None)
    return all(value in (number, [number]) for value in named.values())


def for_many(text: str, parameter: str) -> str:
    """A text with the number of one table as its parameter, for the numbers in `:oids`. `OFFSET 0` keeps PostgreSQL
    from making one join of it, whose rows would come in another order.
    """
    single = _with(text, parameter, "bulk.number")
    return (
        "SELECT bulk.number, answer.* FROM unnest(CAST(:oids AS oid[])) WITH ORDINALITY AS bulk (number, place) "
        f"CROSS JOIN LATERAL ({single}\nOFFSET 0) AS answer ORDER BY bulk.place"
    )


def _with(text: str, parameter: str, value: str) -> str:
    return re.sub(rf"(?<!:):{re.escape(parameter)}\b", value, text.rstrip("; \n"))


def _as_they_come(statement: Any) -> bool:
    """Whether SQLAlchemy hands the values of the driver on as they are: the types are named for what is written."""
    plain = {"Unicode", "String", "Integer"}
    columns = getattr(statement, "selected_columns", ())
    return all(type(column.type).__name__ in plain for column in columns)
