"""What shards found stale, looked for in the source once more.

Between a shard and `close` a table may have been made again, and another run may have written it: an equal one leaves
the server's entity as it was. So `close` lists, by name, what there is in the schemas of stale entities, and reads
nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from openmetadata_bulksink import records
from openmetadata_bulksink.shard.deletion import Sightings
from openmetadata_bulksink.shard.names import stored_fqn
from openmetadata_bulksink.shard.results import Stale
from openmetadata_bulksink.shard.unread import LISTS

#: What says whether upstream lists anything.
_SWITCHES = ("includeTables", "includeViews", "includeStoredProcedures")


class Again:
    """Stands before these lists of a source whose workflow is to write nothing below schemas."""

    def __init__(self, source: Any, service: str, stale: Iterable[Stale], users: Mapping[str, Any]) -> None:
        """users: the options of the user's own workflow, which say what there is to list."""
        self._source, self._service = source, service
        self._wanted = {(one.collection, _above(one.fqn)) for one in stale}
        self._asked: set[tuple[str, str]] = set()
        self._there: set[tuple[str, str]] = set()
        options = source.source_config
        for name in _SWITCHES:
            if name in type(options).model_fields:
                setattr(options, name, users.get(name, type(options).model_fields[name].default))
        for name, collection in LISTS.items():
            setattr(source, name, self._instead_of(getattr(source, name), collection))

    @property
    def sightings(self) -> Sightings:
        """After the walk."""
        return Sightings(frozenset(self._asked), frozenset(self._there))

    def _instead_of(self, original: Callable[[], Any], collection: str) -> Callable[[], Iterator[Any]]:
        def listed() -> Iterator[Any]:
            context = self._source.context.get()
            place = (str(context.database), str(context.database_schema))
            schema = stored_fqn(self._service, *place)
            if (collection, schema) in self._wanted:
                names = [one[0] if isinstance(one, tuple) else getattr(one, "name", None) for one in original() or ()]
                self._there.update((collection, stored_fqn(self._service, *place, str(name))) for name in names)
                if None not in names:
                    self._asked.add((collection, schema))
            yield from ()

        return listed


def _above(fqn: str) -> str:
    return records.ancestors(fqn)[0]
