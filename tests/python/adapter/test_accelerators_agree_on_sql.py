"""Accelerators of what surrounds each SQL statement, against upstream's own functions."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmetadata_bulksink.accelerators import query_log, tracebacks
from tests.python.adapter.test_accelerators_agree import Text, installed, names, outcome, thorough

pytestmark = pytest.mark.upstream

STARTED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)

words = st.sampled_from(
    ["SELECT", "select", "/*", "ﬁrst", "ß", "\x1c", "\x85", "\u2028", " ", "\n", "\t", "  ", "(", "İ"]
)
statements = st.lists(words | st.text(max_size=4), max_size=6).map("".join)
keys = st.text(max_size=3) | names.map(Text)
parameters = st.one_of(
    st.none(),
    st.dictionaries(keys, st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.integers(), st.integers(), min_size=1, max_size=2),
    st.tuples(st.integers(), st.text(max_size=2)),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["text", 5, {1}, frozenset({2})]),
)


# --- the log of SQL statements ---


class _Clock:
    """In place of `datetime` in upstream's module: each look is 1.5 ms later."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self, zone: Any) -> datetime:
        assert zone is timezone.utc
        self._looks += 1
        return STARTED + timedelta(microseconds=1_500 * self._looks)


def logged(statement: Any, values: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What upstream logs and counts for one statement, and what it hands on."""
    from metadata.ingestion.connections import query_logger

    seen: list[Any] = []

    class Counted:
        def record_operation(self, **counted: Any) -> None:
            seen.append(counted)

    with monkeypatch.context() as patch:
        patch.setattr(query_logger, "datetime", _Clock())
        patch.setattr(query_logger, "OperationMetricsState", Counted, raising=False)
        patch.setattr(query_logger.logger, "debug", lambda *line: seen.append(line))
        tracker = query_logger.QueryLogger()
        before = outcome(tracker.before_cursor_execute, None, None, statement, values, None, False)
        after = outcome(tracker.after_cursor_execute, None, None, statement, values, None, False)
    return [before if before[0] == "returned" else before[0], after if after[0] == "returned" else after[0], seen]


@thorough
@given(statement=statements | statements.map(Text) | st.none() | st.integers(), values=parameters)
def test_a_statement_is_logged_and_counted_the_same(statement: Any, values: Any) -> None:
    monkeypatch = pytest.MonkeyPatch()
    expected = logged(statement, values, monkeypatch)
    with installed(query_log.install):
        assert logged(statement, values, monkeypatch) == expected


def test_a_plain_statement_needs_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.ingestion.connections import query_logger

    made: list[Any] = []
    model = query_logger.QueryInfo
    with installed(query_log.install):
        assert not isinstance(query_logger.QueryInfo, type)
        monkeypatch.setattr(model, "__init__", lambda *_, **values: made.append(values))
        for values in (None, {}, {"a": 1}, (1, 2)):
            query_logger.QueryInfo(statement="SELECT 1", parameters=values, start_time=STARTED)
        assert made == []
        query_logger.QueryInfo(statement="SELECT 1", parameters=[1], start_time=STARTED)
        assert len(made) == 1


def test_capital_letters_are_as_white_as_small_ones() -> None:
    """So that the first word of a statement can be found before it is made of capital letters."""
    for number in range(sys.maxunicode + 1):
        letter = chr(number)
        assert letter.isspace() == any(capital.isspace() for capital in letter.upper()), hex(number)


# --- tracebacks for nobody ---


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_a_dialect_without_comments(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy
    from metadata.ingestion.source.database import common_db_source

    inspector = sqlalchemy.inspect(sqlalchemy.create_engine("sqlite://"))
    describe = common_db_source.CommonDbSourceService.get_table_description
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    logger = logging.getLogger(f"a dialect without comments, {level}")
    logger.setLevel(level)
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(common_db_source, "logger", logger)

    def lines() -> list[tuple[str, str, int, str]]:
        records.clear()
        assert describe("main", "t", inspector) is None
        return [(one.levelname, one.funcName, one.lineno, one.getMessage()) for one in records]

    expected = lines()
    with installed(tracebacks.install):
        assert lines() == expected
    assert [line[0] for line in expected] == (["DEBUG"] if level == logging.DEBUG else []) + ["WARNING"]
    assert level != logging.DEBUG or "NotImplementedError" in expected[0][3]


def test_only_that_traceback_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy
    from metadata.ingestion.source.database import common_db_source

    written: list[str] = []
    write = traceback.format_exc
    monkeypatch.setattr(traceback, "format_exc", lambda *args, **named: written.append("") or write(*args, **named))
    inspector = sqlalchemy.inspect(sqlalchemy.create_engine("sqlite://"))
    describe = common_db_source.CommonDbSourceService.get_table_description
    describe("main", "t", inspector)
    assert len(written) == 1
    with installed(tracebacks.install):
        describe("main", "t", inspector)
        assert len(written) == 1
        try:
            raise KeyError("of somebody else")
        except KeyError:
            assert "of somebody else" in common_db_source.traceback.format_exc()
            assert common_db_source.traceback.format_exc(limit=1)
        assert len(written) == 3
        assert common_db_source.traceback.print_exc is traceback.print_exc
