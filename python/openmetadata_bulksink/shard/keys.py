"""Foreign keys between shards: which of them one run would have written together with their tables.

A 2.0 server leaves a table alone whose request has the hash of the one before. A key that is patched afterwards is not
in that hash: when it goes from the source, the server does not hear of it. Upstream has that for keys to tables that
come later in the same run. A key to a table that came earlier is in the request, and goes with it. So where `close`
completes such a key, the table's hash is marked: the next run writes the table again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openmetadata_bulksink import records

#: In place of a table's hash; no hash looks like it.
MARK = "completed by shard close"


class KeysBetweenShards:
    """Those that the shards could not resolve, as upstream defers them."""

    def __init__(self, keys: Iterable[Mapping[str, Any]]) -> None:
        #: The schemas that a table refers to.
        self._refers: dict[tuple[str, ...], set[str]] = {}
        for key in keys:
            table = tuple(str(key[name]) for name in ("db_name", "schema_name", "table_name"))
            self._refers.setdefault(table, set()).add(str(key["column"].get("referred_schema") or key["schema_name"]))
        #: The place of each schema in the walk.
        self._places: dict[tuple[str, str], int] = {}

    def walked(self, database_fqn: str, schema: str) -> None:
        """The source has come to a schema."""
        self._places[_name(database_fqn, 1), schema] = len(self._places)

    def would_have_come_with(self, table_fqn: str) -> bool:
        """Whether one run would have met a table that this one refers to before it; asked after the walk."""
        database, schema, table = (_name(table_fqn, place) for place in (1, 2, 3))
        own = self._places.get((database, schema))
        if own is None:
            return False
        referred = self._refers.get((database, schema, table), set())
        return any(self._places.get((database, other), own) < own for other in referred)


def _name(fqn: str, place: int) -> str:
    """A part of a quoted name, as the source calls it."""
    part = records.split_fqn(fqn)[place]
    return part[1:-1] if part.startswith('"') else part
