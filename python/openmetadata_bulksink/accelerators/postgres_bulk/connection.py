"""What stands for a connection while upstream's functions run: one that keeps what it is asked, one that answers from
a chunk. Both send nothing; what they cannot do raises `NotHere`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from openmetadata_bulksink.accelerators import loaded
from openmetadata_bulksink.accelerators.postgres_bulk.chunk import Chunk, Relation
from openmetadata_bulksink.accelerators.postgres_bulk.questions import (
    NotHere,
    Question,
    Row,
    asks_for_number,
    is_about,
    key_of,
    question_of,
)

_NUMBER_KEYS = ["oid", "relname"]


class _StandIn:
    """A connection as far as upstream's and SQLAlchemy's functions use one."""

    def __init__(self, relation: Relation, dialect: Any) -> None:
        self._relation = relation
        self.dialect = dialect

    def execute(self, statement: Any, parameters: Any = None, **options: Any) -> Any:
        """As SQLAlchemy's."""
        if options or not (parameters is None or isinstance(parameters, dict)):
            raise NotHere
        if asks_for_number(parameters, self._relation.name):
            return result(_NUMBER_KEYS, [(self._relation.number, self._relation.name)])
        return self._rows(statement, parameters)

    def execution_options(self, **options: Any) -> Any:
        """SQLAlchemy 1.4 asks for results as 2.0 has them, which ours are."""
        if options != {"future_result": True}:
            raise NotHere
        return self

    def _rows(self, statement: Any, parameters: dict[str, Any] | None) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        raise NotHere(name)


class Asker(_StandIn):
    """Keeps what it is asked for one table, and has no rows."""

    def __init__(self, relation: Relation, dialect: Any) -> None:
        super().__init__(relation, dialect)
        self.questions: list[Question] = []

    def _rows(self, statement: Any, parameters: dict[str, Any] | None) -> Any:
        self.questions.append(question_of(statement, parameters, self._relation.number, loaded("sqlalchemy").text))
        return result(["nothing"], [])


class Answering(_StandIn):
    """Answers what is asked for one table of a chunk."""

    def __init__(self, relation: Relation, dialect: Any, chunk: Chunk) -> None:
        super().__init__(relation, dialect)
        self._answers = chunk.answers

    def _rows(self, statement: Any, parameters: dict[str, Any] | None) -> Any:
        answer = self._answers.get(key_of(statement, parameters))
        if answer is None or not is_about(self._relation.number, parameters):
            raise NotHere
        return result(answer.keys, answer.rows_of(self._relation.number))


def result(keys: Sequence[str], rows: Iterable[Row]) -> Any:
    """SQLAlchemy's result over rows that are here."""
    results = loaded("sqlalchemy.engine.result")
    return results.IteratorResult(results.SimpleResultMetaData(keys), iter(rows))


def inspector_over(inspector: Any, connection: Any, schema: str, relation: Relation) -> Any:
    """Upstream's inspector with another connection, and a memory of its own, which has the number of the table where
    SQLAlchemy's `get_table_oid` looks for it.
    """
    made = copy.copy(inspector)
    made.bind = connection
    made.info_cache = {
        ("get_table_oid", (relation.name, schema), ()): relation.number,
        ("get_table_oid", (relation.name,), (("schema", schema),)): relation.number,
    }
    return made
