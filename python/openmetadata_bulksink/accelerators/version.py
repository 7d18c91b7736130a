"""Upstream asks for its own version for each SQL statement, to put it into a comment of the statement: 3 ms each
time, more than half of a run on PostgreSQL. The version of an installed package does not change while a program runs:
asked once, and the comment is put together once.

The SQL text stays the same to the byte.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, all_of, loaded, put, recognised

MODULE = "metadata.ingestion.connections.headers"

#: The two functions that put the comment in, and the one that makes it, as text: 1.11; 1.12 and 1.13; 2.0.
_KNOWN = frozenset({"4744dc8cff14363b", "7d71a34299e8a477", "7b16f3a130a687d0"})


class _RequiredOnce:
    """In place of the `pkg_resources` of 1.11: `require` remembers."""

    def __init__(self, original: Any) -> None:
        self._original = original
        self.require = lru_cache(maxsize=None)(original.require)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def install() -> Undo:
    """Put the memos in. Raises StepsAside."""
    headers = loaded(MODULE)
    what = "upstream's way of naming its version in SQL"
    render: Any = getattr(headers, "render_query_header", None)
    recognised(_KNOWN, what, headers.inject_query_header, _for_vertica(headers), render)
    name = "pkg_resources" if hasattr(headers, "pkg_resources") else "_pkg_version"
    if not hasattr(headers, name):
        raise StepsAside("upstream's way of asking for its version has changed")
    original = getattr(headers, name)
    memo: Any = _RequiredOnce(original) if name == "pkg_resources" else lru_cache(maxsize=None)(original)
    return all_of([put(headers, name, memo), put(headers, "render_query_header", lru_cache(maxsize=1)(render))])


def _for_vertica(headers: Any) -> Any:
    """The variant that is registered for one connection type under a name that says nothing; None without one."""
    registry = headers.inject_query_header_by_conn.registry
    return next((function for cls, function in registry.items() if cls.__name__ == "VerticaConnection"), None)
