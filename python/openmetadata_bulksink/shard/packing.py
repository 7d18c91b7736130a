"""Schemas into shards: longest first, each into the emptiest one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from openmetadata_bulksink.shard.names import alike

#: What a schema costs beside its tables, in tables: listing it, writing it.
_SCHEMA = 1


class Moved(Exception):
    """Schemas would leave the shard that they were in; the text names them."""


class Unit(NamedTuple):
    """A schema of a database with so many tables and views. since: when the plan was made that it first came in, in
    milliseconds since 1970; 0 for the first plan. A schema that comes later has no watermark yet (incremental
    extraction).
    """

    database: str
    schema: str
    tables: int
    since: int = 0


Key = tuple[str, str]


class Kept(NamedTuple):
    """Where the schemas of one key were in an earlier plan. names: of each, database and schema."""

    shard: int
    since: int
    names: frozenset[tuple[str, str]]


def key(unit: Unit) -> Key:
    """What cannot be told apart by filters has one key."""
    return alike(unit.database), alike(unit.schema)


def load(units: Iterable[Unit]) -> int:
    """The expected work of some schemas, in tables."""
    return sum(unit.tables + _SCHEMA for unit in units)


def pack(
    units: Sequence[Unit], shards: int, kept: Mapping[Key, Kept] | None = None, *, since: int = 0
) -> list[list[Unit]]:
    """`shards` lists of units, some perhaps empty; the order of units within a list is that of the source.

    kept: an earlier plan. What was in it stays in its shard; only new schemas are packed, and marked with `since`. So
    are those that cannot be told apart from a new one. Raises Moved where an earlier shard is no longer there.
    """
    groups: dict[Key, list[Unit]] = {}
    for unit in units:
        groups.setdefault(key(unit), []).append(unit)
    place = {at: kept[at].shard for at in groups if kept and at in kept}
    moving = [at for at, shard in place.items() if shard >= shards]
    if moving:
        first = groups[moving[0]][0]
        raise Moved(
            f"{first.database}.{first.schema} was in shard {place[moving[0]]} and there would be {shards} shards; "
            f"{len(moving)} schemas would move"
        )
    loads = [0] * shards
    for at, shard in place.items():
        loads[shard] += load(groups[at])
    for at in sorted(groups, key=lambda at: (-load(groups[at]), at)):
        if at not in place:
            place[at] = loads.index(min(loads))
            loads[place[at]] += load(groups[at])
    bins: list[list[Unit]] = [[] for _ in range(shards)]
    for unit in units:
        at = key(unit)
        stays = kept and at in kept and all((one.database, one.schema) in kept[at].names for one in groups[at])
        bins[place[at]].append(unit._replace(since=kept[at].since if kept and stays else since))
    return bins
