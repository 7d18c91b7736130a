"""Upstream asks PostgreSQL nine statements for each table, one after the other: at 10 ms a round trip, 90 ms a table.
Here the tables of a chunk are read together, with one statement for each kind of question, in one snapshot; upstream's
functions, and SQLAlchemy's, run as ever and parse the rows of their table.

questions: what is asked, and how for many. chunk: which tables, whose answers, when it pays. connection: what stands
for a connection. snapshot: the reading. reader: one thread's chunks. This file puts them in front of upstream's source,
whose functions it knows by their text; those of the dialect are looked at when they are used, because other connectors
put their own there on import.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, all_of, coming, fingerprint, known, loaded, put
from openmetadata_bulksink.accelerators.postgres_bulk.chunk import MOST_TABLES
from openmetadata_bulksink.accelerators.postgres_bulk.questions import NotHere
from openmetadata_bulksink.accelerators.postgres_bulk.reader import Reader
from openmetadata_bulksink.log import log

SOURCE = "metadata.ingestion.source.database.postgres.metadata"
_WHAT = "upstream's reading of a PostgreSQL table"

#: What upstream reads a table with, as text: 1.11; 1.12; 1.13.0 to 1.13.1; later 1.13; 2.0. What stands around it, and
#: makes columns of what was read, hands the inspector on and is not looked at.
_READ_WITH = ("_get_columns_with_constraints", "_get_columns_internal", "get_table_partition_details")
_KNOWN = frozenset({"09c0ec934cbb8406", "ef6287bd6d3d2e90", "79c5a19644971151", "f21687e1de28a09f", "d72a426980d8c484"})
_PARAMETERS = ["self", "schema_name", "table_name", "db_name", "inspector", "table_type"]

#: What the dialect reads a table with, as text: SQLAlchemy 1.4; 2.0; 2.1, each with upstream's `get_columns` and
#: `get_foreign_keys`. Not `get_table_oid`, where the accelerator `statements` may stand: it is not called.
_DIALECTS = frozenset({"1d8086cdc72a5fd7", "513bd0b4a7d1b5fa", "8ed7b641d74e3d96"})
_OF_DIALECT = (
    "get_columns",
    "get_foreign_keys",
    "get_pk_constraint",
    "get_multi_pk_constraint",
    "get_unique_constraints",
    "get_multi_unique_constraints",
    "_reflect_constraint",
    "_constraint_query",
    "_get_table_oids",
    "_table_oids_query",
    "_prepare_filter_names",
    "_kind_to_relkinds",
    "_pg_class_filter_scope_schema",
    "_pg_class_relkind_condition",
    "_load_enums",
    "_enum_query",
    "_load_domains",
    "_domain_query",
)


def install() -> Undo:
    """Read in chunks. `coming` must be in already. Raises StepsAside."""
    cls = loaded(SOURCE).PostgresSource
    known(_KNOWN, _WHAT, cls, *_READ_WITH)
    if list(inspect.signature(cls.get_columns_and_constraints).parameters) != _PARAMETERS:
        raise StepsAside(f"{_WHAT} has changed")
    readers = _Readers(cls)

    @wraps(cls.get_columns_and_constraints)
    def get_columns_and_constraints(
        self: Any, schema_name: str, table_name: str, db_name: str, inspector: Any, table_type: Any = None
    ) -> Any:
        original = super(cls, self).get_columns_and_constraints
        reader, from_chunk = readers.of(self), None
        if reader is not None:
            try:
                from_chunk = reader.inspector(self, schema_name, table_name, inspector)
            except Exception as error:  # noqa: BLE001 - then upstream asks
                log.debug("postgres_bulk left %s.%s alone: %s", schema_name, table_name, error)
        if reader is not None and from_chunk is not None:
            try:
                return original(schema_name, table_name, db_name, from_chunk, table_type)
            except NotHere:
                reader.lose(table_name)
        return original(schema_name, table_name, db_name, inspector, table_type)

    partition_details = vars(cls)["get_table_partition_details"]

    @wraps(partition_details)
    def get_table_partition_details(self: Any, table_name: str, schema_name: str, inspector: Any) -> Any:
        reader = readers.of(self)
        found = None if reader is None else reader.partition(self, schema_name, table_name)
        if found is not None:
            return found
        return partition_details(self, table_name, schema_name, inspector)

    readers.partition_details = partition_details
    return all_of(
        [
            put(cls, "get_columns_and_constraints", get_columns_and_constraints, calls_original=True),
            put(cls, "get_table_partition_details", get_table_partition_details, calls_original=True),
            coming.listen(readers),
        ]
    )


class _Readers:
    """The readers of each source, one for each of its threads."""

    partition_details: Any = None

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._readers: weakref.WeakKeyDictionary[Any, dict[int, Reader]] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._dialects: dict[tuple[Any, ...], bool] = {}

    def of(self, source: Any) -> Reader | None:
        """The one of this thread; None where nothing was expected: the source is not known, or its dialect is not."""
        threads = self._readers.get(source)
        return None if threads is None else threads.get(threading.get_ident())

    def window(self, source: Any) -> coming.Window | None:
        """For `coming`."""
        of_class: type = type(source)
        if of_class is not self._cls:
            return None
        reader = self.of(source)
        if reader is not None and reader.is_off:
            return None
        return coming.Window(2, MOST_TABLES) if self._knows(source.engine.dialect) else None

    def expect(self, source: Any, schema: str, tables: list[coming.Table]) -> None:
        """For `coming`."""
        with self._lock:
            reader = self._readers.setdefault(source, {}).setdefault(
                threading.get_ident(), Reader(self.partition_details)
            )
        reader.expected.add(schema, [name for name, _ in tables])

    def turn(self, source: Any, schema: str, table: coming.Table | None) -> None:
        """For `coming`: a chunk is read when its first table asks for it."""

    def _knows(self, dialect: Any) -> bool:
        """Whether the functions that stand in this dialect now are those that were read."""
        functions = tuple(_plain(getattr(type(dialect), name, None)) for name in _OF_DIALECT)
        if functions not in self._dialects:
            self._dialects[functions] = dialect.driver == "psycopg2" and _are_known(functions)
        return self._dialects[functions]


def _plain(function: Any) -> Any:
    return getattr(function, "fget", function)


def _are_known(functions: tuple[Any, ...]) -> bool:
    try:
        return fingerprint(*(function for function in functions if function is not None)) in _DIALECTS
    except StepsAside:
        return False
