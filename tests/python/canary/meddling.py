"""What a wrong server does when the canary reads back, and what an odd one does that is right all the same; drawn by
seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.python.canary.between import Answer, Asked, Entity, Meddle, Send

#: What differs between two entities that are equal to a reader.
ACCIDENTAL = frozenset(
    {"id", "href", "version", "updatedAt", "updatedBy", "changeDescription", "incrementalChangeDescription"}
)
_OF_A_LABEL = ("tagFQN", "source", "labelType", "state")


def on_lists(change: Callable[[str, Entity], None]) -> Meddle:
    """Gets the collection and the page of each list, and changes it."""

    def meddle(asked: Asked, send: Send) -> Answer:
        answer = send(asked)
        if asked.method != "GET" or "/" in asked.place:
            return answer
        return answer.changed(lambda page: change(asked.place, page))

    return meddle


@dataclass(frozen=True)
class Seen:
    """An entity as a list showed it."""

    collection: str
    entity: Entity


@dataclass(frozen=True)
class Leaf:
    """One value in an entity. path: keys and places from the entity down."""

    path: tuple[Any, ...]

    def holder(self, entity: Entity) -> Any:
        found: Any = entity
        for step in self.path[:-1]:
            found = found[step]
        return found


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[Leaf]:
    """Every value that means something to a reader."""
    if isinstance(value, dict):
        if path and "id" in value and "type" in value:
            yield Leaf((*path, "fullyQualifiedName"))
            return
        for key in _OF_A_LABEL if "tagFQN" in value else value:
            if key not in ACCIDENTAL or path:
                yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield Leaf((*path, at))
            yield from leaves(inner, (*path, at))
    elif value not in (None, ""):
        yield Leaf(path)


def one_field(seen: list[Seen], rng: Random) -> tuple[Meddle, Seen, Leaf]:
    """Drops or changes one value of one entity whenever it is read. The kind is drawn first, then the field."""
    kind = rng.choice(sorted({one.collection for one in seen}))
    chosen = rng.choice([one for one in seen if one.collection == kind])
    fields = sorted({leaf.path[0] for leaf in leaves(chosen.entity)})
    field = rng.choice(fields)
    leaf = rng.choice([leaf for leaf in leaves(chosen.entity) if leaf.path[0] == field])
    drop = rng.random() < 0.5

    def meddle(collection: str, page: Entity) -> None:
        for entity in page["data"] if collection == kind else ():
            if entity["id"] == chosen.entity["id"]:
                holder, key = leaf.holder(entity), leaf.path[-1]
                if drop:
                    del holder[key]
                else:
                    holder[key] = _other(holder[key])

    return on_lists(meddle), chosen, leaf


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return f"{value}x" if isinstance(value, str) else "something else"


def odd(rng: Random) -> Meddle:
    """Right answers in another form: other order of rows and keys, fields more, nulls and empty lists."""

    def meddle(_: str, page: Entity) -> None:
        rng.shuffle(page["data"])
        page["data"] = [_oddly(entity, rng) for entity in page["data"]]
        page["took"] = 17

    return on_lists(meddle)


def _oddly(value: Any, rng: Random) -> Any:
    if isinstance(value, list):
        return [_oddly(inner, rng) for inner in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    rng.shuffle(keys)
    made = {key: _oddly(value[key], rng) for key in keys}
    made.setdefault(rng.choice(("certification", "children", "domains", "reviewers")), rng.choice((None, [])))
    made["fromTheFuture"] = "always"
    for key in {"tags", "owners", "tableConstraints"} & made.keys():
        if isinstance(made[key], list):
            rng.shuffle(made[key])
    return made
