"""`postgres_bulk` against a PostgreSQL: upstream's answers by a handful of statements, also when something is wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink.accelerators import coming, postgres_bulk
from openmetadata_bulksink.accelerators.postgres_bulk import questions
from openmetadata_bulksink.accelerators.postgres_bulk.chunk import MOST_FAILURES
from openmetadata_bulksink.accelerators.postgres_bulk.reader import Reader
from openmetadata_bulksink.log import log
from tests.ingest import Postgres
from tests.ingest.sources import PostgresShape, fill_postgres
from tests.python.adapter.test_accelerators_agree import installed, outcome

pytestmark = [pytest.mark.upstream, pytest.mark.postgres]

DATABASE = "in_chunks"
SHAPE = PostgresShape(schemas=1, tables=24, columns=12, foreign_keys=2, rich=True)

#: Beyond what `rich` has: whatever a statement for many tables could tell apart wrongly.
STRANGE = """
CREATE SCHEMA "Odd ""schema"".%s :oids";
SET search_path TO "Odd ""schema"".%s :oids";
CREATE TYPE "Mood's" AS ENUM ('b', 'a', 'it''s');
CREATE DOMAIN positive AS int NOT NULL DEFAULT 7 CHECK (value > 0) CHECK (value < 100);
CREATE DOMAIN nested AS positive;
CREATE TABLE parent (id bigint GENERATED ALWAYS AS IDENTITY (START 5) PRIMARY KEY, m "Mood's", d nested, ms "Mood's"[]);
CREATE TABLE child (extra text COLLATE "C") INHERITS (parent);
CREATE TABLE ":oids %(x)s" (":a" serial, "%s" int, c int GENERATED ALWAYS AS ("%s" * 2) STORED, UNIQUE ("%s", ":a"));
CREATE TABLE no_columns ();
CREATE TABLE dropped_column (a int, b int, c int UNIQUE);
ALTER TABLE dropped_column DROP COLUMN b;
CREATE TABLE many_uniques (a int UNIQUE, b int UNIQUE, c int, d int, UNIQUE (d, c), UNIQUE (c, a) INCLUDE (b));
CREATE TABLE pair (b int, a int, PRIMARY KEY (a, b));
CREATE TABLE refers (x int, y int, z int, FOREIGN KEY (y, x) REFERENCES pair (a, b) ON DELETE CASCADE,
    FOREIGN KEY (z, y) REFERENCES pair (b, a) MATCH FULL DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE by_two (a int, b int, c date) PARTITION BY RANGE (c, a);
CREATE TABLE by_two_one PARTITION OF by_two DEFAULT PARTITION BY LIST (b);
CREATE TABLE by_expression (a int) PARTITION BY HASH ((a + 1));
CREATE VIEW seen AS SELECT p.*, r.x FROM parent p, refers r;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM child;
COMMENT ON COLUMN parent.d IS 'with "quotes", %s and :oids';
RESET search_path;
CREATE TABLE public.parent (id text PRIMARY KEY);
CREATE TYPE public.mood AS ENUM ('b', 'a');
CREATE DOMAIN public.positive AS int NOT NULL DEFAULT 7 CHECK (value > 0);
CREATE TABLE public.in_path (m public.mood, p public.positive, id text REFERENCES public.parent (id));
"""
ODD = 'Odd "schema".%s :oids'


@pytest.fixture(scope="module")
def engine(postgres: Postgres) -> Iterator[Any]:
    """An engine as upstream's source has it."""
    import metadata.ingestion.source.database.postgres.metadata
    import sqlalchemy

    assert metadata.ingestion.source.database.postgres.metadata.PostgresSource
    fill_postgres(postgres, DATABASE, SHAPE)
    postgres.execute(STRANGE, database=DATABASE)
    options = {} if sqlalchemy.__version__.startswith("1.") else {"isolation_level": "AUTOCOMMIT"}
    url = f"postgresql+psycopg2://{postgres.user}@127.0.0.1:{postgres.port}/{DATABASE}"
    made = sqlalchemy.create_engine(url, pool_reset_on_return=None, max_overflow=-1, **options)
    yield made
    made.dispose()
    postgres.drop_database(DATABASE)


@pytest.fixture
def execute(postgres: Postgres) -> Callable[[str], str]:
    return lambda statement: postgres.execute(statement, database=DATABASE)


class Source:
    """Upstream's source as far as a table is read with it, and a count of what is sent."""

    def __init__(self, engine: Any) -> None:
        import sqlalchemy
        from metadata.ingestion.source.database.postgres.metadata import PostgresSource
        from sqlalchemy import event

        self.engine = engine
        self.source = object.__new__(PostgresSource)
        self.source.engine = engine
        self.source.context = SimpleNamespace(get=lambda: SimpleNamespace(database=DATABASE))
        self.sent: list[str] = []
        self.connection = engine.connect()
        self.inspector = sqlalchemy.inspect(self.connection)
        self._listener = lambda *arguments: self.sent.append(arguments[2])
        event.listen(engine, "before_cursor_execute", self._listener)

    def names(self, schema: str) -> list[str]:
        reads = (self.inspector.get_table_names, self.inspector.get_view_names)
        found = [name for read in reads for name in read(schema)]
        if hasattr(self.inspector, "get_materialized_view_names"):
            found += self.inspector.get_materialized_view_names(schema)
        return found

    def one_by_one(self, schema: str, names: list[str]) -> dict[str, Any]:
        self.inspector.info_cache.clear()
        return {name: described(self.source, self.inspector, schema, name) for name in names}

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        from sqlalchemy import event

        event.remove(self.engine, "before_cursor_execute", self._listener)
        self.connection.close()


def described(source: Any, inspector: Any, schema: str, name: str, partition: Any = None) -> list[Any]:
    """Everything that upstream reads of a table, in a form that compares; or how it fails."""
    found = [
        outcome(lambda: repr(source._get_columns_with_constraints(schema, name, inspector))),
        outcome(lambda: repr(source._get_columns_internal(schema, name, DATABASE, inspector))),
    ]
    look_up = partition or (lambda: source.get_table_partition_details(name, schema, inspector))
    return [*found, outcome(lambda: repr(look_up()))]


def in_chunks(source: Source, schema: str, names: list[str], reader: Reader | None = None) -> tuple[Any, Reader]:
    """The same, with chunks; and the reader."""
    from metadata.ingestion.source.database.postgres.metadata import PostgresSource

    reader = reader or Reader(vars(PostgresSource)["get_table_partition_details"])
    reader.expected.add(schema, names)
    found: dict[str, Any] = {}
    for name in names:
        inspector = reader.inspector(source.source, schema, name, source.inspector)
        if inspector is None:
            found[name] = described(source.source, source.inspector, schema, name)
            continue

        def partition(name: str = name) -> Any:
            return reader.partition(source.source, schema, name)

        found[name] = described(source.source, inspector, schema, name, partition)
    return found, reader


@pytest.mark.parametrize("schema", ["area_000", ODD, "public"])
def test_the_same_answers_by_a_handful_of_statements(engine: Any, schema: str) -> None:
    with Source(engine) as source:
        names = source.names(schema)
        assert len(names) >= 2
        expected = source.one_by_one(schema, names)
        one_by_one = len(source.sent)
        source.sent.clear()
        found, reader = in_chunks(source, schema, names)
        assert found == expected
        chunk = reader._chunk
        assert chunk is not None
        assert set(chunk.relations) == set(names)
        partitioned = len(chunk.partitions)
        assert len(source.sent) - partitioned <= 10 < one_by_one


def test_the_odd_schema_holds_what_it_is_for(engine: Any) -> None:
    """The comparison above proves something only if upstream finds these things."""
    with Source(engine) as source:
        found = repr([source.one_by_one(schema, source.names(schema)) for schema in (ODD, "public")])
        found += repr(source.one_by_one("area_000", ["partitioned"]))
    for sign in ("identity", "computed", "CASCADE", "DEFERRED", "%s", "TIME_UNIT", "ENUM(", "nextval"):
        assert sign in found, sign


def test_upstream_s_connections_are_as_they_were(engine: Any) -> None:
    with Source(engine) as source:
        in_chunks(source, "area_000", source.names("area_000"))
        checked_out = engine.pool.checkedout()
        with engine.connect() as again:
            assert "read committed" in again.exec_driver_sql("SHOW transaction_isolation").scalar()
            assert again.exec_driver_sql("SHOW transaction_read_only").scalar() == "off"
        assert checked_out == 1


def test_a_snapshot_sees_nothing_of_what_happens_meanwhile(
    engine: Any, execute: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All answers for a table are of one moment: a column that comes between two statements is in none of them."""
    execute("CREATE SCHEMA moving; CREATE TABLE moving.a (x int); CREATE TABLE moving.b (y int)")
    changed: list[bool] = []
    sorted_out = questions.sorted_out

    def change_once(*arguments: Any) -> Any:
        if not changed:
            changed.append(True)
            execute("ALTER TABLE moving.a ADD COLUMN came int; ALTER TABLE moving.a ADD UNIQUE (came)")
        return sorted_out(*arguments)

    with Source(engine) as source:
        before = source.one_by_one("moving", ["a", "b"])
        monkeypatch.setattr(f"{postgres_bulk.__name__}.snapshot.sorted_out", change_once)
        found, _ = in_chunks(source, "moving", ["a", "b"])
    execute("DROP SCHEMA moving CASCADE")
    assert changed
    assert found == before


def test_tables_that_go_before_they_are_read(engine: Any, execute: Callable[[str], str]) -> None:
    execute("CREATE SCHEMA going; CREATE TABLE going.a (x int); CREATE TABLE going.b (y int); CREATE TABLE going.c ()")
    with Source(engine) as source:
        names = source.names("going")
        execute("DROP TABLE going.b")
        expected = source.one_by_one("going", names)
        found, _ = in_chunks(source, "going", names)
    execute("DROP SCHEMA going CASCADE")
    assert expected["b"][1][0] == "NoSuchTableError"
    assert found == expected


def test_one_table_that_cannot_be_read_costs_itself(engine: Any, execute: Callable[[str], str]) -> None:
    """The database says "cache lookup failed": a key whose column is not there. It fails for upstream, too."""
    execute(
        "CREATE SCHEMA broken; CREATE TABLE broken.t00 (id int PRIMARY KEY);"
        + "".join(f"CREATE TABLE broken.t{n:02} (id int REFERENCES broken.t00 (id));" for n in range(1, 40))
        + "UPDATE pg_constraint SET conkey = '{99}' WHERE conrelid = 'broken.t07'::regclass AND contype = 'f'"
    )
    with Source(engine) as source:
        names = source.names("broken")
        expected = source.one_by_one("broken", names)
        one_by_one = len(source.sent)
        source.sent.clear()
        found, reader = in_chunks(source, "broken", names)
        sent = len(source.sent)
    execute(
        "UPDATE pg_constraint SET conkey = '{1}' WHERE conrelid = 'broken.t07'::regclass AND contype = 'f';"
        "DROP SCHEMA broken CASCADE"
    )
    assert "cache lookup failed" in str(expected["t07"])
    assert {name: value for name, value in found.items() if name != "t07"} == {
        name: value for name, value in expected.items() if name != "t07"
    }
    assert "cache lookup failed" in str(found["t07"])
    assert reader._chunk is not None
    assert set(names) - set(reader._chunk.relations) == {"t07"}
    assert not reader.is_off
    assert sent < one_by_one / 3


def test_a_locked_table_costs_a_chunk_one_time_out(engine: Any, execute: Callable[[str], str]) -> None:
    """Its tables are asked for one by one at once, not by halves that wait as long."""
    import psycopg2
    from sqlalchemy import event

    execute(
        "CREATE SCHEMA locked;"
        + "".join(f"CREATE TABLE locked.t{n:02} (id int PRIMARY KEY, a int DEFAULT 7);" for n in range(40))
    )
    cancelled: list[str] = []

    def note(failure: Any) -> None:
        if isinstance(failure.original_exception, psycopg2.errors.QueryCanceled):
            cancelled.append(str(failure.statement))

    def is_impatient(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = '500ms'")
        connection.commit()

    engine.dispose()
    event.listen(engine, "connect", is_impatient)
    event.listen(engine, "handle_error", note)
    try:
        with Source(engine) as source, engine.connect() as other:
            names = source.names("locked")
            transaction = other.execution_options(isolation_level="READ COMMITTED").begin()
            other.exec_driver_sql("LOCK TABLE locked.t07, locked.t33 IN ACCESS EXCLUSIVE MODE")
            expected = source.one_by_one("locked", names)
            one_by_one = len(cancelled)
            found, _ = in_chunks(source, "locked", names)
            transaction.rollback()
    finally:
        event.remove(engine, "connect", is_impatient)
        event.remove(engine, "handle_error", note)
        engine.dispose()
        execute("DROP SCHEMA locked CASCADE")
    assert one_by_one == 2
    assert found == expected
    assert len(cancelled) == 2 * one_by_one + 1


def test_three_chunks_that_fail_are_the_last(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream reads the tables, and one line says so."""
    said: list[str] = []
    # The logger itself may have been silenced by a test that configured logging.
    monkeypatch.setattr(log, "warning", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(f"{postgres_bulk.__name__}.snapshot._RELATIONS", "SELECT no such statement")
    with Source(engine) as source:
        names = source.names("area_000")
        expected = source.one_by_one("area_000", names)
        reader = None
        for _ in range(MOST_FAILURES):
            assert reader is None or not reader.is_off
            found, reader = in_chunks(source, "area_000", names, reader)
            assert found == expected
            reader._chunk = None
        assert reader is not None
        assert reader.is_off
        source.sent.clear()
        in_chunks(source, "area_000", names, reader)
        assert not any("no such statement" in text for text in source.sent)
    assert sum("postgres_bulk is off" in line for line in said) == 1


def test_a_statement_that_is_not_known_leaves_the_table_to_upstream(engine: Any) -> None:
    """No table has some answers of the chunk and some of its turn."""
    from metadata.ingestion.source.database.postgres.metadata import PostgresSource

    with Source(engine) as source, installed(coming.install), installed(postgres_bulk.install):
        readers: Any = coming._listeners[-1]
        names = source.names("area_000")
        readers.expect(source.source, "area_000", [(name, "Regular") for name in names])
        read: list[Any] = []

        def columns_and_constraints(*arguments: Any) -> str:
            inspector = arguments[4]
            read.append(inspector)
            inspector.get_pk_constraint(names[0], "area_000")
            inspector.get_indexes(names[0], "area_000")
            return "read"

        mixin = PostgresSource.__mro__[1]
        while "get_columns_and_constraints" not in vars(mixin):
            mixin = PostgresSource.__mro__[PostgresSource.__mro__.index(mixin) + 1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mixin, "get_columns_and_constraints", columns_and_constraints)
            arguments = ("area_000", names[0], DATABASE, source.inspector)
            assert source.source.get_columns_and_constraints(*arguments) == "read"
        assert len(read) == 2
        assert read[0] is not source.inspector
        assert read[1] is source.inspector
        source.sent.clear()
        assert source.source.get_table_partition_details(names[0], "area_000", source.inspector) == (False, None)
        assert len(source.sent) == 1, "its partitions are not the chunk's either"


def test_another_function_in_the_dialect_is_left_alone(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Greenplum's connector puts its own into PostgreSQL's dialect when it is imported."""
    from metadata.ingestion.source.database.postgres.metadata import PostgresSource

    readers = postgres_bulk._Readers(PostgresSource)
    with Source(engine) as source:
        assert readers.window(source.source) is not None
        monkeypatch.setattr(type(engine.dialect), "get_columns", lambda *_, **__: [])
        assert readers.window(source.source) is None
        monkeypatch.undo()
        assert readers.window(source.source) is not None


def test_each_thread_has_its_reader(engine: Any) -> None:
    from metadata.ingestion.source.database.postgres.metadata import PostgresSource

    readers = postgres_bulk._Readers(PostgresSource)
    source = object.__new__(PostgresSource)
    readers.expect(source, "a", [("x", "Regular"), ("y", "Regular")])
    of_thread: list[Any] = []
    thread = threading.Thread(target=lambda: of_thread.append(readers.of(source)))
    thread.start()
    thread.join(10)
    assert of_thread == [None]
    assert readers.of(source) is not None
    assert engine is not None
