"""Tables are taken ahead of their consumer: in the producer's order, told once, with its errors where they belong."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink.accelerators import StepsAside, coming
from openmetadata_bulksink.accelerators.coming import Window


class Source:
    """Upstream's source as far as its tables are listed."""

    def __init__(self, produce: Callable[[], Iterator[Any]]) -> None:
        self.produce = produce
        self.metadata = object()
        self.context = SimpleNamespace(get=lambda: SimpleNamespace(database_schema="shop"))

    def get_tables_name_and_type(self) -> Iterator[Any]:
        yield from self.produce()


class Listener:
    """Wants `window` names, and keeps what it is told."""

    def __init__(self, window: Window | None) -> None:
        self.wanted = window
        self.told: list[list[str]] = []
        self.turns: list[str | None] = []

    def window(self, source: Any) -> Window | None:
        assert isinstance(source, Source)
        return self.wanted

    def expect(self, source: Any, schema: str, tables: list[coming.Table]) -> None:
        assert isinstance(source, Source)
        assert schema == "shop"
        assert all(kind == "Regular" for _, kind in tables)
        self.told.append([name for name, _ in tables])

    def turn(self, source: Any, schema: str, table: coming.Table | None) -> None:
        assert isinstance(source, Source)
        assert schema == "shop"
        self.turns.append(None if table is None else table[0])


@pytest.fixture
def taken() -> list[str]:
    """What was taken from the producer so far."""
    return []


@pytest.fixture
def source(taken: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    module = ModuleType(coming.SOURCE)
    cls = type("CommonDbSourceService", (Source,), dict(vars(Source)))
    module.CommonDbSourceService = cls  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, coming.SOURCE, module)
    undo = coming.install()

    def produce() -> Iterator[Any]:
        for name in "abcdefg":
            taken.append(name)
            yield name, "Regular"

    yield cls(produce)
    undo()


def listening(listener: Listener, request: pytest.FixtureRequest) -> Listener:
    request.addfinalizer(coming.listen(listener))
    return listener


def test_nobody_listens_nothing_is_taken_ahead(source: Source, taken: list[str]) -> None:
    for number, (name, _) in enumerate(source.get_tables_name_and_type()):
        assert taken[-1] == name
        assert len(taken) == number + 1


def test_names_come_in_their_order_and_are_told_once(
    source: Source, taken: list[str], request: pytest.FixtureRequest
) -> None:
    """The first table is told together with those behind it: it begins a chunk."""
    listener = listening(Listener(Window(2, 3)), request)
    tables = source.get_tables_name_and_type()
    assert next(tables) == ("a", "Regular")
    assert taken == ["a", "b", "c"]
    assert listener.told == [["a", "b", "c"]]
    assert [name for name, _ in tables] == list("bcdefg")
    assert [name for names in listener.told for name in names] == list("abcdefg")


def test_each_table_is_named_in_its_turn(source: Source, request: pytest.FixtureRequest) -> None:
    """And what upstream does behind it is nobody's."""
    listener = listening(Listener(Window(2, 3)), request)
    tables = source.get_tables_name_and_type()
    assert listener.turns == []
    next(tables)
    assert listener.turns == ["a"]
    next(tables)
    assert listener.turns == ["a", None, "b"]
    assert len(list(tables)) == 5
    assert listener.turns[-2:] == ["g", None]


def test_whether_somebody_else_looks_ahead(source: Source, request: pytest.FixtureRequest) -> None:
    one, other = listening(Listener(Window(1, 1)), request), listening(Listener(None), request)
    assert coming.is_wanted(source, but=other)
    assert not coming.is_wanted(source, but=one)


def test_one_who_wants_nothing_of_this_source_is_told_nothing(source: Source, request: pytest.FixtureRequest) -> None:
    listener = listening(Listener(None), request)
    assert len(list(source.get_tables_name_and_type())) == 7
    assert listener.told == []


def test_who_listens_later_hears_of_what_is_left(source: Source, request: pytest.FixtureRequest) -> None:
    tables = source.get_tables_name_and_type()
    next(tables)
    listener = listening(Listener(Window(2, 4)), request)
    assert len(list(tables)) == 6
    assert [name for names in listener.told for name in names] == list("bcdefg")


def test_the_producers_error_comes_after_what_it_produced(source: Source, request: pytest.FixtureRequest) -> None:
    listening(Listener(Window(2, 10)), request)

    def produce() -> Iterator[Any]:
        yield "a", "Regular"
        yield "b", "Regular"
        raise ValueError("no more")

    source.produce = produce
    tables = source.get_tables_name_and_type()
    assert [next(tables)[0], next(tables)[0]] == ["a", "b"]
    with pytest.raises(ValueError, match="no more"):
        next(tables)


class Sink:
    """Decides before the first table."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.listener = Listener(Window(2, 10))
        self._request = request

    def decide(self) -> None:
        listening(self.listener, self._request)


def test_what_the_decision_puts_in_is_there_for_the_first_table(source: Source, request: pytest.FixtureRequest) -> None:
    sink = Sink(request)
    request.addfinalizer(coming.decide_first(source.metadata, weakref.WeakMethod(sink.decide)))
    next(source.get_tables_name_and_type())
    assert sink.listener.told == [list("abcdefg")]


def test_a_schema_without_tables_decides_nothing(source: Source, request: pytest.FixtureRequest) -> None:
    sink = Sink(request)
    request.addfinalizer(coming.decide_first(source.metadata, weakref.WeakMethod(sink.decide)))
    source.produce = lambda: iter(())
    assert list(source.get_tables_name_and_type()) == []
    assert sink.listener not in coming._listeners


def test_a_sink_that_cannot_decide_says_so_at_its_record(source: Source, request: pytest.FixtureRequest) -> None:
    """Raised here, it would be a failure of the list of tables."""

    class Broken:
        def decide(self) -> None:
            raise ValueError("a bad setting")

    sink = Broken()
    request.addfinalizer(coming.decide_first(source.metadata, weakref.WeakMethod(sink.decide)))
    assert len(list(source.get_tables_name_and_type())) == 7


def test_a_list_that_is_no_generator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(coming.SOURCE)
    module.CommonDbSourceService = type(  # type: ignore[attr-defined]
        "CommonDbSourceService", (), {"get_tables_name_and_type": lambda self: [self]}
    )
    monkeypatch.setitem(sys.modules, coming.SOURCE, module)
    with pytest.raises(StepsAside, match="has changed"):
        coming.install()
