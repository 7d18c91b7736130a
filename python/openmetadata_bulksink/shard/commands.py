"""`shard plan` and `open`, and the documents that all steps read and write. Upstream runs in children alone."""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from openmetadata_bulksink import in_one_step, standard_streams, workflow_file
from openmetadata_bulksink.masking import mask_of
from openmetadata_bulksink.shard import children, filters, listing, reports, results, workflow
from openmetadata_bulksink.shard import plan as plans
from openmetadata_bulksink.shard.documents import BadDocument, text_of
from openmetadata_bulksink.shard.fingerprint import fingerprint
from openmetadata_bulksink.shard.packing import Kept, Key, Moved, pack
from openmetadata_bulksink.shard.plan import Plan
from openmetadata_bulksink.shard.results import PartResult, Result
from openmetadata_bulksink.workflow_file import Unreadable

Workflow = dict[str, Any]


def say(text: str) -> None:
    """To standard error: standard output is for documents."""
    print(text, file=sys.stderr, flush=True)


class Job(NamedTuple):
    """A workflow file with the plan that was made for it."""

    config: Workflow
    plan: Plan


class Given(NamedTuple):
    """A workflow file. fingerprint: see there."""

    config: Workflow
    fingerprint: str


def load_workflow(path: Path) -> Given:
    """The file, by upstream's own loader and models: variables in it are filled in as `metadata ingest` does. Raises
    Unreadable, Refused.
    """
    if not hasattr(os, "fork"):
        raise Unreadable("shards are forked processes, and this platform has none")
    try:
        content = workflow_file.content(path)
    except ImportError as error:
        raise Unreadable(f"openmetadata-ingestion is not installed here ({error}); install it first") from None
    listing.require_shardable(content)
    model = workflow_file.whole(path, content)
    listing.require_sink(content)
    return Given(content, fingerprint(content, model.source.serviceConnection))


def load_plan(path: Path) -> Plan:
    """Raises BadDocument, OSError."""
    return plans.read(text_of(path), str(path), time.time())


def load_job(config: Path, plan: Path) -> Job:
    """Both, if they belong together. Raises BadDocument, Unreadable, Refused."""
    given, planned = load_workflow(config), load_plan(plan)
    if given.fingerprint != planned.fingerprint:
        raise BadDocument(f"{config} has changed since {plan} was made; make a new plan")
    return Job(given.config, planned)


def make_plan(given: Given, shards: int, kept: Plan | None, started: float) -> Plan:
    """List the source and pack. kept: an earlier plan. started: when this process did, by the monotonic clock. Raises
    Refused, ChildFailed.
    """
    service = str(given.config["source"]["serviceName"])
    if kept is not None and kept.service != service:
        raise listing.Refused(f"the plan of --keep is one of the service {kept.service}, and this file is of {service}")
    workflow.import_upstream()
    start_up = time.monotonic() - started
    config = given.config
    found: listing.Listing | listing.Refused = children.run("listing", lambda _: _listed(config), mask_of(config))
    if isinstance(found, listing.Refused):
        raise found
    for gap in found.unread:
        say(f"{gap.fqn} could not be read, and what is in it is not in the plan: {gap.why}")
    if len(found.units) < 2 and shards > 1:
        raise listing.Refused(
            f"sharding cannot pay: this workflow has {len(found.units)} schema, and a schema is never divided"
        )
    if found.earlier_shards and kept is None:
        raise listing.Refused(
            "this workflow has run incrementally in shards before: give the plan of then with --keep, so that no "
            "schema moves to a shard whose last success is newer than its own"
        )
    made = time.time()
    places: dict[Key, Kept] = kept.places() if kept else {}
    try:
        # Never a number that an earlier plan gave: its pipeline's watermark is newer than a schema that comes now.
        packed = pack(found.units, shards, places, since=int(made * 1000) if kept else 0)
    except Moved as error:
        raise listing.Refused(f"{error}; make a plan with at least as many shards as the one of --keep") from None
    return Plan(
        run=secrets.token_hex(8),
        made=made,
        fingerprint=given.fingerprint,
        service=found.service,
        databases=found.databases,
        shards=tuple(map(tuple, packed)),
        start_up=round(start_up, 1),
        incremental=filters.is_incremental(config),
        before=kept.line if kept else (),
    )


def _listed(config: Workflow) -> listing.Listing | listing.Refused:
    reports.none()
    try:
        return listing.list_source(config)
    except listing.Refused as refused:
        return refused


def table_of(plan: Plan) -> str:
    """The plan for people: what goes where, what it is expected to bring, what will not pay."""
    lines = ["shard  databases  schemas   tables"]
    for number, shard in enumerate(plan.shards):
        tables = sum(unit.tables for unit in shard)
        lines.append(f"{number:5}  {len({unit.database for unit in shard}):9}  {len(shard):7}  {tables:7}")
    share = plan.longest_share()
    lines.append(
        f"The longest shard is {100 * share:.0f} % of the whole: at best the work takes {share:.2f} of one run."
    )
    lines += [
        f"{unit.database}.{unit.schema} ({unit.tables} tables) is larger than an even shard and stays whole."
        for unit in plan.too_large()
    ]
    empty = sum(not shard for shard in plan.shards)
    if empty:
        lines.append(f"{empty} shards are empty: fewer would do.")
    lines.append(
        f"Start-up took {plan.start_up:.0f} s, and each shard that is started by itself pays it again; `shard all` "
        f"pays it once. A run whose work takes less than that does not gain from shards on several machines."
    )
    return "\n".join(lines)


def _opened(config: Workflow, databases: tuple[str, ...], watch: children.Watch) -> PartResult:
    reports.of_step("open")
    return workflow.execute_for_report(config, databases, watch)


def open_all(job: Job, lifeline: int | None = None) -> bool:
    """Service, databases, schemas, once, so that shards do not all write them at the same time. lifeline: see
    `children.Family`.
    """
    workflow.import_upstream()
    config, databases = filters.opening(job.config), job.plan.databases
    try:
        opened: PartResult = children.run(
            "opening",
            partial(_opened, config, databases),
            mask_of(config),
            lifeline=lifeline,
            interrupted=lambda _: say("opening was interrupted: what it wrote stays, nothing was deleted; open again"),
        )
    except children.ChildFailed as error:
        opened = PartResult(databases, "badly", why=str(error))
    tell_of_failures(opened, "opening")
    # The shards write all of it again. Only where nothing but the service got there, they would get no further.
    why = opened.why or ("nothing below the service was written" if opened.failures and opened.written <= 1 else "")
    if why:
        say(f"opening did not end well: {why}")
    return not why


def tell_of_failures(part: PartResult, what: str, most: int = 20) -> None:
    """The first of them, and of what could not be listed."""
    for name, reason in part.failures[:most]:
        say(f"{what}: {name}: {reason}")
    for gap in part.unread[:most]:
        say(f"{what}: {gap.fqn} could not be read: {gap.why}")


def require_place(path: Path | None) -> None:
    """Before anything is done. Raises BadDocument where no document can be written."""
    try:
        if path is None:
            if standard_streams.is_missing("stdout"):
                raise BadDocument("standard output is closed, and a document would go there")
        elif in_one_step.is_file_or_nothing(path):
            in_one_step.require(path)
        elif path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise BadDocument(f"{path} cannot be written: {error.strerror or error}") from None


def require_folder(path: Path) -> None:
    """Make it, where it is not there. Raises BadDocument where no file can be made in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        in_one_step.require(path / "plan.json")
    except OSError as error:
        raise BadDocument(f"no files can be made in {path}: {error.strerror or error}") from None


def write_document(path: Path | None, text: str) -> None:
    """In UTF-8, whatever the terminal's encoding. A file, also one behind a link, is replaced in one step. A device, a
    pipe and what is open already is written to, like standard output, which is None.
    """
    if path is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    elif in_one_step.is_file_or_nothing(path):
        in_one_step.replace(path, text)
    else:
        with path.open("ab") as file:
            file.write(text.encode())


def write_result(path: Path | None, result: Result) -> None:
    """As `write_document`; what cannot be replaced gets the last report only."""
    if result.ended != "running" or (path is not None and in_one_step.is_file_or_nothing(path)):
        write_document(path, result.to_json())


def read_results(paths: Iterable[Path]) -> list[Result]:
    """One result a line in each file; `-` is standard input. Raises BadDocument, OSError."""
    found = []
    for path in paths:
        text = text_of(None if str(path) == "-" else path)
        # A name may hold what other than a line feed ends a line to `splitlines`.
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines:
            raise BadDocument(f"{path} is empty; the shard that should have written it was killed")
        found += [results.read(line, str(path)) for line in lines]
    return found
