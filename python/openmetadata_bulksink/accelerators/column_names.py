"""Upstream puts the fully qualified name of each column together from five parts, four of which are those of its
table. The table's are joined once; and where a run has no tags, the name of a column is not needed to find its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any

from openmetadata_bulksink.accelerators import Undo, all_of, known, loaded, put, recognised

MODULE = "metadata.utils.fqn"
_VALIDATION = "metadata.ingestion.models.custom_basemodel_validation"
_SOURCE = "metadata.ingestion.source.database.database_service"

#: `build`, `_build` and `quote_name`, and the function for columns, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"c511a167d5af21bd", "1b65cce9ba0855a5"})
_KNOWN_FOR_COLUMNS = frozenset({"ede9d3f90c972779", "27f9d4d9b374f327"})
#: How database sources look for tags, as text: 1.11 to 1.13; 2.0.
_LABELS = ("get_column_tag_labels", "get_tag_by_fqn")
_KNOWN_LABELS = frozenset({"323a511bae8121d9", "f7473a3235046701"})

_ONLY_TEXTS = {str}
_PARTS = frozenset({"service_name", "database_name", "schema_name", "table_name", "column_name"})

#: Tables whose prefix is kept: more than there are threads that work on a table at a time.
_MOST_TABLES = 64


def install() -> Undo:
    """Put the short way in. Raises StepsAside."""
    fqn, validation = loaded(MODULE), loaded(_VALIDATION)
    what = "upstream's way of building names"
    known(_KNOWN, what, fqn, "build", "_build", "quote_name")
    registry: Mapping[str, Any] = fqn.fqn_build_registry.registry
    of_column = registry.get("Column")
    recognised(_KNOWN_FOR_COLUMNS, what, of_column)
    original = fqn.build
    source = getattr(sys.modules.get(_SOURCE), "DatabaseServiceSource", None)
    if source is not None:
        known(_KNOWN_LABELS, "upstream's look at the tags of columns", source, *_LABELS)

    @lru_cache(maxsize=_MOST_TABLES)
    def prefix(service: str, database: str, schema: str, table: str) -> str:
        return f"{fqn._build(service, database, schema, validation.replace_separators(table))}."

    def build(metadata: Any, entity_type: Any, **names: Any) -> Any:
        if (
            getattr(entity_type, "__name__", None) == "Column"
            and names.keys() == _PARTS
            and all(part.__class__ is str for part in names.values())
            and names["column_name"].isidentifier()
            and registry.get("Column") is of_column
        ):
            try:
                return (
                    prefix(names["service_name"], names["database_name"], names["schema_name"], names["table_name"])
                    + names["column_name"]
                )
            except ValueError:
                pass  # upstream says which part cannot be quoted
        return original(metadata, entity_type, **names)

    if source is None:
        return put(fqn, "build", build)
    return all_of([put(fqn, "build", build), _no_labels(source, prefix)])


def _no_labels(source: Any, prefix: Callable[[str, str, str, str], str]) -> Undo:
    """Where the context holds no tags, a column has none. What upstream would not build a name of goes to upstream."""
    original, look_up = (vars(source)[name] for name in _LABELS)

    @wraps(original)
    def get_column_tag_labels(self: Any, table_name: str, column: Any) -> Any:
        context = self.context.get()
        if type(self).get_tag_by_fqn is look_up and not getattr(context, "tags", True):
            service, database, schema = context.database_service, context.database, context.database_schema
            name = column["name"]
            kinds = {part.__class__ for part in (service, database, schema, table_name, name)}
            if kinds == _ONLY_TEXTS and name.isidentifier():
                try:
                    prefix(service, database, schema, table_name)
                except ValueError:
                    pass  # upstream says which part cannot be quoted
                else:
                    return None
        return original(self, table_name, column)

    return put(source, "get_column_tag_labels", get_column_tag_labels)
