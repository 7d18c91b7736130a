"""The differences between two normalised states of the reference server.

Equal means: the same collections, FQNs and entities, with one exception. A foreign key may have come with its table,
or in upstream's patch behind it, which puts it last, numbers the columns and leaves `sourceHash` as it was. So where
a table has foreign keys on both sides, the order of its constraints, its `sourceHash`, and a column's number that
only repeats its place, do not count.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Entity = Mapping[str, Any]
State = Mapping[str, Mapping[str, Entity]]

_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One place where two states differ; `path` is empty where the whole entity is missing on one side."""

    collection: str
    fqn: str
    path: str
    first: str
    second: str

    def __str__(self) -> str:
        place = f"{self.collection} {self.fqn}" + (f" {self.path}" if self.path else "")
        return f"{place}: {self.first} | {self.second}"


def compare(
    first: State,
    second: State,
    *,
    ignore: Iterable[str] = (),
    first_loses_keys: bool = False,
    keys_gone_from: Collection[str] = (),
) -> list[Difference]:
    """All differences, in the order of collections and FQNs.

    ignore: top-level keys of entities that do not count. first_loses_keys: the first state is one of upstream up to
    1.13, whose sink loses foreign keys of tables that are still in its buffer, and all other constraints of a table
    that it patches a key into: there the second may have more constraints, if foreign keys are among them.
    keys_gone_from: tables of the first whose foreign keys are all stale: there the second may have none.
    """
    ignored = frozenset(ignore)
    found = []
    for collection in sorted({*first, *second}):
        ones, others = first.get(collection, {}), second.get(collection, {})
        for fqn in sorted({*ones, *others}):
            one, other = ones.get(fqn), others.get(fqn)
            if one is None or other is None:
                found.append(Difference(collection, fqn, "", _presence(one), _presence(other)))
                continue
            if fqn in keys_gone_from and not has_foreign_key(other):
                one, other = _without_foreign_keys(one), _without_foreign_keys(other)
            pair = _comparable(one, other, ignored, first_loses_keys=first_loses_keys)
            for path, left, right in _differences("", *pair):
                found.append(Difference(collection, fqn, path, _short(left), _short(right)))
    return found


def describe(differences: list[Difference], most: int = 20) -> str:
    """A text for people: counts by collection and path, then examples."""
    if not differences:
        return "no differences"
    counts: dict[str, int] = {}
    for difference in differences:
        kind = f"{difference.collection} {difference.path or '(whole entity)'}"
        counts[kind] = counts.get(kind, 0) + 1
    lines = [f"{len(differences)} differences:"]
    lines += [f"  {count:5} x {kind}" for kind, count in sorted(counts.items(), key=lambda item: -item[1])[:most]]
    lines += [f"  {difference}" for difference in differences[:most]]
    return "\n".join(lines)


def _comparable(one: Any, other: Any, ignored: frozenset[str], *, first_loses_keys: bool) -> tuple[Any, Any]:
    """Two entities without what does not count."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one, other
    pair = [{key: value for key, value in entity.items() if key not in ignored} for entity in (one, other)]
    with_keys = [has_foreign_key(entity) for entity in pair]
    if not with_keys[1] or not (with_keys[0] or first_loses_keys):
        return pair[0], pair[1]
    for entity in pair:
        entity["tableConstraints"] = sorted(entity.get("tableConstraints") or [], key=_as_text)
        entity["columns"] = [_unnumbered(column, place) for place, column in enumerate(entity["columns"], 1)]
        entity.pop("sourceHash", None)
    if first_loses_keys:
        known = {_as_text(constraint) for constraint in pair[1]["tableConstraints"]}
        if all(_as_text(constraint) in known for constraint in pair[0]["tableConstraints"]):
            pair[0]["tableConstraints"] = pair[1]["tableConstraints"]
    return pair[0], pair[1]


def has_foreign_key(entity: Entity) -> bool:
    """Whether a table has a foreign key."""
    constraints = entity.get("tableConstraints") or []
    return any(constraint.get("constraintType") == "FOREIGN_KEY" for constraint in constraints)


def _without_foreign_keys(entity: Entity) -> Entity:
    """A table as if none had ever been patched into it: the patch numbers its columns."""
    constraints = entity.get("tableConstraints") or []
    kept = [constraint for constraint in constraints if constraint.get("constraintType") != "FOREIGN_KEY"]
    columns = [_unnumbered(column, place) for place, column in enumerate(entity["columns"], 1)]
    return {**entity, "tableConstraints": kept, "columns": columns}


def _unnumbered(column: Mapping[str, Any], place: int) -> dict[str, Any]:
    return {key: value for key, value in column.items() if (key, value) != ("ordinalPosition", place)}


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _differences(path: str, first: Any, second: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted({*first, *second}):
            below = f"{path}.{key}" if path else str(key)
            yield from _differences(below, first.get(key, _ABSENT), second.get(key, _ABSENT))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _differences(f"{path}[{index}]", one, other)
    elif first is not second and (type(first) is not type(second) or first != second):
        yield path, first, second


def _presence(entity: Entity | None) -> str:
    return "missing" if entity is None else "there"


def _short(value: Any) -> str:
    text = "absent" if value is _ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= 160 else text[:157] + "..."
