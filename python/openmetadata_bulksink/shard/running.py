"""Shards on this machine: so many at once, the databases of a shard one after the other, each in a child of its own.

`shard run` runs one, `shard all` runs all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from openmetadata_bulksink.interrupts import signals_as_interrupts
from openmetadata_bulksink.masking import mask_of
from openmetadata_bulksink.shard import children, filters, reports, results, watermark, workflow
from openmetadata_bulksink.shard.commands import Job, say
from openmetadata_bulksink.shard.documents import BadDocument
from openmetadata_bulksink.shard.folder import Folder
from openmetadata_bulksink.shard.plan import Part, Plan
from openmetadata_bulksink.shard.results import PartResult, Result
from openmetadata_bulksink.shard.workflow import Progress

Report = Callable[[Result], None]


class Running:
    """One attempt at a shard. Reports when it begins, too: a shard that is killed leaves no older report behind that
    looks like its own.
    """

    def __init__(self, job: Job, number: int, report: Report, log: Path | None) -> None:
        self.number = number
        self.expected = sum(unit.tables for unit in job.plan.shards[number])
        self.child: children.Child | None = None
        self.result: Result | None = None
        self.began = time.monotonic()
        self._job, self._report, self._log = job, report, log
        self._waiting = job.plan.parts(number)
        self._part: Part | None = None
        self._done: list[PartResult] = []
        self._undelivered = 0
        self._before = Progress(0, 0)
        self._attempt = Result(job.plan.run, job.plan.fingerprint, number, time.time(), "running")
        report(self._attempt)

    def next(self) -> children.Child | None:
        """Starts the next database, also after one that went wrong; None when all are done."""
        if not self._waiting:
            bad = [f"{', '.join(part.databases)}: {part.why}" for part in self._done if part.ended != "well"]
            self.end("badly" if bad else "well", "; ".join(bad))
            return None
        self._part = self._waiting.pop(0)
        config = filters.of_part(self._job.config, self._job.plan, self.number, self._part)
        step = f"shard-{self.number}" + (f"-{len(self._done) + 1}" if self._done else "")
        work = partial(_execute, step, config, self._job.plan, self._part.databases)
        self.child = children.start(f"shard {self.number}", work, mask_of(config), log=self._log)
        return self.child

    def take(self, child: children.Child) -> None:
        """The child has ended."""
        databases = self._part.databases if self._part else ()
        part = child.answer if isinstance(child.answer, PartResult) else PartResult(databases, "badly", why=child.error)
        self._done.append(part)
        self._undelivered += child.undelivered
        self._before = Progress(self._before.tables + part.tables, self._before.failures + len(part.failures))
        self.child = None

    def end(self, how: results.Ended, why: str = "") -> None:
        """The report of it, once."""
        if self.result is None:
            attempt = self._attempt
            self.result = Result(
                attempt.run, attempt.fingerprint, self.number, attempt.started, how, why, tuple(self._done)
            )
            self._report(self.result)

    def interrupted(self) -> None:
        """The report of one that has not ended by itself."""
        lost = f", and {self._undelivered} records were not delivered in time" if self._undelivered else ""
        self.end("badly", f"interrupted{lost}")

    def progress(self) -> Progress:
        """Tables met and failures so far."""
        now = self.child.progress if self.child is not None else None
        if now is None:
            return self._before
        return Progress(self._before.tables + now.tables, self._before.failures + now.failures)


def _execute(
    step: str, config: filters.Workflow, plan: Plan, databases: tuple[str, ...], watch: children.Watch
) -> PartResult:
    """In the child."""
    reports.of_step(step)
    allowed, why = watermark.trusted(watermark.marked(config, plan.run), plan.line)
    if why:
        say(f"openmetadata-bulksink: {', '.join(databases)} is read in whole: {why}")
    return workflow.execute(allowed, databases, watch).result


def run_shards(
    job: Job,
    numbers: Iterable[int],
    report: Report,
    *,
    processes: int = 1,
    logs: Folder | None = None,
    lifeline: int | None = None,
    tick: Callable[[list[Running]], None] = lambda _: None,
) -> list[Result]:
    """Their results, those that ended badly too. Raises KeyboardInterrupt after all children have ended.

    logs: has a file for the output of each shard; else it goes to standard error. lifeline: see Family.
    """
    waiting = list(numbers)
    if any(not 0 <= number < len(job.plan.shards) for number in waiting):
        raise BadDocument(f"the plan has {len(job.plan.shards)} shards, counted from 0")
    workflow.import_upstream()
    shards: list[Running] = []
    by_child: dict[int, Running] = {}
    family = children.Family(lifeline)
    interrupted = False
    with signals_as_interrupts():
        while True:
            try:
                while waiting and len(family.running) < processes and not interrupted:
                    number = waiting.pop(0)
                    log = logs.log(number) if logs is not None else None
                    shards.append(Running(job, number, report, log))
                    _go_on(shards[-1], family, by_child)
                if not family.running and (interrupted or not waiting):
                    break
                for child in family.look():
                    shard = by_child.pop(child.pid)
                    shard.take(child)
                    if not interrupted:
                        _go_on(shard, family, by_child)
                tick(shards)
            except KeyboardInterrupt as how:
                interrupted = True
                family.interrupt(how)
        for shard in shards:
            shard.interrupted()
    if interrupted:
        raise KeyboardInterrupt
    return [shard.result for shard in shards if shard.result is not None]


def _go_on(shard: Running, family: children.Family, by_child: dict[int, Running]) -> None:
    child = shard.next()
    if child is not None:
        by_child[child.pid] = shard
        family.add(child)
