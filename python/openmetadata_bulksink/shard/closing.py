"""`shard close`: what the shards set aside is done, once all of them ended well. Upstream runs in a child alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from openmetadata_bulksink import records
from openmetadata_bulksink.masking import mask_of
from openmetadata_bulksink.shard import catalogue, children, deletion, filters, reports, results, threshold, workflow
from openmetadata_bulksink.shard.commands import Job, say, tell_of_failures
from openmetadata_bulksink.shard.names import stored, stored_fqn
from openmetadata_bulksink.shard.plan import Plan
from openmetadata_bulksink.shard.results import PartResult, Result, Stale

#: What upstream calls a failure of its question for what is stale, and of what it asks the source before that.
_STALE_QUESTIONS = ("Delete Entity", "Post Process mark_")


class Closed(NamedTuple):
    """What `close` did. refused: why it did not delete. above_limit: because it would have been too much. below: the
    success threshold, and by what.
    """

    part: PartResult
    deleted: catalogue.Deleted
    spared: list[deletion.Spared]
    new: list[str]
    gone: list[str]
    refused: str | None
    above_limit: bool = False
    below: str | None = None

    @property
    def is_well(self) -> bool:
        """Whether all of it was done, and one run would have ended well with as many failures."""
        return not (self.refused or self.below or self.deleted.refused or _unasked_by(self.part))


def close_all(
    job: Job,
    reported: Iterable[Result],
    max_deleted: float,
    *,
    now: float | None,
    again: str,
    lifeline: int | None = None,
) -> bool:
    """Complete keys, create what is new, delete what is stale. Returns whether all of it was done, and one run would
    have ended well with as many failures. now: see `results.acceptable`. again: the command that closes once more.
    lifeline: see `children.Family`. Raises Unacceptable before anything is done.
    """
    chosen = results.acceptable(job.plan, reported, now)
    workflow.import_upstream()
    try:
        closed: Closed = children.run(
            "closing",
            lambda watch: _close(job, chosen, max_deleted, watch),
            mask_of(job.config),
            lifeline=lifeline,
            interrupted=lambda child: _tell_of_interruption(child, again),
        )
    except children.ChildFailed as error:
        say(f"closing did not end well: {error}; close again: {again}")
        return False
    _tell_of_unwalked(job.plan, chosen)
    unasked = _unasked(chosen)
    for shard, why in unasked[:20]:
        say(f"shard {shard} could not ask what is stale, and none of that is deleted: {why}; run it, then close, again")
    _tell(closed, again)
    if closed.below:
        shards = ", ".join(str(result.shard) for result in chosen if result.failures)
        say(f"{closed.below}; run {f'shard {shards}' if shards else 'it'} again, then close again: {again}")
    return closed.is_well and not unasked


def _unasked(chosen: Iterable[Result]) -> list[tuple[int, str]]:
    """Shards whose question for what is stale failed, and why: upstream counts that among the failures."""
    return [(result.shard, why) for result in chosen for part in result.parts for why in _unasked_by(part)]


def _unasked_by(part: PartResult) -> list[str]:
    return [why for name, why in part.failures if name.startswith(_STALE_QUESTIONS)]


def _tell_of_unwalked(plan: Plan, chosen: Iterable[Result]) -> None:
    """Upstream logs a database that it cannot open, and goes on."""
    with_tables = {unit.database for unit in plan.units() if unit.tables}
    for result in chosen:
        for part in result.parts:
            walked = part.seen.get("databases", {})
            for database in part.databases:
                if database in with_tables and stored(database) not in walked:
                    say(f"shard {result.shard} did not walk {database}: it went after the plan, or could not be opened")


def _close(job: Job, chosen: list[Result], max_deleted: float, watch: children.Watch) -> Closed:
    reports.of_step("close")
    allowed, spared = deletion.allowed(job.plan, chosen)
    keys = [key for result in chosen for part in result.parts for key in part.keys]
    besides = workflow.Closing(keys, allowed, filters.options_of(job.config))
    finished = workflow.execute(filters.closing(job.config), job.plan.databases, watch, besides)
    part = finished.result
    parts = [one for result in chosen for one in result.parts]
    closed = _delete(job, chosen, allowed, spared, finished, max_deleted)
    closed = closed._replace(below=threshold.below(parts, part, finished.threshold))
    if finished.status is not None:
        well = closed.is_well and not _unasked(chosen)
        finished.status.send(job.config, threshold.counts(parts, part), well=well)
    return closed


def _delete(
    job: Job,
    chosen: list[Result],
    allowed: list[Stale],
    spared: list[deletion.Spared],
    finished: workflow.Finished,
    max_deleted: float,
) -> Closed:
    """Also below the success threshold: one run deletes before it judges itself."""
    part = finished.result
    new, gone = _compare(job.plan, finished.schemas, part)
    nothing = catalogue.Deleted([], [], [])
    if part.ended != "well" or any(name.startswith("Producer ") for name, _ in part.failures):
        why = part.why or "the source could not be listed"
        return Closed(
            part, nothing, spared, new, gone, f"closing did not end well ({why}); nothing was deleted; close again"
        )
    stale, unconfirmed = deletion.confirmed([*allowed, *part.stale], finished.sightings, part)
    spared += unconfirmed
    client, mask = workflow.server_of(job.config).client, mask_of(job.config)
    tops = deletion.tops(stale)
    deleted = catalogue.Deleted([], [], [])
    try:
        live = catalogue.live_tables_of_service(client, job.plan.service)
        too_much = deletion.above_limit(catalogue.going(client, tops), live, max_deleted) or _too_many_procedures(
            client, tops, chosen, max_deleted
        )
        if too_much:
            return Closed(part, nothing, spared, new, gone, too_much, above_limit=True)
        catalogue.delete(client, tops, deleted)
        refused = None
    except catalogue.Unanswered as unanswered:
        refused = f"{mask(str(unanswered))}; nothing was deleted; close again"
    except KeyboardInterrupt:
        refused = f"interrupted: {len(deleted.gone)} of {len(tops)} were deleted, and one more perhaps; close again"
    deleted = deleted._replace(refused=[(fqn, mask(why)) for fqn, why in deleted.refused])
    return Closed(part, deleted, spared, new, gone, refused)


def _too_many_procedures(
    client: Any, tops: Iterable[Stale], chosen: Iterable[Result], max_deleted: float
) -> str | None:
    """Of those that go by themselves: what goes with a schema or a database is in the limit of their tables. A server
    does not say how many a service has; the shards have met those that stay.
    """
    going = catalogue.alive(client, (one for one in tops if one.collection == "storedProcedures"))
    live = going + deletion.met(chosen, "storedProcedures")
    return deletion.above_limit(going, live, max_deleted, "stored procedures")


def _compare(plan: Plan, now: frozenset[str], part: PartResult) -> tuple[list[str], list[str]]:
    """FQNs of schemas that came since the plan, and of those that went."""
    planned = {stored_fqn(plan.service, unit.database, unit.schema) for unit in plan.units()}
    unread = {gap.fqn for gap in part.unread if not gap.collection}
    gone = {fqn for fqn in planned - now if not unread.intersection(records.ancestors(fqn))}
    return sorted(now - planned), sorted(gone)


def _tell_of_interruption(child: children.Child, again: str) -> None:
    """What was done and what was not; doing it again is safe at any moment."""
    if isinstance(child.answer, Closed):
        _tell(child.answer, again)
    elif child.progress is None:
        say(f"interrupted before anything was done; close again: {again}")
    else:
        say(f"interrupted, and ended before it could say what it had done; closing again does the rest: {again}")


def _tell(closed: Closed, again: str) -> None:
    tell_of_failures(closed.part, "closing")
    for name in closed.new[:20]:
        say(f"{name} came after the plan: the schema was created, its tables wait for the next plan")
    for name in closed.gone[:20]:
        say(f"{name} went after the plan")
    for fqn, why in closed.spared[:20]:
        say(f"{fqn} stays: {why}")
    for fqn in closed.deleted.changed[:20]:
        say(f"{fqn} stays: it was changed since its shard found it stale")
    for fqn, why in closed.deleted.refused[:20]:
        say(f"{fqn} could not be deleted: {why}")
    if closed.refused:
        say(f"{closed.refused}: {again}{' --max-deleted 100' if closed.above_limit else ''}")
        return
    missing = len(closed.part.keys)
    say(
        f"closed: {len(closed.deleted.gone)} deleted, {len(closed.spared) + len(closed.deleted.changed)} left in doubt"
        + (f", {missing} foreign keys name a table that is not there" if missing else "")
    )
