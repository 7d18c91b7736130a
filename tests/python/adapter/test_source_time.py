"""Where the time of a run went: statements of the source's engines, what its thread computed, and what to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from openmetadata_bulksink import source_time
from openmetadata_bulksink.source_time import SourceTime, Spent, hint, sentence

pytestmark = pytest.mark.upstream


@pytest.fixture
def connection() -> Iterator[Any]:
    """Of an engine that is older than what watches it, as a source's is."""
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connected:
        connected.connection.create_function("pause", 0, lambda: time.sleep(0.01))
        yield connected
    engine.dispose()


def execute(connection: Any, text: str) -> Any:
    import sqlalchemy

    return connection.execute(sqlalchemy.text(text)).fetchall()


def test_statements_are_counted_and_timed(connection: Any) -> None:
    watch = SourceTime()
    for _ in range(3):
        execute(connection, "SELECT pause()")
    spent = watch.end()
    assert spent.statements == 3
    assert 0.03 <= spent.waited <= spent.wall


def test_nothing_is_counted_before_and_after(connection: Any) -> None:
    execute(connection, "SELECT 1")
    watch = SourceTime()
    execute(connection, "SELECT 1")
    spent = watch.end()
    execute(connection, "SELECT 1")
    assert watch.end() == spent
    assert spent.statements == 1


def test_a_statement_that_fails_is_the_sources(connection: Any) -> None:
    import sqlalchemy

    watch = SourceTime()
    with pytest.raises(sqlalchemy.exc.OperationalError):
        execute(connection, "SELECT nothing")
    execute(connection, "SELECT 1")
    assert watch.end().statements == 1


def test_what_a_statement_took_that_failed_is_the_databases(connection: Any) -> None:
    """It is counted by itself: the time of one that is answered stays what it is."""
    import sqlalchemy

    def fail() -> None:
        time.sleep(0.02)
        raise ValueError

    connection.connection.create_function("fail", 0, fail)
    watch = SourceTime()
    with pytest.raises(sqlalchemy.exc.OperationalError):
        execute(connection, "SELECT fail()")
    time.sleep(0.02)
    spent = watch.end()
    assert 0.015 <= spent.stood_still <= spent.wall - 0.02
    assert (spent.statements, spent.waited, spent.failed) == (0, 0.0, 1)
    assert 0.02 <= spent.in_vain <= spent.wall - 0.02


def test_threads_that_send_statements_are_counted() -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://")
    watch = SourceTime()

    def ask() -> None:
        with engine.connect() as connected:
            execute(connected, "SELECT 1")
        both_asked.wait(60)

    both_asked = threading.Barrier(2)
    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    engine.dispose()
    assert watch.end().threads == 2


def test_a_statement_that_goes_on_counts_until_now(connection: Any) -> None:
    seen: list[float] = []

    def look() -> None:
        time.sleep(0.02)
        seen.append(watch.so_far().stood_still)

    connection.connection.create_function("look", 0, look)
    watch = SourceTime()
    execute(connection, "SELECT look()")
    assert 0.015 <= seen[0] <= watch.end().stood_still


def test_what_a_handler_does_in_the_middle_of_a_wait_is_no_time_of_that() -> None:
    begun, idle = time.perf_counter(), source_time.Idle()
    idle.begin()
    with idle.paused():
        time.sleep(0.02)
    time.sleep(0.02)
    idle.end()
    with idle.paused():
        time.sleep(0.02)
    assert 0.015 <= idle.seconds <= time.perf_counter() - begun - 0.04


def test_two_sinks_count_for_themselves(connection: Any) -> None:
    first = SourceTime()
    execute(connection, "SELECT 1")
    second = SourceTime()
    execute(connection, "SELECT 1")
    assert second.end().statements == 1
    execute(connection, "SELECT 1")
    assert first.end().statements == 3


def test_what_the_thread_computed() -> None:
    watch = SourceTime()
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
    spent = watch.end()
    assert spent.computed is not None
    assert 0.05 <= spent.computed <= spent.wall + 0.01


def test_another_thread_does_not_know_what_was_computed() -> None:
    watch, found = SourceTime(), []
    closer = threading.Thread(target=lambda: found.append(watch.end()))
    closer.start()
    closer.join()
    assert found[0].computed is None


def test_a_source_without_sqlalchemy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(source_time.sys.modules, "sqlalchemy.engine", raising=False)
    spent = SourceTime().end()
    assert (spent.statements, spent.waited) == (0, 0.0)


def test_the_sentence() -> None:
    spent = Spent(75.24, 3.13, 4810, 71.04)
    assert sentence(spent, 0.4) == (
        "75.2 s, in which the source waited 71.0 s for its database (4,810 statements, 14.8 ms each), computed 3.1 s "
        "and was blocked by the sink for 0.4 s"
    )
    assert "waited 82.1 s for its database (4,810 statements, 14.8 ms each; 11 more failed after 11.1 s), c" in (
        sentence(spent._replace(failed=11, in_vain=11.06), 0)
    )
    assert "waited 71.0 s in 4 threads for its database (4" in sentence(spent._replace(threads=4), 0)
    assert sentence(spent._replace(statements=0, computed=None), 2) == (
        "75.2 s, in which the source was blocked by the sink for 2.0 s"
    )


@pytest.mark.parametrize(
    ("spent", "connections", "worth"),
    [
        (Spent(75.2, 3.1, 4810, 71.0), 0, True),
        (Spent(75.2, 3.1, 4810, 71.0), 4, False),  # it is granted already
        (Spent(75.2, 3.1, 4810, 71.0), None, False),  # there is no such setting
        (Spent(75.2, 3.1, 4810, 20.0), 0, False),  # something else took most of the time
        (Spent(8.0, 3.1, 481, 4.0), 0, False),  # a short run
        (Spent(75.2, 3.1, 4810, 271.0, threads=4), 0, False),  # of several threads together
        (Spent(75.2, 3.1, 4810, 71.0, threads=4), 0, False),
        (Spent(75.2, 3.1, 48_100, 71.0), 0, False),  # nothing to gain below 2 ms a statement
    ],
)
def test_the_hint(spent: Spent, connections: int | None, worth: bool) -> None:
    text = "the source waited 71 of 75 s in 4,810 statements: OM_BULKSINK_READ_AHEAD=4 overlaps them"
    assert hint(spent, connections) == (text if worth else None)
