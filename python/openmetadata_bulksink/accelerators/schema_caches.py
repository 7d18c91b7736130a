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
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import Undo, all_of, fingerprint, loaded, put, recognised

SOURCE = "metadata.ingestion.source.database.redshift.metadata"
_DIALECT = "sqlalchemy_redshift.dialect"
_LIFE_CYCLE = "metadata.ingestion.source.database.life_cycle_query_mixin"
_COMMENTS = "metadata.utils.sqlalchemy_utils"

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

        return undo

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
    """Put the slots in. Raises StepsAside."""
    source = getattr(loaded(SOURCE), "RedshiftSource", None)
    dialect, mixin = loaded(_DIALECT), loaded(_LIFE_CYCLE).LifeCycleQueryMixin
    with_lru_cache = vars(mixin).get("life_cycle_query_dict")
    ask_life_cycles: Any = getattr(with_lru_cache, "__wrapped__", None)
    ask_columns = vars(dialect.RedshiftDialectMixin).get("_get_schema_column_info")
    ask_relations = vars(dialect.RedshiftDialect).get("_get_all_relation_info")
    ask_comment = vars(dialect.RedshiftDialect).get("get_table_comment")
    recognised(_KNOWN_LIFE_CYCLE, _WHAT, ask_life_cycles)
    recognised(_KNOWN_COMMENTS, _WHAT, ask_comment, getattr(loaded(_COMMENTS), "get_table_comment_wrapper", None))
    recognised(_KNOWN_KEYS, _WHAT, *(getattr(source, name, None) for name in _READS_KEYS))
    one_for_each = None not in (ask_columns, ask_relations) and (
        fingerprint(ask_columns, ask_relations) in _ONE_FOR_EACH_SCHEMA
    )
    if not one_for_each:
        recognised(_KNOWN_COLUMNS, _WHAT, ask_columns)
        recognised(_KNOWN_RELATIONS, _WHAT, ask_relations)

    life_cycles, columns, relations, comments = _SlotsOfEach(), _SlotsOfEach(), _SlotsOfEach(), _SlotsOfEach()

    @wraps(ask_life_cycles)
    def life_cycle_query_dict(self: Any, query: str) -> Any:
        return life_cycles.of(self).get(query, lambda: ask_life_cycles(self, query))

    @wraps(ask_columns)
    def schema_column_info(self: Any, connection: Any, schema: Any = None, **kw: Any) -> Any:
        return columns.of(self).get(schema, lambda: ask_columns(self, connection, schema, **kw))

    @wraps(ask_relations)
    def all_relation_info(self: Any, connection: Any, **kw: Any) -> Any:
        return relations.of(self).get(kw.get("schema"), lambda: ask_relations(self, connection, **kw))

    @wraps(ask_comment)
    def table_comment(self: Any, connection: Any, *args: Any, **kw: Any) -> Any:
        database = connection.engine.url.database
        # The first one reads them all; then each one looks up its own.
        comments.of(self).get(database, lambda: ask_comment(self, connection, *args, **kw))
        return ask_comment(self, connection, *args, **kw)

    undo = [
        _OfEachThread("constraint_details").put(source),
        put(mixin, "life_cycle_query_dict", life_cycle_query_dict),
        put(dialect.RedshiftDialect, "get_table_comment", table_comment),
    ]
    if not one_for_each:
        undo.append(put(dialect.RedshiftDialectMixin, "_get_schema_column_info", schema_column_info))
        undo.append(put(dialect.RedshiftDialect, "_get_all_relation_info", all_relation_info))

    read_partitions = getattr(source, "get_partition_details", None)
    if read_partitions is not None and fingerprint(read_partitions) in _PARTITIONS_OF_A_SCHEMA:
        undo.append(_OfEachThread("partition_details").put(source))

    return all_of(undo)
