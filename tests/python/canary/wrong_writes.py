"""What a wrong server does while the canary writes: it loses one write, or swaps two rows' answers; drawn by seed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from openmetadata_bulksink.canary.catalogue import COLLECTIONS, REFUSED
from openmetadata_bulksink.records import quote_name
from tests.python.canary.between import Answer, Asked, Entity, Send

_SERVICES = "services/databaseServices"

#: Those that are compared, among the canary's; the others are for questions.
_COMPARED = (1, 2)


class Write(NamedTuple):
    """One that changes something. service: the how-many-th the canary has made. entity: its FQN without the service's
    name. number: the how-many-th write of this kind to it.
    """

    service: int
    method: str
    collection: str
    entity: str
    number: int

    @property
    def kind(self) -> tuple[str, str]:
        return self.method, self.collection


@dataclass
class Writes:
    """Sees every write of a canary; passes all on but one. lose: that one. seen: what would have changed something."""

    lose: Write | None = None
    seen: list[Write] = field(default_factory=list)
    lost: bool = False
    _services: list[str] = field(default_factory=list)
    _content: dict[tuple[str, str, str], tuple[int, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked, send: Send) -> Answer:
        if asked.method == "GET":
            return send(asked)
        if asked.place == _SERVICES:
            self._services.append(json.loads(asked.body)["name"])
            return send(asked)
        rows = json.loads(asked.body) if asked.place.endswith("/bulk") else None
        with self._lock:
            meant = self._meant(asked, rows, send)
        if meant is None:
            return send(asked)
        self.lost = True
        return _without(asked, send) if rows is None else _without_row(asked, rows, meant, send)

    def _meant(self, asked: Asked, rows: list[Entity] | None, send: Send) -> int | None:
        """The place of the write that is lost, among the rows of the request."""
        meant = None
        for at, (collection, fqn, content) in enumerate(_written(asked, rows, send)):
            write = self._note(asked.method, collection, fqn, content)
            if write is not None:
                self.seen.append(write)
                if write == self.lose:
                    meant = at
        return meant

    def _note(self, method: str, collection: str, fqn: str, content: Any) -> Write | None:
        service = next((at for at, name in enumerate(self._services) if fqn.startswith(name)), None)
        if service not in _COMPARED or collection not in COLLECTIONS or any(name in fqn for name in REFUSED):
            return None
        number, before = self._content.get((method, collection, fqn), (0, None))
        if content == before:
            return None
        self._content[method, collection, fqn] = number + 1, content
        if method == "DELETE":  # what is deleted changes when it is written again
            for key, (count, _) in self._content.items():
                if key[0] != method and _is_deleted(key[2], fqn, content):
                    self._content[key] = count, None
        return Write(service, method, collection, fqn.replace(self._services[service], "SERVICE"), number + 1)


def _written(asked: Asked, rows: list[Entity] | None, send: Send) -> Iterator[tuple[str, str, Any]]:
    """Collection, FQN and content of each write in a request."""
    collection, _, rest = asked.place.partition("/")
    if rows is not None:
        for row in rows:
            parent = row.get(COLLECTIONS.get(collection, ""), "")
            yield collection, f"{parent}.{row['name']}", row
    elif asked.body and rest == "deleteStale":
        told = json.loads(asked.body)
        yield collection, told["scopeFqn"], told
    else:
        fqn = json.loads(send(_read(asked)).body).get("fullyQualifiedName", "")
        yield collection, fqn, json.loads(asked.body) if asked.body else asked.method


def _is_deleted(fqn: str, what: str, told: Any) -> bool:
    """Whether a deletion of `what` is one of this entity. Of what was not seen only, where it says what was."""
    if isinstance(told, dict):
        return fqn.startswith(f"{what}.") and not any(f"{fqn}.".startswith(f"{seen}.") for seen in told["seenFqns"])
    return f"{fqn}.".startswith(f"{what}.")


def _read(asked: Asked) -> Asked:
    return Asked("GET", f"{asked.place}?include=all", asked.headers, b"")


def _without(asked: Asked, send: Send) -> Answer:
    """What the server says when it has done nothing."""
    if asked.place.endswith("/deleteStale"):
        told = {**json.loads(asked.body), "dryRun": True}
        return send(asked._replace(body=json.dumps(told).encode()))
    return send(_read(asked))


def _without_row(asked: Asked, rows: list[Entity], at: int, send: Send) -> Answer:
    """The others are written, and it counts with them."""
    collection = asked.place.removesuffix("/bulk")
    rest = [row for place, row in enumerate(rows) if place != at]
    fqn = f"{rows[at][COLLECTIONS[collection]]}.{quote_name(rows[at]['name'])}"

    def count(answer: Entity) -> None:
        answer["numberOfRowsProcessed"] += 1
        answer["numberOfRowsPassed"] += 1
        answer["successRequest"] = [*(answer.get("successRequest") or []), {"request": fqn, "status": 200}]

    return send(asked._replace(body=json.dumps(rest).encode())).changed(count)


def draw(seen: list[Write], rng: Random) -> Write:
    """The kind first, then one of it."""
    kind = rng.choice(sorted({one.kind for one in seen}))
    return rng.choice([one for one in seen if one.kind == kind])


class Swapped:
    """Two rows of one answer change places, of which at least one was refused.

    service: whose rows, as in `Write`. rows: the FQNs of both, once it has happened.
    """

    def __init__(self, service: int, rng: Random) -> None:
        self.rows: list[str] = []
        self._service, self._rng = service, rng
        self._left = rng.randrange(2)
        self._services: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, asked: Asked, send: Send) -> Answer:
        if asked.method == "PUT" and asked.place == _SERVICES:
            self._services.append(json.loads(asked.body)["name"])
        answer = send(asked)
        if asked.place != "tables/bulk" or self._service >= len(self._services):
            return answer
        if self._services[self._service].encode() not in asked.body:
            return answer
        with self._lock:
            return answer.changed(self._swap)

    def _swap(self, answer: Entity) -> None:
        failed, taken = answer.get("failedRequest") or [], answer.get("successRequest") or []
        others = [*taken, *failed]
        if self.rows or not failed or len(others) < 2:
            return
        if self._left:
            self._left -= 1
            return
        bad = self._rng.choice(failed)
        other = self._rng.choice([one for one in others if one["request"] != bad["request"]])
        self.rows = [_name(bad["request"]), _name(other["request"])]
        bad["request"], other["request"] = other["request"], bad["request"]


def _name(request: Any) -> str:
    """A row is named by its FQN, or echoed."""
    return f"{request['databaseSchema']}.{request['name']}" if isinstance(request, dict) else str(request)
