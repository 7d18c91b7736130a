"""Upstream asks for `str(type)` of each column's SQLAlchemy type, and SQLAlchemy makes a dialect object for each
answer. One dialect object for all: what a type is called depends on the type alone.
"""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, known, loaded, put

MODULE = "sqlalchemy.sql.type_api"
_DIALECTS = "sqlalchemy.engine.default"

#: `compile`, `_default_dialect` and `__str__` of `TypeEngine`, as text: SQLAlchemy 1.4; 2.0 and 2.1.
_KNOWN = frozenset({"ffc06b90b7b1efeb", "e9bf9fed31b83376"})


def install() -> Undo:
    """Share the dialect. Raises StepsAside."""
    types, dialects = loaded(MODULE), loaded(_DIALECTS)
    what = "SQLAlchemy's way of naming a type"
    known(_KNOWN, what, types.TypeEngine, "compile", "_default_dialect", "__str__")
    made_of = dialects.StrCompileDialect
    shared = made_of()
    if not hasattr(shared, "_type_memos"):
        raise StepsAside(f"{what} has changed")

    def default_dialect(self: Any) -> Any:  # noqa: ARG001
        # A memo of a type that changed would outlive the change; a dialect class may be replaced.
        if len(shared._type_memos) or dialects.StrCompileDialect is not made_of:
            return dialects.StrCompileDialect()
        return shared

    return put(types.TypeEngine, "_default_dialect", default_dialect)
