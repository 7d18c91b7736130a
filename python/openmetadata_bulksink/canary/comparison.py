"""What differs: between what the two sinks left, and between that and what was sent. Pure: data in, findings out."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from openmetadata_bulksink.canary.catalogue import COLLECTIONS
from openmetadata_bulksink.canary.expected import Expected
from openmetadata_bulksink.canary.reading import State, masked, normal

_ABSENT = object()

#: What may differ between two texts of one refusal.
_NUMBERS = re.compile(r"\b[0-9a-f-]*\d[0-9a-f-]*\b")

#: Of labels only this counts where they are compared with what was sent: the server completes the rest.
_LABEL = "tagFQN"


class Difference(NamedTuple):
    """One place. field: a path such as `columns[2].description`, empty for the whole entity. one, other: JSON texts.
    stage: the workflow after which it was first seen, where that is known.
    """

    collection: str
    name: str
    field: str
    one: str
    other: str
    stage: str = ""


def between(ours: State, theirs: State) -> list[Difference]:
    """Where the two sinks left something different; `one` is what ours left, `other` what upstream's did."""
    found = []
    for collection in COLLECTIONS:
        here, there = ours.get(collection, {}), theirs.get(collection, {})
        for key in sorted({*here, *there}):
            name = ".".join(key)
            if key not in here or key not in there:
                found.append(Difference(collection, name, "", _presence(key in here), _presence(key in there)))
                continue
            for path, left, right in _differences("", here[key], there[key]):
                found.append(Difference(collection, name, path, _short(left), _short(right)))
    return found


def from_sent(state: State, expected: Expected) -> list[Difference]:
    """Where the server holds something else than what was sent for it last; `one` was sent, `other` is there.

    Only fields that were sent count, and whether it is deleted. What must be refused must not be there.
    """
    found = []
    for due in expected:
        name, there = ".".join(due.key), state.get(due.collection, {}).get(due.key)
        if (there is None) != due.refused:
            one, other = _presence(not due.refused), _presence(there is not None)
            found.append(Difference(due.collection, name, "", one, other))
        if there is None or due.refused:
            continue
        for field, value in {**normal(due.body), "deleted": due.deleted}.items():
            is_there = there.get(field, False if field == "deleted" else _ABSENT)
            for path, left, right in _as_sent(field, value, is_there):
                found.append(Difference(due.collection, name, path, _short(left), _short(right)))
    return found


class Refusals(NamedTuple):
    """What a sink reported as lost. unnamed: rows that had to be refused and are not named. wrong: what else it did."""

    unnamed: list[str]
    wrong: list[str]


def refusals(failures: Sequence[tuple[str, str]], service: str, due: Collection[str]) -> Refusals:
    """failures: name and text of each. due: names of the rows that had to be refused."""
    named: set[str] = set()
    wrong = []
    for name, text in failures:
        # A text may hold the answer to a whole request, so that it names several.
        here = {row for row in due if row in name or row in text}
        named |= here
        if not here:
            wrong.append(masked(f"{name}: {text}", service))
    return Refusals(sorted(set(due) - named), wrong)


def reasons(failures: Sequence[tuple[str, str]], service: str, due: Collection[str]) -> dict[str, str]:
    """Why each of the rows was refused, where a text is about it alone; numbers and ids are left out."""
    found = {}
    for name, text in failures:
        here = [row for row in due if row in name or row in text]
        if len(here) == 1:
            found[here[0]] = _NUMBERS.sub("#", masked(text, service))
    return found


def _as_sent(path: str, sent: Any, there: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where a field is not as it was sent. The server may add to an object, and complete a label."""
    if isinstance(sent, dict) and isinstance(there, dict):
        keys = [_LABEL] if _LABEL in sent else list(sent)
        for key in keys:
            yield from _as_sent(f"{path}.{key}", sent[key], there.get(key, _ABSENT))
    elif isinstance(sent, list) and isinstance(there, list) and len(sent) == len(there):
        for at, (one, other) in enumerate(zip(sent, there, strict=True)):
            yield from _as_sent(f"{path}[{at}]", one, other)
    elif sent != there:
        yield path, sent, there


def _differences(path: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            below = f"{path}.{key}" if path else str(key)
            yield from _differences(below, one.get(key, _ABSENT), other.get(key, _ABSENT))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(f"{path}[{at}]", left, right)
    elif one is not other and (type(one) is not type(other) or one != other):
        yield path, one, other


def _presence(there: bool) -> str:
    return "there" if there else "missing"


def _short(value: Any) -> str:
    text = "absent" if value is _ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
