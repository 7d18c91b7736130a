"""What the server should hold of a service, by what was sent to it so far. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from openmetadata_bulksink.canary.catalogue import COLLECTIONS, REFUSED
from openmetadata_bulksink.canary.reading import Key, masked
from openmetadata_bulksink.records import quote_name

#: One thing that a workflow has sent: act of the catalogue's record, collection, and what it was about. `create`: the
#: request; `life_cycle`, `keys`: name and parent of a table with the field that is patched; `stale`: the parent, and
#: `seen`, the FQNs that stay.
Sent = Sequence[Any]


class Due(NamedTuple):
    """What must be there of one entity. body: the fields that were sent. refused: it must not be there at all."""

    collection: str
    key: Key
    body: Mapping[str, Any]
    deleted: bool
    refused: bool


class Expected:
    """One service, while workflows write into it."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._bodies: dict[tuple[str, Key], dict[str, Any]] = {}
        self._deleted: set[tuple[str, Key]] = set()

    def take(self, sent: Sequence[Sent]) -> None:
        """What one workflow has sent, in order."""
        for act, collection, about in sent:
            plain = masked(dict(about), self._service)
            if act == "stale":
                self._delete(collection, plain)
                continue
            at = (collection, (str(plain[COLLECTIONS[collection]]), str(plain["name"])))
            self._deleted.discard(at)
            if act == "create":
                # A life cycle is no part of the request and stays.
                kept = self._bodies.get(at, {}).get("lifeCycle")
                self._bodies[at] = plain if kept is None else {"lifeCycle": kept, **plain}
            else:
                self._bodies.setdefault(at, {}).update(plain)

    def _delete(self, collection: str, plain: Mapping[str, Any]) -> None:
        """What lies in the parent and was not seen is gone, with all that is in it."""
        parent = str(plain[COLLECTIONS[collection]])
        there = {_fqn(key) for kind, key in self._bodies if kind == collection and key[0] == parent}
        gone = there - set(plain["seen"])
        for kind, key in self._bodies:
            if key[0] in gone or (kind == collection and _fqn(key) in gone):
                self._deleted.add((kind, key))

    def __iter__(self) -> Iterator[Due]:
        for at, body in self._bodies.items():
            collection, key = at
            yield Due(collection, key, body, at in self._deleted, key[1] in REFUSED)


def _fqn(key: Key) -> str:
    parent, name = key
    return f"{parent}.{quote_name(name)}"
