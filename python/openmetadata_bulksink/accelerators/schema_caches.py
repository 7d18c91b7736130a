"""Upstream's Redshift source reads whole schemas: their columns, the definitions of their views, when their tables
were made. It keeps the answer for one schema at a time, and `threads: N` of the workflow puts N threads to N schemas:
each takes the slot from the others, and a query for a whole schema is sent for nearly every table.

Here each thread has a slot, those that are at the same schema share it, and the first one asks. With one thread it is
upstream's slot. A schema that no thread is at is forgotten, as upstream does: memory grows with the number of
threads, not with the number of schemas.

Two more things that threads share would make it a bad bargain, because tables come out wrong, not late:

- The keys of a schema's tables stand in one attribute of the source, which each thread replaces by those of its own
  schema: tables of the others lose their keys. Here each thread has its own.
- The comments of all tables are read once for a run. Threads take the empty dictionary of the first one for a full
  one while its query is on the way, and their tables lose their descriptions; here they wait.

The latter holds for PostgreSQL, too: for comments, for definitions of views and for owners. Threads wait there as well.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import (
    StepsAside,
    Undo,
    all_of,
    fingerprint,
    loaded,
    put,
    put_in,
    recognised,
    undone_if_incomplete,
)

SOURCE = "metadata.ingestion.source.database.redshift.metadata"
_DIALECT = "sqlalchemy_redshift.dialect"
_LIFE_CYCLE = "metadata.ingestion.source.database.life_cycle_query_mixin"
_COMMENTS = "metadata.utils.sqlalchemy_utils"
POSTGRES = "metadata.ingestion.source.database.postgres.metadata"
_POSTGRES_DIALECT = "sqlalchemy.dialects.postgresql.base"

#: `_get_schema_column_info`, as text: 1.11; 1.13; 2.0. 1.12 keeps all schemas of a thread by itself.
_KNOWN_COLUMNS = frozenset({"290407693cb401a7", "3fd3ac37f35baa0a", "60424210cf9028fd"})
#: `_get_all_relation_info`, as text: 1.11; 1.13; 2.0.
_KNOWN_RELATIONS = frozenset({"9d0540c8c1fc902d", "2bd4bb85bcc64605", "766fe3cd8ccec832"})
#: `_get_schema_column_info` and `_get_all_relation_info` of 1.12.
_ONE_FOR_EACH_SCHEMA = frozenset({"cf0349835daf1a11"})
#: `life_cycle_query_dict`, as text: 1.11 and 1.12; 1.13; 2.0.
_KNOWN_LIFE_CYCLE = frozenset({"68fa2f68c06d55f1", "76bc323acd55c6d1", "3046ae9f04423081"})

#: `get_table_comment` and `get_table_comment_wrapper`, as text: 1.11 and 1.12; 1.13; 2.0.
_KNOWN_COMMENTS = frozenset({"0c6bc4819727b3eb", "efd25ac6fe17ab5e", "6a38389044974f4d"})
#: `_set_constraint_details` and `_get_columns_with_constraints`, as text: 1.11; 1.12 and 1.13; 2.0.
_KNOWN_KEYS = frozenset({"78dcb10bdc6cfa34", "f0a7f57e06703e3b", "5563e9a0fac0469c"})
#: `get_partition_details` of 1.11, which reads a schema's partitions into one attribute, too.
_PARTITIONS_OF_A_SCHEMA = frozenset({"5c648bcaaa1eabea"})

#: What PostgreSQL's dialect has of upstream's `get_...` and `get_all_...`, and `get_..._wrapper`, as text: 1.11 and
#: 1.12; 1.13; 2.0.
_KNOWN_OF_POSTGRES = frozenset({"8c765bb51c4ace76", "9cf4e4a60a3de15d", "dc98260aa2cb77e0"})
_READ_ONCE = {
    "get_table_comment": "get_all_table_comments",
    "get_view_definition": "get_all_view_definitions",
    "get_table_owner": "get_all_table_owners",
}

_READS_KEYS = ("_set_constraint_details", "_get_columns_with_constraints")

_WHAT = "upstream's reading of whole schemas"


class _Slot:
    """The answer for one schema, once the first thread has it."""

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self.answer: tuple[Any] | None = None


class _Slots:
    """The slots of one source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot] = {}
        self._at: dict[int, Hashable] = {}

    def get(self, key: Hashable, ask: Callable[[], Any]) -> Any:
        """The answer for a schema; what `ask` raises is raised, and asked for again the next time."""
        slot = self._slots.get(key)
        if slot is None or self._at.get(threading.get_ident()) != key:
            slot = self._move_to(key)
        if slot.answer is None:
            with slot.asking:
                if slot.answer is None:
                    slot.answer = (ask(),)
        return slot.answer[0]

    def _move_to(self, key: Hashable) -> _Slot:
        """Take this thread to another schema; forget those that no thread is left at."""
        alive = {thread.ident for thread in threading.enumerate()}
        with self._lock:
            self._at[threading.get_ident()] = key
            for thread in [thread for thread in self._at if thread not in alive]:
                del self._at[thread]
            wanted = set(self._at.values())
            for left in [schema for schema in self._slots if schema not in wanted]:
                del self._slots[left]
            return self._slots.setdefault(key, _Slot())


class _SlotsOfEach:
    """The slots of each source or dialect, for as long as that lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: weakref.WeakKeyDictionary[Any, _Slots] = weakref.WeakKeyDictionary()

    def of(self, owner: Any) -> _Slots:
        slots = self._slots.get(owner)
        if slots is None:
            with self._lock:
                slots = self._slots.setdefault(owner, _Slots())
        return slots


class _OfEachThread:
    """An attribute that holds a dictionary of each thread's own, for as long as the thread lives."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._values: weakref.WeakKeyDictionary[Any, threading.local] = weakref.WeakKeyDictionary()

    def put(self, cls: Any) -> Undo:
        """Make it an attribute of a class that has it in its objects only."""
        setattr(cls, self._name, self)

        def undo() -> None:
            if vars(cls).get(self._name) is self:
                delattr(cls, self._name)

        return undone_if_incomplete(undo)

    def __get__(self, source: Any, _: Any = None) -> Any:
        if source is None:
            return self
        own = self._own(source)
        if not hasattr(own, "value"):
            try:
                own.value = dict(source.__dict__[self._name])
            except KeyError:
                raise AttributeError(self._name) from None
        return own.value

    def __set__(self, source: Any, value: Any) -> None:
        self._own(source).value = value
        source.__dict__[self._name] = value

    def _own(self, source: Any) -> threading.local:
        own = self._values.get(source)
        if own is None:
            with self._lock:
                own = self._values.setdefault(source, threading.local())
        return own


def install() -> Undo:
    """Put the slots in, for the connectors that this process has imported. Raises StepsAside."""
    parts = [part for module, part in ((SOURCE, _redshift), (POSTGRES, _postgres)) if module in sys.modules]
    if not parts:
        raise StepsAside
    return put_in(lambda: all_of([undo for part in parts for undo in part()]))


def _postgres() -> list[Undo]:
    """Let threads wait for what is read once for a database."""
    cls, shared = loaded(_POSTGRES_DIALECT).PGDialect, loaded(_COMMENTS)
    functions = [vars(cls).get(name) for pair in _READ_ONCE.items() for name in pair]
    functions += [getattr(shared, f"{name}_wrapper", None) for name in _READ_ONCE]
    recognised(_KNOWN_OF_POSTGRES, _WHAT, *functions)
    return [put(cls, name, _after_the_first(vars(cls)[name])) for name in _READ_ONCE]


def _after_the_first(ask: Any) -> Any:
    """A function that reads for all tables of a database at its first call. Other threads wait for that one; then each
    looks up its own.
    """
    read = _SlotsOfEach()

    @wraps(ask)
    def look_up(self: Any, connection: Any, *args: Any, **kw: Any) -> Any:
        database = connection.engine.url.database
        read.of(self).get(database, lambda: ask(self, connection, *args, **kw))
        return ask(self, connection, *args, **kw)

    return look_up


def _redshift() -> list[Undo]:
    """One slot for each schema, keys for each thread, and waiting for comments."""
    source = getattr(loaded(SOURCE), "RedshiftSource", None)
    dialect, mixin = loaded(_DIALECT), loaded(_LIFE_CYCLE).LifeCycleQueryMixin
    with_lru_cache = vars(mixin).get("life_cycle_query_dict")
    ask_life_cycles: Any = getattr(with_lru_cache, "__wrapped__", None)
    ask_columns = vars(dialect.RedshiftDialectMixin).get("_get_schema_column_info")
    ask_relations = vars(dialect.RedshiftDialect).get("_get_all_relation_info")
    ask_comment = vars(dialect.RedshiftDialect).get("get_table_comment")
    recognised(_KNOWN_LIFE_CYCLE, _WHAT, with_lru_cache)
    recognised(_KNOWN_COMMENTS, _WHAT, ask_comment, getattr(loaded(_COMMENTS), "get_table_comment_wrapper", None))
    recognised(_KNOWN_KEYS, _WHAT, *(getattr(source, name, None) for name in _READS_KEYS))
    one_for_each = None not in (ask_columns, ask_relations) and (
        fingerprint(ask_columns, ask_relations) in _ONE_FOR_EACH_SCHEMA
    )
    if not one_for_each:
        recognised(_KNOWN_COLUMNS, _WHAT, ask_columns)
        recognised(_KNOWN_RELATIONS, _WHAT, ask_relations)

    life_cycles, columns, relations = _SlotsOfEach(), _SlotsOfEach(), _SlotsOfEach()

    @wraps(ask_life_cycles)
    def life_cycle_query_dict(self: Any, query: str) -> Any:
        return life_cycles.of(self).get(query, lambda: ask_life_cycles(self, query))

    @wraps(ask_columns)
    def schema_column_info(self: Any, connection: Any, schema: Any = None, **kw: Any) -> Any:
        return columns.of(self).get(schema, lambda: ask_columns(self, connection, schema, **kw))

    @wraps(ask_relations)
    def all_relation_info(self: Any, connection: Any, **kw: Any) -> Any:
        return relations.of(self).get(kw.get("schema"), lambda: ask_relations(self, connection, **kw))

    undo = [
        _OfEachThread("constraint_details").put(source),
        put(mixin, "life_cycle_query_dict", life_cycle_query_dict),
        put(dialect.RedshiftDialect, "get_table_comment", _after_the_first(ask_comment)),
    ]
    if not one_for_each:
        undo.append(put(dialect.RedshiftDialectMixin, "_get_schema_column_info", schema_column_info))
        undo.append(put(dialect.RedshiftDialect, "_get_all_relation_info", all_relation_info))

    read_partitions = getattr(source, "get_partition_details", None)
    if read_partitions is not None and fingerprint(read_partitions) in _PARTITIONS_OF_A_SCHEMA:
        undo.append(_OfEachThread("partition_details").put(source))
    return undo
