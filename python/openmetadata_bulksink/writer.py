"""One sink's native side: the engine, its fence, and how outcomes become entries of upstream's `Status` (rule A6).

Takes records that are already bytes; knows neither Create classes nor upstream's dispatch. The lock guards `Status`
only and is never held across a wait.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from openmetadata_bulksink import source_time, tags
from openmetadata_bulksink.fence import Fence, Scope
from openmetadata_bulksink.log import log
from openmetadata_bulksink.records import Record

if TYPE_CHECKING:
    from openmetadata_bulksink._native import BulkSink, Outcome
    from openmetadata_bulksink.report.file import Report
    from openmetadata_bulksink.upstream import Status

#: Outcomes of tag records are taken by so many: most of them are there at once, because nothing is sent.
_TAGS_TOGETHER = 32

#: Seconds for which the final drain waits before it takes the outcomes that have come.
_SLICE = 0.05

#: Seconds for which who looks lets another thread make entries. That takes no time, but upstream logs each failure, and
#: who looks may be a handler of that very log.
_OTHERS_ENTRIES = 1.0


class Writer:
    """Records in, entries of a status out."""

    def __init__(
        self, engine: BulkSink, client: Any, status: Callable[[], Status], failure: Callable[..., Any]
    ) -> None:
        """status: the one that counts now; a program may give its sink another. failure: upstream's
        `StackTraceError`.
        """
        self.engine = engine
        self.fence = Fence(client, engine, self.pending, self.has_lost)
        self._status = status
        self._failure = failure
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._ended = 0
        self._texts: dict[str, str] = {}
        self._lost_tables: set[str] = set()
        self.entities = 0
        self.lost = 0
        #: Tables that the server has without some of their foreign keys.
        self.in_part = 0
        #: Records that the server has in another form already.
        self.warned = 0
        self.life_cycles = 0
        #: Tag records that the server has, and those whose outcomes were not taken yet.
        self.tagged = 0
        self._tags_pending = 0
        self.final_drain_seconds = 0.0
        self.closed = False
        self._finishing = False
        self._source_time = source_time.SourceTime()
        #: What times other waits of this thread.
        self.idles = [self._source_time.idle]
        self._accounting = False
        self.report: Report | None = None
        _living.add(self)

    # --- records ---

    def submit(self, record: Record) -> None:
        self.engine.submit(
            record.collection, record.fqn, record.body, record.parent, record.needs, first_wins=record.first_wins
        )
        if self.report is not None:
            self.report.taken(record)
        self.collect()

    def submit_tag(self, tagging: tags.Tagging, mark: int) -> None:
        """A classification and its tag: one entry of the status for both, as upstream has it. mark: the engine's."""
        group, tag, label = tagging
        with self._lock:
            self._tags_pending += 1
        try:
            self.engine.submit(
                tag.collection,
                tag.fqn,
                tag.body,
                tag.parent,
                tag.needs,
                once=True,
                first=(group.collection, group.fqn, group.body),
                label=label,
            )
        except BaseException:
            if self.engine.mark() == mark:
                with self._lock:
                    self._tags_pending -= 1
            raise
        if self.report is not None:
            self.report.taken(tag)
        if self._tags_pending >= _TAGS_TOGETHER:
            self.collect()

    def waits_for_tags(self) -> bool:
        """Whether any tag is without an outcome, after a look at those that have come."""
        if self._tags_pending:
            self.collect()
        return self._tags_pending > 0

    def submit_life_cycle(self, collection: str, fqn: str, life_cycle: bytes) -> None:
        self.engine.submit_life_cycle(collection, fqn, life_cycle)
        self.collect()

    def pending(self) -> bool:
        """Whether any record may be without an outcome. Asked for every request of the client."""
        if os.getpid() != self._pid:
            self._start_afresh()
        return self.engine.mark() > self._ended

    def _start_afresh(self) -> None:
        """In the child of a fork: what was pending is the parent's."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._ended = 0
        self._accounting = False
        self._tags_pending = 0
        self.fence.forget()

    # --- outcomes ---

    def collect(self) -> None:
        """Turn the outcomes that have come into entries."""
        outcomes = self.engine.take_outcomes()
        if outcomes:
            self._account(outcomes)

    def glance(self) -> None:
        """As `collect`, for whoever only looks: sends nothing, waits for no request, and does nothing where the entries
        are being made by the very thread whose signal handler asks.
        """
        if os.getpid() != self._pid or not self._lock.acquire(timeout=_OTHERS_ENTRIES):
            return
        try:
            if not self._accounting:
                self._make_entries(self.engine.take_outcomes())
        finally:
            self._lock.release()

    def _account(self, outcomes: list[Outcome]) -> None:
        if os.getpid() != self._pid:
            self._start_afresh()
        self._make_entries(outcomes)

    def _make_entries(self, outcomes: list[Outcome]) -> None:
        written: list[str] = []
        with self._lock:
            self._accounting = True
            try:
                for outcome in outcomes:
                    self._account_one(outcome, written)
            finally:
                self._ended += len(outcomes)
                self._status().records.extend(written)
                self._accounting = False

    def _account_one(self, outcome: Outcome, written: list[str]) -> None:
        status = outcome.status
        if outcome.label is not None:
            self._account_tag(outcome, outcome.label, written)
            return
        if status == "written":
            if outcome.kind == "create":
                self.entities += 1
                written.append(self._text(outcome.collection))
            else:
                self.life_cycles += 1
            if outcome.reason is not None:
                self.in_part += 1
                self._warn(outcome)
        elif status == "failed":
            self.lost += 1
            if outcome.collection == "tables":
                self._lost_tables.add(outcome.fqn)
            self._fail(outcome)
        else:
            self.warned += 1
            self._warn(outcome)

    def _warn(self, outcome: Outcome) -> None:
        self._status().warning(_noun(outcome.collection), f"{outcome.fqn}: {outcome.reason}")

    def has_lost(self, table: str) -> bool:
        """Whether a record about a table was lost, after a look at the outcomes that have come."""
        self.collect()
        return table in self._lost_tables

    def _account_tag(self, outcome: Outcome, label: str, written: list[str]) -> None:
        """The outcome of one half of a tag record. A tag ends after its classification, and fails with it."""
        if outcome.collection != tags.TAGS:
            return
        self._tags_pending -= 1
        if outcome.status == "written":
            self.tagged += 1
            written.append(tags.written(outcome.fqn))
        else:
            self.lost += 1
            self._fail(outcome, label)

    def _fail(self, outcome: Outcome, name: str | None = None) -> None:
        if self.report is not None:
            self.report.failed(outcome, name or outcome.fqn)
        what = "life cycle of " if outcome.kind == "life_cycle" else ""
        reason = f"The {what}{_noun(outcome.collection)} {outcome.fqn} was not written: {outcome.reason}"
        self._status().failed(self._failure(name=name or outcome.fqn, error=reason, stackTrace=None))

    def _text(self, collection: str) -> str:
        """One text for all entities of a kind: a status of a million tables would else be 115 MB."""
        text = self._texts.get(collection)
        if text is None:
            text = self._texts[collection] = f"{_noun(collection)} written"
        return text

    # --- waits ---

    def wait_for(self, scopes: tuple[Scope, ...], route: str) -> None:
        """Before a record that upstream writes itself (rule A3)."""
        if scopes and self.pending():
            self.fence.hold_for(route, scopes)
            self.collect()

    def barrier(self, strict: bool) -> None:
        """Rule A5."""
        if strict:
            self.fence.hold_for("Barrier", (Scope(),))
            self.collect()
        else:
            self.fence.barrier()

    def finish(self) -> None:
        """The final drain: after it, nothing is pending. Does not close: more records may come. Outcomes are taken
        while it waits, so that whoever looks at the status sees them come.
        """
        if self.closed or self._finishing:
            return
        self._finishing = True
        started = time.monotonic()
        try:
            with self._apart():
                drained = not self.pending()
                while not drained:
                    drained = self._drained_within(_SLICE)
                    with self._lock:  # for whoever looks meanwhile: an outcome is in the engine or among the entries
                        self._make_entries(self.engine.take_outcomes())
        finally:
            self._finishing = False
            self.final_drain_seconds += time.monotonic() - started

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """The end may come in a signal's handler, in the middle of a statement or request, and is no time of that."""
        with ExitStack() as paused:
            for idle in self.idles:
                paused.enter_context(idle.paused())
            yield

    def _drained_within(self, seconds: float) -> bool:
        from openmetadata_bulksink import _native

        try:
            self.engine.drain(seconds)
        except _native.DrainTimeout:
            return False
        return True

    def close(self) -> None:
        """Drain, end the engine's threads, and give the client back. A wait that was interrupted may be tried again."""
        if self.closed:
            return
        self.finish()
        self.engine.close()
        self._end()

    def deliver_within(self, seconds: float) -> int:
        """Close, for at most so long. Returns how many records were lost in it, each by name."""
        if self.closed:
            return 0
        lost = self.lost
        with self._apart():
            self.engine.close(timeout=seconds)
            self._end()
        return self.lost - lost

    def give_up(self) -> None:
        """End at once: what is still pending is lost, each record by name."""
        self.engine.close(timeout=0)
        self._end()

    def _end(self) -> None:
        self.collect()
        self.closed = True
        self.fence.remove()
        self._source_time.end()
        _living.discard(self)
        if self.report is not None:
            self.report.write()

    # --- what it says ---

    def spent(self) -> source_time.Spent:
        """Where the source's time went, until now or until the end."""
        return self._source_time.so_far()

    def summary(self, read_ahead: int | None = None) -> str:
        """The line at the end. read_ahead: connections that were granted; None where none would help."""
        stats = self.engine.stats()
        parts = f"budget {stats.blocked_seconds:.1f} s"
        fences = dict(self.fence.waited)
        fenced = sum(fences.values())
        if fenced >= 0.05:
            worst = max(fences, key=lambda route: fences[route])
            parts += f", fences {fenced:.1f} s (most of it {worst}, {fences[worst]:.1f} s)"
        else:
            parts += ", fences 0.0 s"
        parts += f", final drain {self.final_drain_seconds:.1f} s"
        blocked = stats.blocked_seconds + fenced + self.final_drain_seconds
        spent = self._source_time.end()
        advice = source_time.hint(spent, read_ahead)
        life_cycles = f", {self.life_cycles} life cycles" if self.life_cycles else ""
        tagged = f", {self.tagged} tag records" if self.tagged else ""
        in_part = f" ({self.in_part} without some of their foreign keys)" if self.in_part else ""
        return (
            f"{self.entities} entities written{in_part}{life_cycles}{tagged}, {self.lost} failed, "
            f"in {stats.requests} requests "
            f"({stats.retries} retries, at most {stats.max_in_flight} at a time); "
            f"{source_time.sentence(spent, blocked)}: {parts}{f'. {advice}' if advice else ''}"
        )


_living: weakref.WeakSet[Writer] = weakref.WeakSet()

_NOUNS = {
    "databases": "Database",
    "databaseSchemas": "DatabaseSchema",
    "tables": "Table",
    "storedProcedures": "StoredProcedure",
    "queries": "Query",
    "charts": "Chart",
    "dashboards": "Dashboard",
    "dashboard/datamodels": "DashboardDataModel",
    "topics": "Topic",
    "searchIndexes": "SearchIndex",
    "mlmodels": "MlModel",
    "apiCollections": "APICollection",
    "apiEndpoints": "APIEndpoint",
    "drives/directories": "Directory",
    "drives/files": "File",
    "drives/spreadsheets": "Spreadsheet",
    "drives/worksheets": "Worksheet",
    "users": "User",
    "tags": "Tag",
    "classifications": "Classification",
    "glossaryTerms": "GlossaryTerm",
}


def _noun(collection: str) -> str:
    return _NOUNS.get(collection, collection)


def _at_exit() -> None:
    """A program that ends without `close()`: the interpreter does not wait for us, so at least say what was not
    delivered.
    """
    for writer in list(_living):
        if writer.closed or writer._pid != os.getpid():
            continue
        try:
            pending = writer.engine.stats().pending
        except Exception:  # noqa: BLE001
            continue
        if writer.report is not None:
            writer.collect()  # what the native module has ended by now
            writer.report.forgotten()
        if pending:
            log.warning("%d records were not delivered: the sink was not closed before the program ended", pending)


atexit.register(_at_exit)
