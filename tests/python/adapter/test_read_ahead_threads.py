"""`threads: N` grants connections: one thread reads instead of several, and what it has not begun goes back to them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from openmetadata_bulksink.accelerators.read_ahead import threads


class Runner:
    """Upstream's runner as far as it goes through a node."""

    def __init__(self, schemas: list[str]) -> None:
        self.schemas = schemas
        self.done: list[tuple[str, str]] = []
        self.listed = 0

    def _run_node_producer(self, node: str) -> Iterator[str]:
        self.listed += node == "schemas"
        yield from self.schemas if node == "schemas" else ["a table"]

    def _process_node(self, node: str) -> Iterator[str]:
        for entity in self._run_node_producer(node):
            self.done.append(("one thread", entity))
            yield entity
            yield from self._run_node_producer("tables")

    def _multithread_process_node(self, node: str, threads: int) -> Iterator[str]:
        for entity in list(self._run_node_producer(node)):
            self.done.append((f"{threads} threads", entity))
            yield entity


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    module = ModuleType(threads.MODULE)
    module.TopologyRunnerMixin = type("TopologyRunnerMixin", (Runner,), dict(vars(Runner)))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, threads.MODULE, module)
    monkeypatch.setattr(threads, "known", lambda *_: None)
    made: Runner = module.TopologyRunnerMixin(["a", "b", "c"])
    return made


class Instead:
    """As it is told. until: the schema with which it stops to pay."""

    def __init__(self, *, may: bool = True, does: bool = True, until: str = "") -> None:
        self._may, self._does, self._until = may, does, until
        self.asked: list[tuple[int, int]] = []

    def may_stand_in(self, _: Any) -> bool:
        return self._may

    def stands_in(self, _: Any, threads: int, schemas: int) -> bool:
        self.asked.append((threads, schemas))
        return self._does

    def goes_on(self, source: Any) -> bool:
        return ("one thread", self._until) not in source.done


def read(runner: Runner, instead: Instead) -> list[tuple[str, str]]:
    """What was done by whom."""
    undo = threads.install(instead)
    try:
        list(runner._multithread_process_node("schemas", 4))
    finally:
        undo()
    assert "_run_node_producer" not in vars(runner)
    return runner.done


def test_one_thread_reads_them_all(runner: Runner) -> None:
    instead = Instead()
    assert read(runner, instead) == [("one thread", "a"), ("one thread", "b"), ("one thread", "c")]
    assert instead.asked == [(4, 3)]


def test_what_it_has_not_begun_goes_to_upstreams_threads(runner: Runner) -> None:
    assert read(runner, Instead(until="a")) == [("one thread", "a"), ("4 threads", "b"), ("4 threads", "c")]


@pytest.mark.parametrize("instead", [Instead(may=False), Instead(does=False)], ids=["other source", "many schemas"])
def test_others_keep_their_threads(runner: Runner, instead: Instead) -> None:
    assert read(runner, instead) == [("4 threads", "a"), ("4 threads", "b"), ("4 threads", "c")]
    assert runner.listed == 1


@pytest.mark.parametrize(
    ("schemas", "count", "idle"),
    [(1, 2, True), (2, 2, False), (2, 4, True), (3, 4, False), (3, 8, True), (4, 8, False), (60, 8, False)],
)
def test_few_schemas_leave_threads_idle(schemas: int, count: int, idle: bool) -> None:
    assert threads.would_idle(schemas, count) is idle


def test_a_run_that_ends_in_the_middle_leaves_the_source_as_it_was(runner: Runner) -> None:
    undo = threads.install(Instead())
    reading: Any = runner._multithread_process_node("schemas", 4)
    next(reading)
    reading.close()
    undo()
    assert "_run_node_producer" not in vars(runner)
    assert runner.done == [("one thread", "a")]


@pytest.mark.parametrize("name", ["includeOwners", "ownerConfig"])
def test_who_asks_the_server_for_each_table(name: str) -> None:
    def source(**config: Any) -> Any:
        return type("Source", (), {"source_config": type("Config", (), config)()})()

    assert not threads.asks_the_server(source())
    assert not threads.asks_the_server(source(**{name: None}))
    assert threads.asks_the_server(source(**{name: True}))
