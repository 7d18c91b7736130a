"""What a report needs that nobody else keeps, gathered during a run, within bounds: lost records by reason, time by
schema. At the end everything is put together as `Figures`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from openmetadata_bulksink import source_time
from openmetadata_bulksink.report.figures import (
    OTHER_REASONS,
    About,
    Again,
    Counts,
    Failures,
    Figures,
    Lane,
    Line,
    Schema,
    Spent,
    Split,
    Statements,
)

if TYPE_CHECKING:
    from openmetadata_bulksink._native import Outcome
    from openmetadata_bulksink.records import Record
    from openmetadata_bulksink.writer import Writer

#: Reasons that are kept apart, names that are kept of each, and how long a reason and a name are.
_REASONS, _NAMES, _LENGTH, _NAME = 25, 20, 400, 200
#: Schemas that are kept apart, and how many are shown: the slowest.
_SCHEMAS, _SHOWN = 5_000, 12
#: For what came after the bounds.
_OTHERS = "(others)"

#: What is different in reasons that are alike.
_PARTICULAR = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")


class Gathering:
    """From the first record on; one for each writer."""

    def __init__(self, writer: Writer, about: About, mask: Callable[[str], str]) -> None:
        """mask: takes secrets out of a text."""
        self._writer, self._about, self._mask = writer, about, mask
        self._started = datetime.now(timezone.utc)
        self._idle = source_time.Idle()
        #: Entered again by a handler of SIGTERM that writes the report.
        self._lock = threading.RLock()
        self._failures = _Groups()
        self._others: list[Any] = []
        self._schemas: dict[str, list[float]] = {}
        self._schema: list[float] | None = None
        self._schema_name: str | None = None
        self._since, self._blocked = time.perf_counter(), 0.0
        writer.fence.watch(self._timed)
        writer.idles.append(self._idle)

    # --- during the run ---

    def taken(self, record: Record) -> None:
        """A record was handed over. Once for each record, so that it only looks whether the schema is another one."""
        name = record.fqn if record.collection == "databaseSchemas" else record.parent or record.collection
        if name != self._schema_name:
            self._enter(name)
        self._schema[2] += 1  # type: ignore[index]

    def _enter(self, name: str) -> None:
        self._leave()
        key = name if name in self._schemas or len(self._schemas) < _SCHEMAS else _OTHERS
        self._schema = self._schemas.setdefault(key, [0.0, 0.0, 0.0])
        self._schema_name = name

    def _leave(self) -> None:
        now = time.perf_counter()
        passed, self._since = now - self._since, now
        if passed < 0.05:  # names that alternate: asking for each would cost more than it says
            if self._schema is not None:
                self._schema[0] += passed
            return
        waited = self._writer.engine.figures()["waited"]
        blocked = sum(waited[name] for name in ("room", "answer", "fence", "drain"))
        if self._schema is not None:
            self._schema[0] += passed
            self._schema[1] += blocked - self._blocked
        self._blocked = blocked

    def failed(self, outcome: Outcome, name: str) -> None:
        """A record was lost."""
        what = "life cycle of " if outcome.kind == "life_cycle" else ""
        with self._lock:
            self._failures.add(outcome.reason or "", outcome.fqn, f"{what}{outcome.collection} {name}")

    def meet(self, steps: Iterable[Any]) -> None:
        """The other steps of the workflow, whose failures are not ours."""
        self._others = list(steps)

    def _timed(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def sent(*arguments: Any, **named: Any) -> Any:
            self._idle.begin()
            try:
                return send(*arguments, **named)
            finally:
                self._idle.end()

        return sent

    # --- at the end ---

    def figures(self, ending: str) -> Figures:
        """Everything up to now. ending: how the run ended, in words."""
        writer = self._writer
        self._leave()
        seen, stats, client = writer.engine.figures(), writer.engine.stats(), self._idle.seconds
        spent = writer.spent()
        waited = seen["waited"]
        width = seen["width"]
        return Figures(
            about=self._about,
            started=self._started.isoformat(timespec="seconds"),
            ending=ending,
            counts=Counts(
                entities=writer.entities,
                life_cycles=writer.life_cycles,
                tags=writer.tagged,
                lost=writer.lost,
                in_part=writer.in_part,
                warned=writer.warned,
                pending=stats.pending,
                requests=stats.requests,
                retries=stats.retries,
                most_in_flight=stats.max_in_flight,
                limit=stats.limit,
            ),
            spent=Spent(
                wall=spent.wall,
                database=spent.stood_still,
                computed=spent.computed,
                client=client,
                room=waited["room"],
                answer=waited["answer"],
                fence=waited["fence"],
                drain=waited["drain"],
            ),
            statements=Statements(spent.statements, spent.waited),
            processor=spent.processor,
            fences=dict(sorted(writer.fence.waited.items(), key=lambda item: -item[1])[:8]),
            line=Line(
                width=width,
                taken=_rounded(seen["taken"]),
                in_flight=_rounded(seconds / width for seconds in seen["in_flight"]),
                served=_rounded(seen["served"]),
                not_served=_rounded(seen["not_served"]),
                waits={name: _rounded(amount / width for amount in line) for name, line in seen["waits"].items()},
            ),
            lanes=tuple(Lane(**lane) for lane in seen["lanes"]),
            again=tuple(Again(*one) for one in seen["again"]),
            splits=tuple(Split(*one) for one in seen["splits"]),
            stalls=tuple((start, end) for start, end in seen["stalls"]),
            failures=self._lost(),
            unread=self._unread(),
            schemas=self._slowest(),
        )

    def _lost(self) -> tuple[Failures, ...]:
        with self._lock:
            return self._failures.masked(self._mask)

    def _unread(self) -> tuple[Failures, ...]:
        """What upstream's steps say of themselves; a source that ended early has its reason among them."""
        groups = _Groups()
        for step in self._others:
            for failure in getattr(getattr(step, "status", None), "failures", ()):
                name = str(failure.name)
                groups.add(str(failure.error), name, name)
        return groups.masked(self._mask)

    def _slowest(self) -> tuple[Schema, ...]:
        found = [
            Schema(self._mask(name[:_NAME]), round(seconds, 3), round(min(seconds, blocked), 3), int(records))
            for name, (seconds, blocked, records) in self._schemas.items()
        ]
        return tuple(sorted(found, key=lambda schema: -schema.seconds)[:_SHOWN])


class _Groups:
    """Failures by reasons that are alike, within bounds."""

    def __init__(self) -> None:
        self._groups: dict[str, list[Any]] = {}

    def add(self, reason: str, fqn: str, name: str) -> None:
        """fqn: what the reason may name. name: for people."""
        alike = _alike(reason, fqn)
        if alike not in self._groups and len(self._groups) >= _REASONS:
            alike, reason = _OTHERS, OTHER_REASONS
        group = self._groups.setdefault(alike, [reason[:_LENGTH], 0, []])
        group[1] += 1
        if len(group[2]) < _NAMES:
            group[2].append(name[:_NAME])

    def masked(self, mask: Callable[[str], str]) -> tuple[Failures, ...]:
        """The largest first."""
        kept = [(reason, count, list(names)) for reason, count, names in self._groups.values()]
        groups = [Failures(mask(reason), count, tuple(map(mask, names))) for reason, count, names in kept]
        return tuple(sorted(groups, key=lambda group: -group.count))


def _rounded(values: Any) -> list[float]:
    return [round(value, 3) for value in values]


def _alike(reason: str, fqn: str) -> str:
    """A reason without what is particular to one record: its name and the parts of it, numbers, what is in quotes."""
    text = reason.replace(fqn, "*")
    for part in re.split(r'["\'.]+', fqn):
        if len(part) > 2:
            text = text.replace(part, "*")
    return _PARTICULAR.sub("*", text)[:_LENGTH]
