"""The canary in order: may we, two services, both sinks, what is there, what the server does, everything away again.

The first part is a question: nothing that could stay is written before the server has shown that it deletes.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from openmetadata_bulksink import connection, workflow_file
from openmetadata_bulksink.canary import comparison, facts, probes, speed
from openmetadata_bulksink.canary.asking import Server, Unanswered
from openmetadata_bulksink.canary.catalogue import REFUSED, REFUSING, STAGES, Given
from openmetadata_bulksink.canary.comparison import Difference, Refusals
from openmetadata_bulksink.canary.expected import Expected, Sent
from openmetadata_bulksink.canary.facts import Fact
from openmetadata_bulksink.canary.reading import Reader, masked
from openmetadata_bulksink.canary.services import Services
from openmetadata_bulksink.canary.side import SINKS, Ran, Side, SideFailed
from openmetadata_bulksink.canary.speed import Speed
from openmetadata_bulksink.interrupts import Interrupts

#: A workflow sends at most so many records in a request: all that is compared is in more than one of them.
_BATCH = 100

_SOURCE_CLASS = "openmetadata_bulksink.canary.source.CanarySource"

Tell = Callable[[str], None]


class CannotBeAsked(Exception):
    """Why there is no result; the text is masked. Nothing was compared."""


@dataclass
class Work:
    """What one sink did in its service: seconds of each stage, what the server should hold, and the reasons it gave for
    rows that were refused; of the last workflow what was sent, and what was reported as lost.
    """

    service: str
    expected: Expected
    seconds: dict[str, float] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)


class Wrong(NamedTuple):
    """What went wrong besides differences. what: the sort, in words. about: this one."""

    what: str
    about: str


@dataclass
class Findings:
    """Everything that is reported. finished: nothing was left to examine, however the deletion ended. entities: how
    many of each collection were compared. left: lines about services that could not be deleted. hidden: what a report
    must not show, secrets aside.
    """

    finished: bool = False
    order: tuple[str, ...] = ()
    work: dict[str, Work] = field(default_factory=dict)
    entities: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    not_as_sent: dict[str, list[Difference]] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether both sinks left the same, and all of it is gone again."""
        return not (self.differences or self.wrong or self.left)


class Canary:
    """One run. sides: the processes of both sinks. probe: also look at what stands in front of the server."""

    def __init__(self, config: Path, tell: Tell, sides: Mapping[str, Side], *, probe: bool = False) -> None:
        """Raises Unreadable, CannotBeAsked. Sends no request."""
        self._workflow = workflow_file.load(config)
        self._content = workflow_file.content(config)
        self._tell, self._sides, self._probe = tell, sides, probe
        try:
            self._server = Server(self._workflow.client.client, self._workflow.mask)
        except connection.Unusable as reason:
            raise CannotBeAsked(self._workflow.mask(str(reason))) from None
        self._interrupts = Interrupts()
        self._services, self._reader = Services(self._server, self._interrupts), Reader(self._server)
        self.address = self._server.base
        self.found = Findings(hidden=[urlsplit(self.address).netloc, str(urlsplit(self.address).hostname)])

    def run(self) -> None:
        """All of it, into `found`. Raises CannotBeAsked, KeyboardInterrupt; whatever is raised, the processes of the
        sinks end, and all services are deleted, or named through `tell`.
        """
        with self._interrupts:
            try:
                try:
                    self._examine()
                finally:
                    self._interrupts.hold()
            except (Unanswered, SideFailed) as error:
                raise CannotBeAsked(self._workflow.mask(str(error))) from None
            finally:
                self._interrupts.hold()  # again: one that came just before is on its way
                try:
                    for side in self._sides.values():
                        side.kill()  # so that nothing is written behind the deletion
                finally:
                    self.clean_up()

    def _examine(self) -> None:
        self.write()
        with self._timed("facts"):
            self.found.facts += facts.all_of(self._place)
        with self._timed("speed"):
            self.found.speeds = speed.measure(self._workflow, self._services.make())
        if self._probe:
            with self._timed("probing"):
                carried = connection.arguments(self._workflow.client.client)
                self.found.facts += probes.all_of(self._server, carried)
        self.found.finished = True

    def clean_up(self) -> None:
        """Deletes the services; once more than needed does no harm. Raises nothing."""
        with self._timed("deleting"):
            self.found.left = self._services.delete_all(self._tell_whoever_listens)
        self._server.close()

    def _tell_whoever_listens(self, line: str) -> None:
        with suppress(OSError):
            self._tell(line)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.found.seconds[part] = time.monotonic() - started

    # --- asking ---

    def _may_we(self) -> Given:
        """Make and delete an empty service, and see what there is to refer to. Raises CannotBeAsked."""
        trial = self._services.make()
        refused = self._services.delete(trial).get(trial)
        if refused is not None:
            what = "the server does not delete an empty service"
            if refused.forbidden:
                what = "the token may create a service and not delete it"
            raise CannotBeAsked(
                self._workflow.mask(f"{what} ({refused.status}: {refused.message}); nothing else was written")
            )
        self._tell("The token may create services and delete them for good: an empty one was made and is gone.")
        tags = [
            name
            for name in ("PersonalData.Personal", "PII.Sensitive", "Tier.Tier5")
            if self._server.ask("GET", f"/tags/name/{name}").well
        ]
        who = self._server.ask("GET", "/users/loggedInUser")
        # The token's own user: nobody gets a message about a table of theirs.
        owner = None
        if who.well and isinstance(who.body, dict) and who.body.get("id"):
            owner = {"id": who.body["id"], "type": "user", "fullyQualifiedName": who.body["fullyQualifiedName"]}
            self.found.hidden.append(str(who.body.get("name") or ""))
        return Given(tuple(tags), owner)

    # --- writing ---

    def write(self) -> None:
        """Asks whether we may, lets both sinks write all stages, and compares after each: a later one may hide what an
        earlier one has lost. Raises CannotBeAsked, Unanswered, SideFailed.
        """
        with self._timed("asking"):
            given = self._may_we()
            order = list(SINKS)
            random.shuffle(order)
            self.found.order = tuple(order)
            for sink in SINKS:
                service = self._services.make()
                self.found.work[sink] = Work(service, Expected(service))
            self._place = facts.Place(self._server, self._services.make())
            refused = self._place.fill()
            if refused is not None:
                collection, answer = refused
                raise CannotBeAsked(
                    self._workflow.mask(
                        f"the token may make services and not write {collection} ({answer.status}: {answer.message})"
                    )
                )
        with self._timed("writing"):
            for stage in STAGES:
                for sink in order:
                    self._tell(f"Writing, {stage}: {sink}")
                    work = self.found.work[sink]
                    self._take(sink, stage, self._sides[sink].run(self._config(work.service, stage, given)))
                self.compare(stage)

    def _take(self, sink: str, stage: str, ran: Ran) -> None:
        work = self.found.work[sink]
        mask = self._workflow.mask
        if ran.why and sink == "upstream":
            raise CannotBeAsked(f"upstream's own workflow does not come to its end here: {mask(ran.why)}")
        if ran.why:
            self._wrong(f"A workflow of {sink} ended badly", f"{stage}: {mask(ran.why)}")
        elif ran.native != (sink == "ours"):
            self._wrong(f"A workflow of {sink} was written by {'our' if ran.native else 'upstream'}'s sink", stage)
        work.seconds[stage] = ran.seconds
        work.sent = ran.sent
        work.expected.take(ran.sent)
        work.failures = [(mask(name), mask(text)) for name, text in ran.failures]

    def _config(self, service: str, stage: str, given: Given) -> dict[str, Any]:
        """The user's workflow with our source; what it reports elsewhere is left out."""
        content = copy.deepcopy(self._content)
        sink = content.get("sink") or {"type": "metadata-rest"}
        settings = dict(sink.get("config") or {})
        settings["bulk_sink_batch_size"] = min(_BATCH, int(settings.get("bulk_sink_batch_size", _BATCH)))
        workflow = content["workflowConfig"]
        workflow["loggerLevel"] = "ERROR"
        options = {"stage": stage, "given": json.dumps({"tags": given.tags, "owner": given.owner})}
        connected = {"type": "CustomDatabase", "sourcePythonClass": _SOURCE_CLASS, "connectionOptions": options}
        return {
            "source": {
                "type": "CustomDatabase",
                "serviceName": service,
                "serviceConnection": {"config": connected},
                "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
            },
            "sink": {"type": "metadata-rest", "config": settings},
            "workflowConfig": workflow,
        }

    # --- reading back ---

    def compare(self, stage: str) -> None:
        """Reads both services after a workflow of each, and compares them with one another and with what was sent; what
        was seen after an earlier one is not said again. Raises Unanswered.
        """
        found = self.found
        states = {sink: self._reader.state(work.service) for sink, work in found.work.items()}
        found.entities = {name: len(entities) for name, entities in states["ours"].items()}
        _add(found.differences, comparison.between(states["ours"], states["upstream"]), stage)
        for sink, work in found.work.items():
            new = comparison.from_sent(states[sink], work.expected)
            for one in _add(found.not_as_sent.setdefault(sink, []), new, stage):
                if not one.field:
                    what = f"In {one.collection} of {sink} something should be {one.one} and is {one.other}"
                    self._wrong(what, f"{one.name} after {stage}")
            due = REFUSED if stage in REFUSING else ()
            self._judge(sink, stage, comparison.refusals(work.failures, work.service, due))
            for row, text in comparison.reasons(work.failures, work.service, due).items():
                before = work.reasons.setdefault(row, text)
                if text != before:
                    what = f"A row of {sink} was refused with another text than before"
                    self._wrong(what, f"{row} by the workflow {stage}: ...{text[-200:]} | ...{before[-200:]}")
        given = [masked(work.sent, work.service) for work in found.work.values()]
        if given[0] != given[1]:
            self._wrong("The two sinks were not given the same by a workflow", stage)

    def _judge(self, sink: str, stage: str, found: Refusals) -> None:
        """What a sink reports must be what happened. Upstream's reports may lack names."""
        for text in found.wrong:
            self._wrong(f"Reported as lost by {sink}, and nothing that must be refused", f"{stage}: {text[:300]}")
        if sink == "ours" and found.unnamed:
            self._wrong(f"Not reported by ours in the workflow {stage}", ", ".join(found.unnamed))

    def _wrong(self, what: str, about: str) -> None:
        self.found.wrong.append(Wrong(what, about))


def _add(known: list[Difference], found: Sequence[Difference], stage: str) -> list[Difference]:
    """Adds what is not known yet, and returns it."""
    before = {one._replace(stage="") for one in known}
    new = [one._replace(stage=stage) for one in found if one not in before]
    known += new
    return new
