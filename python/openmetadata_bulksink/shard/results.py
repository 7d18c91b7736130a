"""What a shard reports, and which reports `close` may act on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from openmetadata_bulksink.shard.plan import FORMAT, BadDocument, Plan, document

#: Failures beyond these are in the shard's own log alone.
MOST_FAILURES = 1_000

Ended = Literal["running", "well", "badly"]

#: Clocks of two machines may differ by this much, in seconds.
_CLOCKS = 300.0

#: A shard that ended longer ago than this, in seconds, says nothing of what is stale now: others have written since.
_FRESH = 12 * 3600.0


class Unacceptable(Exception):
    """Nothing may be closed with these results; the text says which and why."""


@dataclass(frozen=True)
class Stale:
    """A live entity that upstream would have deleted. version, id: as the server had them then; an entity that changed
    since is no longer what was judged.
    """

    collection: str
    fqn: str
    id: str
    version: float
    #: Upstream's newer way deletes nothing before the run has seen anything of that kind.
    only_if_seen: bool


@dataclass(frozen=True)
class PartResult:
    """One workflow of a shard. seen: how many entities were met, by collection and database. failures: (name, reason).
    keys: foreign keys whose table was not there, as upstream defers them. unread: (FQN, reason) of what could not be
    listed.
    """

    databases: tuple[str, ...]
    ended: Ended
    seconds: float = 0.0
    why: str = ""
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    written: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    keys: tuple[dict[str, Any], ...] = ()
    stale: tuple[Stale, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def tables(self) -> int:
        """How many tables and views were met."""
        return sum(self.seen.get("tables", {}).values())


@dataclass(frozen=True)
class Result:
    """One attempt at a shard. started: seconds since 1970."""

    run: str
    fingerprint: str
    shard: int
    started: float
    ended: Ended
    why: str = ""
    parts: tuple[PartResult, ...] = ()

    @property
    def until(self) -> float:
        """When it ended, in seconds since 1970."""
        return self.started + sum(part.seconds for part in self.parts)

    def to_json(self) -> str:
        """The document, on one line."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, default=str) + "\n"

    @property
    def failures(self) -> int:
        """Of all parts."""
        return sum(len(part.failures) for part in self.parts)


def read(text: str, what: str) -> Result:
    """The result in a document; `what` names it in errors. Raises BadDocument."""
    content = document(text, what)
    try:
        return Result(
            run=str(content["run"]),
            fingerprint=str(content["fingerprint"]),
            shard=int(content["shard"]),
            started=float(content["started"]),
            ended=_ended(content["ended"]),
            why=str(content["why"]),
            parts=tuple(_part(part) for part in content["parts"]),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise BadDocument(f"{what} is not a result of `shard run`") from None


def _part(content: dict[str, Any]) -> PartResult:
    return PartResult(
        databases=tuple(content["databases"]),
        ended=_ended(content["ended"]),
        seconds=float(content["seconds"]),
        why=str(content["why"]),
        seen={name: dict(counts) for name, counts in content["seen"].items()},
        written=int(content["written"]),
        failures=_pairs(content["failures"]),
        keys=tuple(content["keys"]),
        stale=tuple(Stale(**stale) for stale in content["stale"]),
        unread=_pairs(content["unread"]),
    )


def _pairs(content: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(reason)) for name, reason in content)


def _ended(value: Any) -> Ended:
    if value not in ("running", "well", "badly"):
        raise ValueError(value)
    ended: Ended = value
    return ended


def acceptable(plan: Plan, results: Iterable[Result], now: float | None) -> list[Result]:
    """One result for each shard, in their order: the newest attempt. Raises Unacceptable in any doubt.

    now: seconds since 1970; None where all are of one command, however long it took.
    """
    newest: dict[int, Result] = {}
    for result in results:
        if result.run != plan.run:
            raise Unacceptable(f"a result of shard {result.shard} belongs to another plan ({result.run})")
        if result.fingerprint != plan.fingerprint:
            raise Unacceptable(f"a result of shard {result.shard} was made with another workflow file")
        if not 0 <= result.shard < len(plan.shards):
            raise Unacceptable(f"a result names shard {result.shard}, and the plan has {len(plan.shards)}")
        if result.started < plan.made - _CLOCKS:
            raise Unacceptable(f"a result of shard {result.shard} is older than the plan")
        known = newest.get(result.shard)
        if known is None or known.started <= result.started:
            newest[result.shard] = result
    missing = [number for number in range(len(plan.shards)) if number not in newest]
    if missing:
        raise Unacceptable(f"no result of shard {_listed(missing)}")
    chosen = [newest[number] for number in range(len(plan.shards))]
    for result in chosen:
        _require_complete(plan, result)
    old = [] if now is None else [result.shard for result in chosen if now - result.until > _FRESH]
    if old:
        text = f"shard {_listed(old)} ended more than half a day ago, and much may have changed; run it again"
        raise Unacceptable(text)
    return chosen


def _require_complete(plan: Plan, result: Result) -> None:
    if result.ended == "running":
        raise Unacceptable(f"shard {result.shard} has begun and not ended: it is running, or was killed")
    if result.ended != "well":
        raise Unacceptable(f"shard {result.shard} did not end well: {result.why or 'no reason given'}")
    wanted = [part.databases for part in plan.parts(result.shard)]
    if [part.databases for part in result.parts] != wanted or any(part.ended != "well" for part in result.parts):
        raise Unacceptable(f"the result of shard {result.shard} does not hold all of its databases")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
