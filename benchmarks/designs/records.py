"""What a source yields to a design: entities and life cycles, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entity:
    """A create request. collection: the path below the API's address."""

    collection: str
    fqn: str
    body: dict[str, Any]


@dataclass(frozen=True)
class LifeCycle:
    """When a table was made, for a table that was yielded before."""

    fqn: str
    life_cycle: dict[str, Any]


Record = Entity | LifeCycle


@dataclass(frozen=True)
class Failure:
    """A record that a sink knows it has lost."""

    kind: str
    fqn: str
    reason: str
