"""The differences between two normalised states of the reference server.

Equal means: the same collections, FQNs and entities. One thing may differ, and is named here: where a table has
foreign keys, they may have come with the table or in a patch behind it; then the order of its constraints, its
`sourceHash`, and the `ordinalPosition` of its columns (upstream's patch numbers them) tell nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
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


def compare(first: State, second: State, *, ignore: Iterable[str] = ()) -> list[Difference]:
    """All differences, in the order of collections and FQNs. ignore: top-level keys of entities that do not count."""
    ignored = frozenset(ignore)
    found = []
    for collection in sorted({*first, *second}):
        ones, others = first.get(collection, {}), second.get(collection, {})
        for fqn in sorted({*ones, *others}):
            one, other = ones.get(fqn), others.get(fqn)
            if one is None or other is None:
                found.append(Difference(collection, fqn, "", _presence(one), _presence(other)))
                continue
            one, other = _comparable(one, ignored), _comparable(other, ignored)
            for path, left, right in _differences("", one, other):
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


def _comparable(entity: Any, ignored: frozenset[str]) -> Any:
    if not isinstance(entity, Mapping):
        return entity
    kept = {key: value for key, value in entity.items() if key not in ignored}
    constraints = kept.get("tableConstraints") or []
    if any(constraint.get("constraintType") == "FOREIGN_KEY" for constraint in constraints):
        kept["tableConstraints"] = sorted(constraints, key=lambda constraint: json.dumps(constraint, sort_keys=True))
        kept.pop("sourceHash", None)
        columns = kept.get("columns") or []
        kept["columns"] = [{key: column[key] for key in column if key != "ordinalPosition"} for column in columns]
    return kept


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
