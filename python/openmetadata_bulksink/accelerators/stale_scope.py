"""To find what a source no longer has, upstream sends the server all names of the run, once for each schema. The server
looks at those of one scope only. So those are sent, and in doubt some more.

A name that is missing here costs a table, so the question is answered generously: quotes and case do not count. The
server takes an entity for seen if a name that was sent equals its own, quoting aside, and an entity of the scope has a
name that begins with the scope's: the names that count begin with it, too.

This changes requests, not what is deleted. Upstream's way for servers without the route reads all names, as ever.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, known, loaded, put

MODULE = "metadata.ingestion.ometa.ometa_api"

#: `delete_stale_entities`, as text: 2.0.
_KNOWN = frozenset({"ddabf6113c1edffa"})


def install() -> Undo:
    """Send the names of the scope. Raises StepsAside; without a word where upstream lists and compares by itself (up
    to 1.13).
    """
    client = loaded(MODULE).OpenMetadata
    if "delete_stale_entities" not in vars(client):
        raise StepsAside
    known(_KNOWN, "upstream's deletion of what is gone", client, "delete_stale_entities")
    original = client.delete_stale_entities
    names = Names()

    @wraps(original)
    def delete_stale_entities(
        self: Any, entity: Any, scope_params: Any, live_fqns: Iterable[str], recursive: bool = True
    ) -> Any:
        if scope_params:
            live_fqns = names.of(next(iter(scope_params.values())), live_fqns)
        return original(self, entity, scope_params, live_fqns, recursive)

    return put(client, "delete_stale_entities", delete_stale_entities)


class Names:
    """The names of a run by their scope. Those of the last call are kept sorted out: upstream asks for all scopes of a
    database one after the other.
    """

    def __init__(self) -> None:
        #: As they were listed, and by depth (the dots of a scope) what begins with each scope of that depth.
        self._sorted_out: tuple[list[str], dict[int, dict[str, list[str]]]] = ([], {})

    def of(self, scope: Any, names: Iterable[str]) -> list[str]:
        """Of the names, those that may lie in a scope; one of the others where there is none, since the server takes
        an empty list for "nothing is known". All of them, where a scope or a name is no text.
        """
        listed = list(names)
        sorted_out = self._sorted_out
        # The same set is listed in the same order: each comparison is one of two addresses.
        if listed != sorted_out[0]:
            sorted_out = self._sorted_out = (listed, {})
        try:
            folded = _folded(scope)
            depth = folded.count(".")
            by_scope = sorted_out[1].get(depth)
            if by_scope is None:
                by_scope = sorted_out[1][depth] = _by_head(listed, depth + 1)
        except (AttributeError, TypeError):
            return listed
        return list(by_scope.get(folded, ())) or listed[:1]


def _by_head(names: list[str], parts: int) -> dict[str, list[str]]:
    """The names by their first parts."""
    heads: dict[str, list[str]] = {}
    for name in names:
        head = ".".join(_folded(name).split(".", parts)[:parts])
        heads.setdefault(head, []).append(name)
    return heads


def _folded(name: str) -> str:
    """A name without quotes, case, and marks on letters. A part that holds dots counts as several, in scope and name
    alike.
    """
    bare = name.replace('"', "")
    if not bare.isascii():
        bare = "".join(letter for letter in unicodedata.normalize("NFKD", bare) if not unicodedata.combining(letter))
    return bare.casefold()
