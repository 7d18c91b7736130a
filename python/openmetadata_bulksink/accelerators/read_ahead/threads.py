"""`threads: N` in the workflow's YAML grants N connections. Upstream's N threads take a schema each, share caches that
they empty under each other, and stop at one thread for a schema; here one thread reads, and N - 1 connections are ahead
of it, where there are too few schemas for the threads.

Upstream's choice is left as it is: neither the configuration nor the context is touched, only what is called once it
has chosen threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Protocol

from openmetadata_bulksink.accelerators import Undo, known, loaded, put

MODULE = "metadata.ingestion.api.topology_runner"

#: `_multithread_process_node` and `_process_node`, as text: 1.11 and 1.12; 1.13; 2.0.
_KNOWN = frozenset({"c0f7803dff6f0169", "a06ad570ed6c2392", "7eece92966941dc4"})

#: More threads than this with a schema each are as fast as one with connections ahead of it: measured.
_FEW = 3

#: Of a source's configuration: for these upstream asks the OpenMetadata server for each table.
_ASK_THE_SERVER = ("includeOwners", "ownerConfig")


def asks_the_server(source: Any) -> bool:
    """Whether a source waits for the OpenMetadata server, too, which threads overlap and connections do not."""
    return any(getattr(source.source_config, name, None) for name in _ASK_THE_SERVER)


def would_idle(schemas: int, threads: int) -> bool:
    """Whether so few schemas leave most of upstream's threads without work. How many tables they have is not known
    then, and only those of one schema are asked ahead; where many threads have work, they are the faster ones.
    """
    return schemas <= _FEW and 2 * schemas <= threads


class Schemas:
    """Those of one database, in one thread for as long as it goes on ahead."""

    def __init__(self, schemas: Iterable[Any], goes_on: Callable[[], bool]) -> None:
        self._schemas = deque(schemas)
        self._goes_on = goes_on

    def in_one_thread(self) -> Iterator[Any]:
        """One after the other, until it does not go on: the rest is left."""
        while self._schemas and self._goes_on():
            yield self._schemas.popleft()

    def rest(self) -> list[Any]:
        """Those that nobody has begun."""
        left, self._schemas = list(self._schemas), deque()
        return left


class Instead(Protocol):
    """Who decides whether one thread reads."""

    def may_stand_in(self, source: Any, /) -> bool:
        """Whether it can be, for this source."""

    def stands_in(self, source: Any, threads: int, schemas: int, /) -> bool:
        """Whether it is, instead of so many threads for so many schemas."""

    def goes_on(self, source: Any, /) -> bool:
        """Whether it still pays."""


def install(instead: Instead) -> Undo:
    """Read in one thread where upstream would in several. Raises StepsAside."""
    cls = loaded(MODULE).TopologyRunnerMixin
    what = "upstream's way of reading in threads"
    known(_KNOWN, what, cls, "_multithread_process_node", "_process_node")
    original = cls._multithread_process_node

    @wraps(original)
    def _multithread_process_node(self: Any, node: Any, threads: int) -> Any:
        if not instead.may_stand_in(self):
            yield from original(self, node, threads)
            return
        # Upstream lists them before it begins, too.
        rest = list(self._run_node_producer(node) or ())
        if instead.stands_in(self, threads, len(rest)):
            schemas = Schemas(rest, lambda: instead.goes_on(self))
            with _producing(self, node, schemas.in_one_thread()):
                yield from self._process_node(node)
            rest = schemas.rest()
            if not rest:
                return
        with _producing(self, node, rest):
            yield from original(self, node, threads)

    return put(cls, "_multithread_process_node", _multithread_process_node)


@contextmanager
def _producing(source: Any, node: Any, entities: Iterable[Any]) -> Iterator[None]:
    """Have upstream find these entities where it asks a node for what it produces."""
    produce = source._run_node_producer

    def _run_node_producer(asked: Any) -> Any:
        return entities if asked is node else produce(asked)

    source._run_node_producer = _run_node_producer
    try:
        yield
    finally:
        del source._run_node_producer
