"""For each table upstream's PostgreSQL source and SQLAlchemy's dialect build the same four statements anew: two that
are texts with types for their columns, one that is a text, and the select that looks up the table's number. SQLAlchemy
then walks over each, to find what it compiled for the one before.

Built once here. The SQL that is sent, and the values in it, stay the same to the byte.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, all_of, fingerprint, known, loaded, names_used_by, put

MODULE = "metadata.ingestion.source.database.postgres.utils"
SOURCE = "metadata.ingestion.source.database.postgres.metadata"
_DIALECT = "sqlalchemy.dialects.postgresql.base"

#: `get_columns`, `get_foreign_keys` and `get_schema_names`, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"368d357402acc195", "6c7e76b0ddd4bdfc"})
_BUILD_TEXTS = ("get_columns", "get_foreign_keys", "get_schema_names")

#: `get_table_partition_details`, as text: 1.11 and 1.12, which hand over a string; 1.13; 2.0.
_KNOWN_PARTITIONS = frozenset({"b9d8fc9fb218ab1f", "b9ff48dc98481adb", "92d246d87ee2118b"})

#: `get_table_oid` and what it puts its conditions together with, as text: SQLAlchemy 2.0 and 2.1.
_KNOWN_SELECT = frozenset({"9491c08e843e38b5"})
_BUILD_SELECT = ("get_table_oid", "_pg_class_filter_scope_schema", "_pg_class_relkind_condition")
#: `get_table_oid` of SQLAlchemy 1.4, which is a text there, and left alone.
_IS_TEXT = frozenset({"5ca611028f2d2a8f"})

#: Statements that are kept; some of upstream's texts hold the name of a schema.
_MOST = 64


class _Text:
    """In place of a text: what is derived from it is kept."""

    def __init__(self, text: Any) -> None:
        self._text = text
        self._with_parameters: dict[tuple[str, ...], _Text] = {}
        self.columns = lru_cache(maxsize=_MOST)(text.columns)

    def bindparams(self, *parameters: Any) -> _Text:
        """As SQLAlchemy's; a parameter of one name has one type in the functions that were read."""
        names = tuple(parameter.key for parameter in parameters)
        found = self._with_parameters.get(names)
        if found is None:
            found = self._with_parameters.setdefault(names, _Text(self._text.bindparams(*parameters)))
        return found


class _Sql:
    """In place of `sqlalchemy.sql` in one module."""

    def __init__(self, original: Any) -> None:
        self._original = original
        self.text = lru_cache(maxsize=_MOST)(lambda text: _Text(original.text(text)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def install() -> Undo:
    """Keep the statements. Raises StepsAside."""
    module, source, dialect = loaded(MODULE), loaded(SOURCE), loaded(_DIALECT)
    what = "upstream's way of building statements for PostgreSQL"
    known(_KNOWN, what, module, *_BUILD_TEXTS)
    users = {name for name, function in vars(module).items() if "sql" in names_used_by(function)}
    if users != set(_BUILD_TEXTS):
        raise StepsAside(f"{what} has changed")
    known(_KNOWN_PARTITIONS, what, source.PostgresSource, "get_table_partition_details")
    is_text = fingerprint(dialect.PGDialect.get_table_oid) in _IS_TEXT
    if not is_text:
        known(_KNOWN_SELECT, "SQLAlchemy's look-up of a table's number", dialect.PGDialect, *_BUILD_SELECT)

    undo = [put(module, "sql", _Sql(module.sql))]
    if "text" in vars(source):
        undo.append(put(source, "text", lru_cache(maxsize=_MOST)(source.text)))
    if not is_text:
        undo.append(put(dialect.PGDialect, "get_table_oid", _look_up(dialect)))
    return all_of(undo)


def _look_up(dialect: Any) -> Any:
    """In place of SQLAlchemy's `get_table_oid`: one select for each schema, with the name of the table as its
    parameter. SQLAlchemy calls that parameter `relname_1`, too.
    """
    catalog = dialect.pg_catalog
    kinds, anywhere = catalog.RELKINDS_ALL_TABLE_LIKE, dialect.ObjectScope.ANY

    kept: dict[tuple[Any, str | None], Any] = {}

    def of_schema(self: Any, schema: str | None) -> Any:
        query = dialect.select(catalog.pg_class.c.oid).where(
            catalog.pg_class.c.relname == dialect.bindparam("relname_1"), self._pg_class_relkind_condition(kinds)
        )
        query = self._pg_class_filter_scope_schema(query, schema, scope=anywhere)
        if len(kept) >= _MOST:
            kept.clear()
        return kept.setdefault((type(self), schema), query)

    def get_table_oid(self: Any, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:  # noqa: ARG001
        query = kept.get((type(self), schema))
        if query is None:
            query = of_schema(self, schema)
        oid = connection.scalar(query, {"relname_1": table_name})
        if oid is None:
            raise dialect.exc.NoSuchTableError(f"{schema}.{table_name}" if schema else table_name)
        return oid

    return dialect.reflection.cache(get_table_oid)
