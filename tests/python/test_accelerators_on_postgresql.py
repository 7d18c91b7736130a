"""Accelerators of the PostgreSQL source against a PostgreSQL: the same answers, by the same statements."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openmetadata_bulksink.accelerators import schema_caches, statements
from tests.ingest import Postgres
from tests.ingest.sources import PostgresShape, fill_postgres
from tests.python.adapter.test_accelerators_agree import installed, outcome

pytestmark = [pytest.mark.upstream, pytest.mark.postgres]

DATABASE = "reflected"
SHAPE = PostgresShape(schemas=2, tables=6, columns=12, foreign_keys=2, rich=True)

Ask = Callable[[Any, Any, str], Any]


@pytest.fixture(scope="module")
def engine(postgres: Postgres) -> Iterator[Any]:
    """An engine as upstream's source has it: its functions stand in SQLAlchemy's dialect."""
    import metadata.ingestion.source.database.postgres.metadata
    import sqlalchemy

    fill_postgres(postgres, DATABASE, SHAPE)
    made = sqlalchemy.create_engine(f"postgresql+psycopg2://{postgres.user}@127.0.0.1:{postgres.port}/{DATABASE}")
    assert metadata.ingestion.source.database.postgres.metadata.PostgresSource
    yield made
    made.dispose()
    postgres.drop_database(DATABASE)


class _Sent:
    """What an engine sends while the block lasts."""

    def __init__(self, engine: Any, delay: float = 0.0) -> None:
        self._engine, self._delay = engine, delay
        self.statements: list[tuple[str, Any]] = []

    def _send(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        self.statements.append((statement, parameters))
        time.sleep(self._delay)

    def __enter__(self) -> _Sent:
        from sqlalchemy import event

        event.listen(self._engine, "before_cursor_execute", self._send)
        return self

    def __exit__(self, *_: object) -> None:
        from sqlalchemy import event

        event.remove(self._engine, "before_cursor_execute", self._send)


# --- statements that are built once ---


def described(value: Any) -> Any:
    """With types as text: SQLAlchemy's objects do not compare."""
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (str, int)) else repr(value)


def reflected(engine: Any) -> list[Any]:
    """Everything that upstream reads of each table of each schema, and all statements for it; twice."""
    import sqlalchemy

    found: list[Any] = []
    with _Sent(engine) as sent:
        for _ in range(2):
            with engine.connect() as connection:
                inspector = sqlalchemy.inspect(connection)
                for schema in ("area_000", "area_001", None, 'no "such" schema'):
                    tables = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
                    for table in [*tables, "not there", "table_00000"]:
                        readers = (inspector.get_columns, inspector.get_foreign_keys, inspector.get_pk_constraint)
                        found += [(schema, table, described(outcome(read, table, schema))) for read in readers]
                        oid = outcome(inspector.dialect.get_table_oid, connection, table, schema)
                        found.append((schema, table, oid))
                found.append(inspector.get_schema_names())
    return [found, sent.statements]


def test_the_same_answers_by_the_same_statements(engine: Any) -> None:
    expected, sent = reflected(engine)
    assert len(expected) > 150
    assert any("NoSuchTableError" in str(answer) for answer in expected)
    with installed(statements.install):
        found, sent_by_ours = reflected(engine)
    assert found == expected
    assert sent_by_ours == sent


def test_a_statement_is_built_once(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy
    from metadata.ingestion.source.database.postgres.queries import POSTGRES_FETCH_FK
    from sqlalchemy.sql import elements

    built: list[str] = []
    make = elements.TextClause.__init__

    def counted(clause: Any, text: str, **named: Any) -> None:
        built.append(text)
        make(clause, text, **named)

    monkeypatch.setattr(elements.TextClause, "__init__", counted)

    def texts() -> int:
        built.clear()
        with engine.connect() as connection:
            inspector = sqlalchemy.inspect(connection)
            for number in range(SHAPE.tables):
                inspector.get_foreign_keys(f"table_{number:05}", "area_000")
        return built.count(POSTGRES_FETCH_FK)

    assert texts() == SHAPE.tables
    with installed(statements.install):
        assert texts() == 1
        assert texts() == 0


# --- what is read once for all tables ---


def asked_by_threads(engine: Any, name: str, tables: list[str]) -> tuple[list[Any], int]:
    """The answers to threads that ask at once, each for a table of its own, and how many statements there were."""
    # As in a run: comments and owners of a dialect that nobody has asked before.
    for kept in ("all_table_comments", "all_view_definitions", "all_table_owners"):
        engine.dialect.__dict__.pop(kept, None)
    answers: list[Any] = [None] * len(tables)
    together = threading.Barrier(len(tables))
    connections = [engine.connect() for _ in tables]

    def ask(number: int) -> None:
        together.wait(10)
        answers[number] = getattr(engine.dialect, name)(connections[number], tables[number], "area_000")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(tables))]
    try:
        with _Sent(engine, delay=0.2) as sent:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        return answers, len(sent.statements)
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("get_table_comment", ["table_00000", "table_00001", "table_00002", "view_plain"]),
        ("get_view_definition", ["view_plain", "view_joined", "view_stored"]),
        ("get_table_owner", ["table_00000", "table_00001", "table_00002", "table_00003"]),
    ],
)
def test_threads_wait_for_what_one_of_them_reads(engine: Any, name: str, tables: list[str]) -> None:
    """Upstream's threads take the dictionary that one of them is filling for a full one."""
    alone = [asked_by_threads(engine, name, [table])[0][0] for table in tables]
    assert all(alone)
    together, _ = asked_by_threads(engine, name, tables)
    assert together != alone, "upstream has mended this: the accelerator can go"
    with installed(schema_caches.install):
        together, sent = asked_by_threads(engine, name, tables)
    assert together == alone
    assert sent == 1
