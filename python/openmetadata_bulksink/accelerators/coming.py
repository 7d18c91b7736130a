"""The tables that come.

Upstream's producer of a schema's tables is a generator: the next name is known when the one before is done. Here some
names are taken ahead of the consumer, and those who ask the database early (`postgres_bulk`, `read_ahead`) are told.
The producer runs as ever, on its own thread, with the same context; what it raises comes where it would have come.

Also here, because nobody else knows that moment: the sink decides whether it is native before the first table is read,
not after.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from typing import Any, NamedTuple, Protocol

from openmetadata_bulksink.accelerators import StepsAside, Undo, loaded, put
from openmetadata_bulksink.log import log

SOURCE = "metadata.ingestion.source.database.common_db_source"

_END = object()


class Window(NamedTuple):
    """How many names are to be taken: when fewer than `low` are left, up to `high`."""

    low: int
    high: int


#: A table's name, and upstream's type of it.
Table = tuple[str, Any]


class Listener(Protocol):
    """Who wants to know what comes."""

    def window(self, source: Any) -> Window | None:
        """How far ahead of this source; None: not at all."""

    def expect(self, source: Any, schema: str, tables: list[Table]) -> None:
        """The next tables of a schema of this thread, in their order."""

    def turn(self, source: Any, schema: str, table: Table | None) -> None:
        """The table that upstream reads from now on; None: it is done with the last one that was named."""


_lock = threading.Lock()
_listeners: list[Listener] = []
_decisions: dict[int, weakref.WeakMethod[Callable[[], object]]] = {}


def listen(listener: Listener) -> Undo:
    """Tell somebody what comes. `install` must be in already."""
    with _lock:
        _listeners.append(listener)

    def undo() -> None:
        with _lock:
            _listeners[:] = [one for one in _listeners if one is not listener]

    return undo


def is_wanted(source: Any, but: Listener) -> bool:
    """Whether another listener than this one looks ahead of a source."""
    return any(listener is not but and listener.window(source) is not None for listener in tuple(_listeners))


def decide_first(metadata: Any, decide: weakref.WeakMethod[Callable[[], object]]) -> Undo:
    """Call something before the first table is read of a source that has this client. It may be called again."""
    with _lock:
        _decisions[id(metadata)] = decide

    def undo() -> None:
        with _lock:
            if _decisions.get(id(metadata)) is decide:
                del _decisions[id(metadata)]

    return undo


def install() -> Undo:
    """Stand in front of the producer. Raises StepsAside."""
    cls = loaded(SOURCE).CommonDbSourceService
    original = vars(cls).get("get_tables_name_and_type")
    # More than this need not be known: a generator does nothing that its consumer does not ask for.
    if not inspect.isgeneratorfunction(original) or list(inspect.signature(original).parameters) != ["self"]:
        raise StepsAside("upstream's list of tables has changed")

    @wraps(original)
    def get_tables_name_and_type(self: Any) -> Any:
        produced = iter(original(self) or ())
        first = next(produced, _END)
        if first is _END:
            return
        _decide(self)
        yield from _Ahead(self, first, produced)

    return put(cls, "get_tables_name_and_type", get_tables_name_and_type, calls_original=True)


def _decide(source: Any) -> None:
    known = _decisions.get(id(getattr(source, "metadata", None)))
    decide = None if known is None else known()
    if decide is None:
        return
    try:
        decide()
    except Exception as error:  # noqa: BLE001 - the sink meets it again at its first record, and says it there
        log.debug("The sink could not decide before the first table: %s", error)


class _Ahead:
    """The tables of one schema, some of them taken ahead."""

    def __init__(self, source: Any, first: Any, produced: Iterator[Any]) -> None:
        self._source = source
        self._schema = source.context.get().database_schema
        self._produced = produced
        self._taken: deque[Any] = deque([first])
        self._told = 0
        self._ended = False
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        while True:
            listening = self._listening()
            self._take(listening)
            if not self._taken:
                if self._error is not None:
                    raise self._error
                return
            listeners = [listener for listener, _ in listening]
            self._tell(listeners)
            self._told = max(self._told - 1, 0)
            table = self._taken.popleft()
            for listener in listeners:
                listener.turn(self._source, self._schema, table)
            yield table
            for listener in listeners:
                listener.turn(self._source, self._schema, None)

    def _listening(self) -> list[tuple[Listener, Window]]:
        found = []
        for listener in tuple(_listeners):
            window = listener.window(self._source)
            if window is not None:
                found.append((listener, window))
        return found

    def _take(self, listening: list[tuple[Listener, Window]]) -> None:
        """One name is taken for the consumer in any case."""
        wanted = max((window.high for _, window in listening if len(self._taken) < window.low), default=1)
        while len(self._taken) < wanted and not self._ended:
            try:
                item = next(self._produced, _END)
            except Exception as error:  # noqa: BLE001 - raised after what was produced before it
                self._error, item = error, _END
            if item is _END:
                self._ended = True
            else:
                self._taken.append(item)

    def _tell(self, listeners: list[Listener]) -> None:
        """Names that were taken before anybody listened are told to those who listen later."""
        if not listeners or self._told == len(self._taken):
            return
        fresh = list(islice(self._taken, self._told, None))
        self._told = len(self._taken)
        for listener in listeners:
            listener.expect(self._source, self._schema, fresh)
