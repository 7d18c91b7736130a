"""BigQuery's source asks for each table twice: itself, and for the table's comment once more through SQLAlchemy's
dialect, over another client. The comment is a part of the first answer, which upstream keeps; it is taken from there.

Left to upstream: a table that the dialect would look for under another name than the one that was found, and sources
that impersonate a service account, since up to 1.12 only the first of the two questions does.
"""

from __future__ import annotations

from contextlib import suppress
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, loaded, put, recognised

MODULE = "metadata.ingestion.source.database.bigquery.metadata"
_BELOW = "metadata.ingestion.source.database.common_db_source"
_DIALECT = "sqlalchemy_bigquery.base"

#: `get_table_description` and `get_table_obj` of the source, and `get_table_description` of what it is made from, as
#: text: 1.11.0 to 1.11.6; later 1.11, and 1.12; 1.13; 2.0.
_KNOWN = frozenset({"499e99cbbab8d335", "8e08a8e125a49ce0", "4edefd3aeefb7c91", "3e9cd89dcaf66a25"})
#: What the dialect reads a comment with, as text: sqlalchemy-bigquery 1.15 to 1.17.
_KNOWN_DIALECT = frozenset({"58725d81641504ff"})
_READS_COMMENT = ("get_table_comment", "_get_table", "_table_reference", "_split_table_name")


def install() -> Undo:
    """Answer the second question from the first. Raises StepsAside."""
    source = loaded(MODULE).BigquerySource
    dialect = loaded(_DIALECT).BigQueryDialect
    below = loaded(_BELOW).CommonDbSourceService
    what = "upstream's reading of comments"
    original = vars(source).get("get_table_description")
    if getattr(super(source, source), "get_table_description", None) is not below.get_table_description:
        raise StepsAside(f"{what} has changed")
    recognised(_KNOWN, what, original, vars(source).get("get_table_obj"), below.get_table_description)
    recognised(_KNOWN_DIALECT, what, *(getattr(dialect, name, None) for name in _READS_COMMENT))
    get_table = source.get_table_obj

    @wraps(original)
    def get_table_description(self: Any, schema_name: str, table_name: str, inspector: Any) -> Any:
        table = None
        if type(self).get_table_obj is get_table and type(inspector.dialect) is dialect:
            # What goes wrong here goes wrong for upstream's function, too, which has words for it.
            with suppress(Exception):
                table = _found(self, schema_name, table_name, inspector.dialect)
        return original(self, schema_name, table_name, inspector) if table is None else table.description

    return put(source, "get_table_description", get_table_description)


def _found(source: Any, schema: str, name: str, dialect: Any) -> Any:
    """The table that the source has read, as Google's client has it; None where the dialect might get another one."""
    if source.service_connection.credentials.gcpImpersonateServiceAccount:
        return None
    asked_for = dialect._table_reference(f"{source.context.get().database}.{schema}", name, dialect.project_id)
    table = source.get_table_obj(name)
    return table if table.reference == asked_for else None
