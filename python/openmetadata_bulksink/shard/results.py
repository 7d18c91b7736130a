"""What a shard reports, and which reports `close` may act on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from openmetadata_bulksink import records
from openmetadata_bulksink.shard import documents
from openmetadata_bulksink.shard.documents import CLOCKS, BadDocument, document
from openmetadata_bulksink.shard.plan import Plan

#: Failures beyond these are in the shard's own log alone.
MOST_FAILURES = 1_000

Ended = Literal["running", "well", "badly"]

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


class Gap(NamedTuple):
    """Something that could not be listed, and why. collection: that alone is in doubt; empty: all that is below."""

    fqn: str
    why: str
    collection: str = ""


class Step(NamedTuple):
    """What upstream counts of a source or a sink."""

    name: str
    done: int
    failed: int


@dataclass(frozen=True)
class PartResult:
    """One workflow of a shard, which ends well with failures, too: whether they are too many, all shards together say.
    seen: how many entities were met, by collection and database. steps: source and sink. failures: (name, reason), in
    the order of the steps. keys: foreign keys whose table was not there, as upstream defers them. unread: what could
    not be listed.
    """

    databases: tuple[str, ...]
    ended: Ended
    seconds: float = 0.0
    why: str = ""
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    written: int = 0
    steps: tuple[Step, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    keys: tuple[dict[str, Any], ...] = ()
    stale: tuple[Stale, ...] = ()
    unread: tuple[Gap, ...] = ()

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
        return documents.sealed(asdict(self))

    @property
    def failures(self) -> int:
        """Of all parts."""
        return sum(len(part.failures) for part in self.parts)


def read(text: str, what: str) -> Result:
    """The result in a document; `what` names it in errors. Raises BadDocument."""
    content = document(text, what)
    try:
        if not documents.is_as_written(content):
            raise BadDocument(f"{what} is not as `shard run` wrote it; run the shard again")
        return Result(
            run=documents.text(content["run"]),
            fingerprint=documents.text(content["fingerprint"]),
            shard=documents.count(content["shard"]),
            started=documents.amount(content["started"]),
            ended=_ended(content["ended"]),
            why=documents.text(content["why"]),
            parts=tuple(_part(part) for part in documents.listed(content["parts"])),
        )
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadDocument(f"{what} is not a result of `shard run`") from None


def _part(part: Any) -> PartResult:
    content = documents.mapping(part)
    return PartResult(
        databases=tuple(map(documents.text, documents.listed(content["databases"]))),
        ended=_ended(content["ended"]),
        seconds=documents.amount(content["seconds"]),
        why=documents.text(content["why"]),
        seen={name: _counts(counts) for name, counts in documents.mapping(content["seen"]).items()},
        written=documents.count(content["written"]),
        steps=tuple(map(_step, documents.listed(content["steps"]))),
        failures=_pairs(content["failures"]),
        keys=tuple(_key(key) for key in documents.listed(content["keys"])),
        stale=tuple(_stale(stale) for stale in documents.listed(content["stale"])),
        unread=tuple(Gap(*map(documents.text, gap)) for gap in documents.listed(content["unread"])),
    )


def _step(step: Any) -> Step:
    name, done, failed = documents.listed(step)
    return Step(documents.text(name), documents.count(done), documents.count(failed))


def _counts(counts: Any) -> dict[str, int]:
    return {name: documents.count(number) for name, number in documents.mapping(counts).items()}


def _key(key: Any) -> dict[str, Any]:
    content = documents.mapping(key)
    names = {name: documents.text(content[name]) for name in ("table_name", "schema_name", "db_name")}
    return {"column": documents.mapping(content["column"]), **names}


def _stale(stale: Any) -> Stale:
    content = documents.mapping(stale)
    fqn = documents.text(content["fqn"])
    if len(records.split_fqn(fqn)) < 2:
        raise ValueError(fqn)
    return Stale(
        collection=documents.text(content["collection"]),
        fqn=fqn,
        id=documents.text(content["id"]),
        version=documents.amount(content["version"]),
        only_if_seen=documents.flag(content["only_if_seen"]),
    )


def _pairs(content: Any) -> tuple[tuple[str, str], ...]:
    return tuple((documents.text(name), documents.text(reason)) for name, reason in documents.listed(content))


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
        if result.started < plan.made - CLOCKS:
            raise Unacceptable(f"a result of shard {result.shard} is older than the plan")
        if now is not None and result.started > now + CLOCKS:
            raise Unacceptable(f"a result of shard {result.shard} is of the future: a clock is wrong")
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
