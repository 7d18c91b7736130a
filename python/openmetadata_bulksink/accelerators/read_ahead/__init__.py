"""The statements of coming tables, sent ahead of their turn on connections of our own.

A source that asks its database for one table after the other waits for a round trip each time. What it asks is learned
from its first tables; what it will ask for the next ones is sent on helper connections, and handed over when upstream
sends exactly the same text with exactly the same parameters. Upstream's code runs as ever, on its own thread and with
its own connection; a wrong guess costs a statement and changes nothing.

texts: which statements, and when two are the same. templates, learning: what is guessed. worth: when it pays, when it
ends. guesses: between the threads. asking: the connections. reader: one source. threads: what `threads: N` grants. This
file: which sources, and how many connections they are granted.
"""

from __future__ import annotations

import sys
import threading
import weakref
from contextlib import suppress
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, all_of, coming, loaded, put
from openmetadata_bulksink.accelerators.read_ahead import threads
from openmetadata_bulksink.accelerators.read_ahead.reader import Reader
from openmetadata_bulksink.accelerators.read_ahead.templates import Place
from openmetadata_bulksink.log import log

#: Sources that were tried, by module and class.
_SOURCES = frozenset(
    {
        ("metadata.ingestion.source.database.mariadb.metadata", "MariadbSource"),
        ("metadata.ingestion.source.database.mysql.metadata", "MysqlSource"),
        ("metadata.ingestion.source.database.postgres.metadata", "PostgresSource"),
    }
)
MODULES = sorted(module for module, _ in _SOURCES)

#: Their drivers: whole answers, in cursors that can go back to the first row.
_DRIVERS = frozenset({"pymysql", "psycopg2"})

#: What ends a source's connections, where upstream has it.
_ENDS = ("close", "_release_engine", "set_inspector")

_lock = threading.Lock()
_granted: dict[int, int | None] = {}
#: Clients whose source could have been read ahead, and was granted nothing.
_lacking: set[int] = set()


def grant(metadata: Any, connections: int | None) -> Undo:
    """Let the source that has this client open so many connections; None: as many as the threads of its workflow, less
    the one that it reads with.
    """
    with _lock:
        _granted[id(metadata)] = connections

    def undo() -> None:
        with _lock:
            _granted.pop(id(metadata), None)
            _lacking.discard(id(metadata))

    return undo


def granted(metadata: Any) -> int | None:
    """The connections of the source that has this client; 0: it was granted none, and they would help. None: no
    number would, or somebody wants none.
    """
    return 0 if id(metadata) in _lacking else _granted.get(id(metadata)) or None


def may_help(source: Any) -> bool:
    """Whether a source is one of those that can be read ahead."""
    cls = type(source)
    return (cls.__module__, cls.__qualname__) in _SOURCES


def install() -> Undo:
    """Listen to what comes. `coming` must be in already. Raises StepsAside."""
    if not any(module in sys.modules for module in MODULES):
        raise StepsAside
    cls = loaded(coming.SOURCE).CommonDbSourceService
    readers = _Readers()
    undo = [readers.close_all, coming.listen(readers)]
    with suppress(StepsAside):  # upstream's threads stay then
        undo.append(threads.install(readers))
    undo += [_close_before(readers, cls, name) for name in _ENDS if name in vars(cls)]
    return all_of(undo)


def _close_before(readers: _Readers, cls: Any, name: str) -> Undo:
    original = vars(cls)[name]

    @wraps(original)
    def end(self: Any, *arguments: Any, **named: Any) -> Any:
        readers.close(self)
        return original(self, *arguments, **named)

    return put(cls, name, end, calls_original=True)


class _Readers:
    """The reader of each source."""

    def __init__(self) -> None:
        self._readers: weakref.WeakKeyDictionary[Any, Reader] = weakref.WeakKeyDictionary()
        #: What is granted to sources that are read in one thread instead of several.
        self._instead: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def may_stand_in(self, source: Any) -> bool:
        """For `threads`."""
        if id(source.metadata) not in _granted or not may_help(source) or threads.asks_the_server(source):
            return False
        return source.engine.dialect.driver in _DRIVERS and not coming.is_wanted(source, self)

    def stands_in(self, source: Any, count: int, schemas: int) -> bool:
        """For `threads`. A number of connections that somebody granted is asked for with any number of schemas."""
        by_number = _granted.get(id(source.metadata))
        if not by_number and not threads.would_idle(schemas, count):
            return False
        self._instead[source] = connections = by_number or count - 1
        log.info(
            "threads: %s of the workflow: one thread reads, and up to %s connections ask ahead of it "
            "(OM_BULKSINK_READ_AHEAD=0 leaves it to upstream's threads).",
            count,
            connections,
        )
        return True

    def goes_on(self, source: Any) -> bool:
        """For `threads`: whether it still asks ahead, as far as is known."""
        reader = self._readers.get(source)
        if reader is None or reader.window is not None:
            return True
        reader.end_if_over()
        self._instead.pop(source, None)
        return False

    def window(self, source: Any) -> coming.Window | None:
        """For `coming`."""
        connections = self._instead.get(source)
        if connections is None and source.context.threads <= 1:
            connections = _granted.get(id(source.metadata))
        if not may_help(source) or coming.is_wanted(source, self):
            return None
        if not connections:
            if source.context.threads <= 1 and _granted.get(id(source.metadata), 0) is None:
                _lacking.add(id(source.metadata))
            return None
        reader = self._readers.get(source)
        if reader is None or reader.engine is not source.engine:
            reader = self._open(source, connections)
        if reader is None:
            return None
        wanted = reader.window
        if wanted is None:
            reader.end_if_over()  # it is told of no more tables
            return None
        return coming.Window(wanted, wanted)

    def _open(self, source: Any, connections: int) -> Reader | None:
        self.close(source)
        engine = source.engine
        if engine.dialect.driver not in _DRIVERS or type(engine.pool).__name__ != "QueuePool":
            return None
        reader = self._readers[source] = Reader(engine, connections)
        return reader

    def expect(self, source: Any, schema: str, tables: list[coming.Table]) -> None:
        """For `coming`."""
        reader = self._readers.get(source)
        if reader is not None:
            reader.expect([(Place(schema, name), kind) for name, kind in tables])

    def turn(self, source: Any, schema: str, table: coming.Table | None) -> None:
        """For `coming`."""
        reader = self._readers.get(source)
        if reader is not None:
            reader.turn(None if table is None else (Place(schema, table[0]), table[1]))

    def close(self, source: Any) -> None:
        """Before the source's connections are closed."""
        reader = self._readers.pop(source, None)
        if reader is not None:
            reader.close()

    def close_all(self) -> None:
        """At the end of a sink."""
        for source in list(self._readers):
            self.close(source)
