"""Reads a chunk: on a short connection of its own, in one snapshot of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from openmetadata_bulksink.accelerators import loaded
from openmetadata_bulksink.accelerators.postgres_bulk.chunk import Relation, find_out
from openmetadata_bulksink.accelerators.postgres_bulk.questions import Answer, Question, sorted_out, together

#: The tables of a chunk. The kinds are those that SQLAlchemy looks among; the last column says whether upstream's
#: look-up of partitions, which compares the schema as written in SQL, would find the table.
_RELATIONS = """
SELECT c.oid, c.relname, c.relnatts, c.relkind = 'p' AND c.relnamespace::regnamespace::text = :schema
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = ANY(CAST(:names AS name[])) AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
"""


#: SQLSTATE of a statement that `statement_timeout`, or somebody, has ended, and of a lock that did not come in time.
_CANCELLED = frozenset({"57014", "55P03"})


def was_cancelled(error: Any) -> bool:
    """Whether a statement waited in vain. So would its halves, each as long: those for a locked table, or all of them
    where many tables take too long together.
    """
    return getattr(error.orig, "pgcode", None) in _CANCELLED


class Snapshot:
    """An open one. careful: a statement that fails does not end it, for two more round trips each."""

    def __init__(self, connection: Any, *, careful: bool) -> None:
        self.connection = connection
        self._careful = careful
        self._refused = loaded("sqlalchemy.exc").DBAPIError
        self._text = loaded("sqlalchemy").text

    def relations(self, schema: str, names: Sequence[str]) -> list[Relation]:
        """Those of the names that are there."""
        rows = self.connection.execute(self._text(_RELATIONS), {"schema": schema, "names": list(names)})
        return [Relation(*row) for row in rows.fetchall()]

    def ask(self, question: Question, numbers: Sequence[int]) -> tuple[Answer | None, list[int]]:
        """The answer, and the tables that make the question fail: none where the snapshot is not a careful one, which
        raises.
        """
        if not self._careful:
            return self._answer(question, numbers), []
        if question.number_at is None:
            answer = self._try(question, numbers)
            return answer, [] if answer is not None else list(numbers)
        return find_out(numbers, lambda part: self._try(question, part), together)

    def _answer(self, question: Question, numbers: Sequence[int]) -> Answer:
        found = self.connection.execute(*question.asked_for(numbers))
        return sorted_out(question, found.keys(), found.fetchall())

    def _try(self, question: Question, numbers: Sequence[int]) -> Answer | None:
        self.connection.exec_driver_sql("SAVEPOINT before_question")
        try:
            answer = self._answer(question, numbers)
        except self._refused as error:
            if error.connection_invalidated or was_cancelled(error):
                raise
            self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT before_question")
            return None
        self.connection.exec_driver_sql("RELEASE SAVEPOINT before_question")
        return answer


@contextmanager
def snapshot(engine: Any, *, careful: bool = False) -> Iterator[Snapshot]:
    """A read only transaction that sees one state of the database. The connection is one of upstream's pool, where it
    goes back as it was; or is closed, if it does not end well, so that upstream never meets it.
    """
    connection = engine.connect()
    try:
        # The driver would set the level for the session, and set it back, with two statements more.
        # Nor does SQLAlchemy keep what it compiles for a chunk: upstream's statements would lose their place.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT", compiled_cache=None)
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Snapshot(connection, careful=careful)
        connection.exec_driver_sql("ROLLBACK")
    except BaseException:
        connection.invalidate()
        raise
    finally:
        connection.close()
