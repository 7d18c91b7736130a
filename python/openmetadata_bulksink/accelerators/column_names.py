"""Upstream puts the fully qualified name of each column together from five parts, four of which are those of its
table. The table's are joined once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from openmetadata_bulksink.accelerators import Undo, known, loaded, put, recognised

MODULE = "metadata.utils.fqn"
_VALIDATION = "metadata.ingestion.models.custom_basemodel_validation"

#: `build`, `_build` and `quote_name`, and the function for columns, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"c511a167d5af21bd", "1b65cce9ba0855a5"})
_KNOWN_FOR_COLUMNS = frozenset({"ede9d3f90c972779", "27f9d4d9b374f327"})

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

    return put(fqn, "build", build)
