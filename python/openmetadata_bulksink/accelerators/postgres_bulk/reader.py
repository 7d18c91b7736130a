"""One thread's reader of one source: which chunk is at hand, when the next one is read, and when it gives up."""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.accelerators import loaded
from openmetadata_bulksink.accelerators.postgres_bulk.chunk import (
    FEWEST_TABLES,
    MOST_FAILURES,
    Chunk,
    Expected,
    Relation,
    that_fit,
)
from openmetadata_bulksink.accelerators.postgres_bulk.connection import Answering, Asker, inspector_over
from openmetadata_bulksink.accelerators.postgres_bulk.questions import NotHere, Question
from openmetadata_bulksink.accelerators.postgres_bulk.snapshot import Snapshot, snapshot, was_cancelled
from openmetadata_bulksink.log import log


class Reader:
    """partition_details: upstream's function, for a source, a table, a schema and an inspector."""

    def __init__(self, partition_details: Any) -> None:
        self.expected = Expected()
        self._partition_details = partition_details
        self._chunk: Chunk | None = None
        self._failures = 0

    @property
    def is_off(self) -> bool:
        """Whether so many chunks failed that no more are read."""
        return self._failures >= MOST_FAILURES

    def inspector(self, source: Any, schema: str, name: str, inspector: Any) -> Any:
        """An inspector that answers from the chunk for this table; None where the table is not in one."""
        chunk = self._chunk
        if chunk is None or chunk.schema != schema or chunk.engine is not source.engine or not chunk.has(name):
            chunk = self._chunk = self._next(source, schema, name, inspector)
        relation = None if chunk is None else chunk.relation(name)
        if chunk is None or relation is None:
            return None
        return inspector_over(inspector, Answering(relation, inspector.dialect, chunk), schema, relation)

    def partition(self, source: Any, schema: str, name: str) -> Any:
        """What upstream's look-up of partitions gave for a table of the chunk; None where it is not in one."""
        chunk = self._chunk
        if chunk is None or chunk.schema != schema or chunk.engine is not source.engine:
            return None
        relation = chunk.relation(name)
        if relation is None:
            return None
        return chunk.partitions.get(name, (False, None))

    def lose(self, name: str) -> None:
        """A table whose answers are not all here."""
        if self._chunk is not None:
            relation = self._chunk.relation(name)
            if relation is not None:
                self._chunk.lose([relation.number])

    def _next(self, source: Any, schema: str, name: str, inspector: Any) -> Chunk | None:
        names = [] if self.is_off else self.expected.take(schema, name)
        if len(names) < FEWEST_TABLES:
            return None
        exc = loaded("sqlalchemy.exc")
        chunk: Chunk | None = None
        reason: object = "half of the tables could not be read"
        for careful in (False, True):
            try:
                with snapshot(source.engine, careful=careful) as open_snapshot:
                    chunk = self._read(source, schema, names, inspector, open_snapshot)
                break
            except exc.SQLAlchemyError as error:
                reason = type(error).__name__
                if not isinstance(error, exc.DBAPIError) or error.connection_invalidated or was_cancelled(error):
                    break
            except (Exception, NotHere) as error:  # noqa: BLE001 - whatever it is: the tables are asked for one by one
                reason = type(error).__name__
                break
        if chunk is None:
            chunk = Chunk(schema, source.engine, frozenset(names))
        self.expected.drop(chunk.names)
        self._count(chunk, reason)
        return chunk

    def _count(self, chunk: Chunk, reason: object) -> None:
        if 2 * len(chunk.relations) >= len(chunk.names):
            self._failures = 0
            return
        self._failures += 1
        if self.is_off:
            log.warning(
                "postgres_bulk is off for this source: %s chunks in a row failed (%s). Tables are read one by one.",
                MOST_FAILURES,
                reason,
            )

    def _read(self, source: Any, schema: str, names: list[str], inspector: Any, opened: Snapshot) -> Chunk:
        chosen, taken = that_fit(names, opened.relations(schema, names))
        chunk = Chunk(schema, source.engine, frozenset(taken), {relation.name: relation for relation in chosen})
        if len(chosen) < FEWEST_TABLES:
            chunk.relations = {}
            return chunk
        for question in _questions(source, schema, chosen[0], inspector):
            numbers = [relation.number for relation in chunk.relations.values()]
            if not numbers:
                break
            answer, lost = opened.ask(question, numbers)
            chunk.lose(lost)
            if answer is not None:
                chunk.answers[question.key] = answer
        view = _OnSnapshot(source, opened.connection)
        for relation in chunk.relations.values():
            if relation.is_partitioned:
                chunk.partitions[relation.name] = self._partition_details(view, relation.name, schema, inspector)
        return chunk


def _questions(source: Any, schema: str, relation: Relation, inspector: Any) -> list[Question]:
    """What upstream's functions ask for a table, each once."""
    asker = Asker(relation, inspector.dialect)
    asking = inspector_over(inspector, asker, schema, relation)
    source._get_columns_with_constraints(schema, relation.name, asking)
    source._get_columns_internal(schema, relation.name, source.context.get().database, asking)
    return list({question.key: question for question in asker.questions}.values())


class _OnSnapshot:
    """Upstream's source as its look-up of partitions sees it: the engine's connection is the snapshot's."""

    def __init__(self, source: Any, connection: Any) -> None:
        self._source = source
        self.engine = _OneConnection(connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _OneConnection:
    """An engine as far as it is used there, and its connection, which stays open."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def connect(self) -> _OneConnection:
        return self

    def execute(self, statement: Any, parameters: Any = None, **named: Any) -> Any:
        return self._connection.execute(statement, parameters if parameters is not None else named)

    def __enter__(self) -> _OneConnection:
        return self

    def __exit__(self, *_: object) -> None:
        """It is the snapshot that ends it."""
