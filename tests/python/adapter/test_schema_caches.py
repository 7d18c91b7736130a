"""The slots for whole schemas: with one thread upstream's queries, with several one for each schema."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openmetadata_bulksink.accelerators import schema_caches

pytestmark = pytest.mark.upstream

SCHEMAS = ["a", "b", "p", None]


class _Database:
    """Answers upstream's queries for a schema, and notes them."""

    def __init__(self, *, failing: int = 0) -> None:
        self.asked: list[str] = []
        self.failing = failing
        self._lock = threading.Lock()
        # What sqlalchemy-redshift reads of a connection to quote a name, and upstream to know the database.
        self.dialect = SimpleNamespace(identifier_preparer=SimpleNamespace(quote=str))
        self.engine = SimpleNamespace(url=SimpleNamespace(database="dev"))
        self.until: Callable[[], object] = bool

    def execute(self, statement: Any) -> Any:
        """One row, of a table whose name tells the query."""
        text = str(statement)
        with self._lock:
            self.asked.append(text)
            if self.failing:
                self.failing -= 1
                raise ConnectionError("the warehouse is away")
        self.until()
        name = f"t{len(text)}"
        comments = {"table_name": "t", "schema": "p", "table_comment": "of t"}
        if "pg_description" in text:
            return _Rows([SimpleNamespace(**comments, _mapping=comments)])
        return _Rows([SimpleNamespace(table_name=name, relname=name, schema="p")])


class _Rows(list):  # type: ignore[type-arg]
    def close(self) -> None:
        """As a cursor's result."""

    def all(self) -> list[Any]:
        return [_Row(TABLE_NAME=row.table_name, CREATED_AT=None) for row in self]


class _Row(dict):  # type: ignore[type-arg]
    _asdict = dict.copy


class _Engine:
    """As much of an engine as the life cycle query uses, in both generations of SQLAlchemy."""

    def __init__(self, database: _Database) -> None:
        self.execute = database.execute

    def connect(self) -> _Engine:
        return self

    def __enter__(self) -> _Engine:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Reader:
    """Upstream's three queries of a source of its own."""

    def __init__(self, database: _Database) -> None:
        from metadata.ingestion.source.database.life_cycle_query_mixin import LifeCycleQueryMixin
        from sqlalchemy_redshift.dialect import RedshiftDialect_psycopg2

        class Source(LifeCycleQueryMixin):
            engine = _Engine(database)

        self._database, self.dialect, self.source = database, RedshiftDialect_psycopg2(), Source()

    def ask(self, kind: str, schema: str | None) -> Any:
        """What upstream returns; the keys of it, for dialects, as texts."""
        if kind == "columns":
            return sorted(map(str, self.dialect._get_schema_column_info(self._database, schema)))
        if kind == "relations":
            return sorted(map(str, self.dialect._get_all_relation_info(self._database, schema=schema)))
        if kind == "comments":
            return self.dialect.get_table_comment(self._database, "t", schema)["text"]
        return sorted(self.source.life_cycle_query_dict(query=f"SELECT 1 WHERE s = '{schema}'"))


@pytest.fixture(autouse=True, scope="module")
def _upstream_is_imported() -> None:
    import metadata.ingestion.source.database.redshift.metadata  # noqa: F401


@pytest.fixture
def kinds(upstream_version: str) -> list[str]:
    """1.12 keeps columns and definitions of all schemas of a thread, where its inspector has a cache."""
    return ["life cycles"] if upstream_version.startswith("1.12") else ["life cycles", "columns", "relations"]


@pytest.fixture
def slots() -> Iterator[None]:
    undo = schema_caches.install()
    yield
    undo()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(SCHEMAS)), max_size=30), failing=st.integers(0, 3))
def test_with_one_thread_the_queries_are_upstreams(
    kinds: list[str], visits: list[tuple[int, str | None]], failing: int
) -> None:
    kinds = [*kinds, "comments"]

    def walked() -> tuple[list[Any], list[str]]:
        database = _Database(failing=failing)
        reader = _Reader(database)
        answers = []
        for number, schema in visits:
            try:
                answers.append(reader.ask(kinds[number % len(kinds)], schema))
            except ConnectionError as error:
                answers.append(str(error))
        return answers, database.asked

    expected = walked()
    undo = schema_caches.install()
    try:
        assert walked() == expected
    finally:
        undo()


def threads_at_schemas(reader: _Reader, kind: str, schemas: list[str], visits: int = 20) -> None:
    """One thread for each item; all ask in turn, again and again."""
    together = threading.Barrier(len(schemas))

    def visit(schema: str) -> None:
        for _ in range(visits):
            together.wait(60)
            reader.ask(kind, schema)

    with ThreadPoolExecutor(len(schemas)) as pool:
        list(pool.map(visit, schemas))


def test_each_thread_has_its_schema(kinds: list[str], slots: None) -> None:  # noqa: ARG001
    for kind in kinds:
        database = _Database()
        threads_at_schemas(_Reader(database), kind, ["a", "b", "c", "d"])
        assert len(database.asked) == len(set(database.asked)) == 4, kind


def test_upstream_alone_asks_again_and_again(kinds: list[str]) -> None:
    """Without this the test above would prove nothing."""
    for kind in kinds:
        database = _Database()
        threads_at_schemas(_Reader(database), kind, ["a", "b", "c", "d"])
        assert len(database.asked) > 20, kind


def test_threads_at_one_schema_ask_once(kinds: list[str], slots: None) -> None:  # noqa: ARG001
    for kind in kinds:
        database = _Database()
        threads_at_schemas(_Reader(database), kind, ["a", "a", "b", "a"])
        assert len(database.asked) == 2, kind


def comments_of_first_tables(patience: float) -> list[Any]:
    """Four threads ask for a comment at once; the query goes on until one of them has an answer, or for so long."""
    database = _Database()
    answered = threading.Event()
    database.until = lambda: answered.wait(patience)
    reader = _Reader(database)
    together = threading.Barrier(4)

    def first_table(_: int) -> Any:
        together.wait(60)
        found = reader.ask("comments", "p")
        answered.set()
        return found

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(first_table, range(4)))
    assert any("pg_description" in text for text in database.asked)
    return found


def test_no_thread_takes_an_empty_table_of_comments_for_a_full_one(slots: None) -> None:  # noqa: ARG001
    assert comments_of_first_tables(0.3) == ["of t"] * 4


def test_upstream_s_threads_lose_comments() -> None:
    """Without this the test above would prove nothing."""
    assert None in comments_of_first_tables(60)


def bare_source() -> Any:
    """Upstream's source without a connection."""
    from metadata.ingestion.source.database.redshift.metadata import RedshiftSource

    source = RedshiftSource.__new__(RedshiftSource)
    source.constraint_details = {"first": 1}
    return source


def test_each_thread_has_the_keys_of_its_schema() -> None:
    """As upstream's threads do: each replaces the attribute, fills it, and reads it later."""
    source = bare_source()
    undo = schema_caches.install()
    try:
        assert source.constraint_details == {"first": 1}
        together = threading.Barrier(4)

        def schema(name: str) -> list[Any]:
            found = []
            for number in range(20):
                source.constraint_details = {}
                together.wait(60)
                source.constraint_details.setdefault(name, number)
                together.wait(60)
                found.append(source.constraint_details)
            return found

        with ThreadPoolExecutor(4) as pool:
            for name, seen in zip("abcd", pool.map(schema, "abcd"), strict=True):
                assert seen == [{name: number} for number in range(20)]
        assert source.constraint_details == {"first": 1}
        other = bare_source()
        other.constraint_details = {"other": 2}
        assert source.constraint_details == {"first": 1}
        source.constraint_details = {"last": 3}
    finally:
        undo()
    assert source.constraint_details == {"last": 3}
    assert "constraint_details" not in vars(type(source))


def test_a_source_without_the_attribute(slots: None) -> None:  # noqa: ARG001
    from metadata.ingestion.source.database.redshift.metadata import RedshiftSource

    assert not hasattr(RedshiftSource.__new__(RedshiftSource), "constraint_details")


def test_a_schema_that_all_have_left_is_forgotten() -> None:
    slots = schema_caches._Slots()

    def visit(thread: int) -> None:
        for number in range(50):
            key = f"{thread}.{number}"
            assert slots.get(key, lambda key=key: key) == key
            assert len(slots._slots) <= 5

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, range(4)))
    slots.get("last", lambda: 1)
    assert list(slots._slots) == ["last"]


def test_an_answer_that_is_none_is_an_answer() -> None:
    slots, asked = schema_caches._Slots(), []
    for _ in range(3):
        assert slots.get("a", lambda: asked.append(1)) is None
    assert asked == [1]


def test_a_source_that_is_gone_is_forgotten(slots: None) -> None:  # noqa: ARG001
    reader = _Reader(_Database())
    reader.ask("life cycles", "a")
    gone = weakref.ref(reader.source)
    del reader
    gc.collect()
    assert gone() is None
