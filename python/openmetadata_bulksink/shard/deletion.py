"""What `close` may delete, and how much at once.

The rule: exactly what one run of the workflow would have deleted. In doubt an entity stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from openmetadata_bulksink import records
from openmetadata_bulksink.shard.names import stored
from openmetadata_bulksink.shard.plan import Plan
from openmetadata_bulksink.shard.results import MOST_FAILURES, Gap, PartResult, Result, Stale

#: Fewer live entities of a kind than this may always go.
ALWAYS = 50


class Spared(NamedTuple):
    """An entity that stays although a shard found it stale."""

    fqn: str
    why: str


class Sightings(NamedTuple):
    """What `close` looked for in the source: collections of schemas, and what is there of them, by FQN."""

    asked: frozenset[tuple[str, str]]
    there: frozenset[tuple[str, str]]


def allowed(plan: Plan, results: Sequence[Result]) -> tuple[list[Stale], list[Spared]]:
    """What the shards found stale, once each, without what one run would have left alone."""
    parts = [part for result in results for part in result.parts]
    failed = {name for part in parts for name, _ in part.failures}
    found: dict[tuple[str, str], Stale] = {}
    spared: list[Spared] = []
    for part in parts:
        for stale in part.stale:
            why = _in_doubt(plan, parts, part, stale, failed)
            if why is None:
                found[stale.collection, stale.fqn] = stale
            else:
                spared.append(Spared(stale.fqn, why))
    return list(found.values()), spared


def _in_doubt(plan: Plan, parts: Iterable[PartResult], part: PartResult, stale: Stale, failed: set[str]) -> str | None:
    if stale.only_if_seen and not _seen_by_then(plan, parts, stale):
        return "one run deletes nothing before it has seen an entity of its kind"
    if len(part.failures) >= MOST_FAILURES:
        return "too much of its shard could not be read or written"
    return _failed(stale, failed) or _unread(stale, part.unread)


def _failed(stale: Stale, failed: set[str]) -> str | None:
    name = records.split_fqn(stale.fqn)[-1]
    return "this run could not read it" if failed.intersection((stale.fqn, name, name.strip('"'))) else None


def _unread(stale: Stale, unread: Iterable[Gap]) -> str | None:
    places = {stale.fqn, *records.ancestors(stale.fqn)}
    found = (gap for gap in unread if gap.fqn in places and gap.collection in ("", stale.collection))
    return next((f"{gap.fqn} could not be read ({gap.why})" for gap in found), None)


def confirmed(stale: Iterable[Stale], seen: Sightings, now: PartResult) -> tuple[list[Stale], list[Spared]]:
    """What the source has no more when `close` asks it. now: what it could not read then is in doubt."""
    failed = {name for name, _ in now.failures}
    gone: list[Stale] = []
    spared: list[Spared] = []
    for one in stale:
        why = _failed(one, failed) or _unread(one, now.unread) or _unconfirmed(one, seen)
        if why is None:
            gone.append(one)
        else:
            spared.append(Spared(one.fqn, why))
    return gone, spared


def _unconfirmed(stale: Stale, seen: Sightings) -> str | None:
    if stale.collection in ("databases", "databaseSchemas"):  # found by `close` itself
        return None
    if (stale.collection, stale.fqn) in seen.there:
        return "the source has it again"
    if (stale.collection, records.ancestors(stale.fqn)[0]) not in seen.asked:
        return "the source has no more to say of its schema"
    return None


def _seen_by_then(plan: Plan, parts: Iterable[PartResult], stale: Stale) -> bool:
    """Whether one run, which asks for stale entities at the end of each database, had seen any of the kind by then."""
    database = records.split_fqn(stale.fqn)[1].strip('"')
    planned = [stored(name) for name in plan.databases]
    walked = planned[: planned.index(database) + 1] if database in planned else planned
    return any(part.seen.get(stale.collection, {}).get(name) for part in parts for name in walked)


def met(results: Iterable[Result], collection: str) -> int:
    """How many entities of a collection the shards have met."""
    return sum(sum(part.seen.get(collection, {}).values()) for result in results for part in result.parts)


def above_limit(going: int, live: int, percent: float, what: str = "tables") -> str | None:
    """Why so many live entities must not go, out of those that were live before; None: they may."""
    if going < ALWAYS or going <= live * percent / 100:
        return None
    share = 100 * going / live if live else 100.0
    return (
        f"{going} of {live} live {what} would be deleted ({share:.0f} %), and the limit is {percent:g} %; nothing was "
        f"deleted; if that is right, close again"
    )


def tops(stale: Iterable[Stale]) -> list[Stale]:
    """Without what goes with an entity above it; in the order of deletion."""
    ordered = sorted(stale, key=lambda one: (len(records.split_fqn(one.fqn)), one.collection, one.fqn))
    kept: list[Stale] = []
    going: set[str] = set()
    for one in ordered:
        if not going.intersection(records.ancestors(one.fqn)):
            kept.append(one)
            going.add(one.fqn)
    return kept
