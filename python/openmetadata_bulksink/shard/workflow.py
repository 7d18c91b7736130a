"""One upstream workflow in this process, from its configuration to a report; what it would delete is set aside.

Upstream decides what is stale, in its own code, connector by connector. It says so in two ways: a request that the
server answers by deleting (from 2.0 on), and records that the sink turns into deletions. The first is sent as a
question (`dryRun`), the second taken out of the stream. Once a process: upstream keeps what it has seen in attributes
of classes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from openmetadata_bulksink import records
from openmetadata_bulksink.accelerators.stale_scope import Names
from openmetadata_bulksink.log import log
from openmetadata_bulksink.masking import Mask, mask_of
from openmetadata_bulksink.shard.again import Again
from openmetadata_bulksink.shard.deletion import Sightings
from openmetadata_bulksink.shard.keys import MARK, KeysBetweenShards
from openmetadata_bulksink.shard.names import stored_fqn
from openmetadata_bulksink.shard.results import MOST_FAILURES, PartResult, Stale, Step
from openmetadata_bulksink.shard.unread import Unread

#: Of upstream's source: what it has seen, by collection.
_SEEN = {
    "databases": "database_entity_source_state",
    "tables": "database_source_state",
    "storedProcedures": "stored_procedure_source_state",
}


class NotAWorkflow(Exception):
    """Upstream refuses the workflow file, or cannot reach source or server; the text is upstream's."""


class Progress(NamedTuple):
    """How far a workflow is."""

    tables: int
    failures: int


def create(config: Mapping[str, Any]) -> Any:
    """Upstream's workflow, its source connected. Raises NotAWorkflow."""
    from metadata.workflow.metadata import MetadataWorkflow

    try:
        return MetadataWorkflow.create(dict(config))
    except Exception as error:  # noqa: BLE001 - upstream raises whatever its connectors raise
        raise NotAWorkflow(first_line(error, mask_of(config))) from None


def close_unstarted(workflow: Any) -> None:
    """Lets go of source, sink and server of a workflow that was not executed; upstream's `stop` wants its timer."""
    for step in (*workflow.workflow_steps(), workflow.metadata):
        try:
            step.close()
        except Exception as error:  # noqa: BLE001 - a source of 1.11 connects once more then
            log.debug("%s could not be closed: %s", type(step).__name__, type(error).__name__)


def import_upstream() -> None:
    """What every shard needs, before any process is forked."""
    import metadata.ingestion.sink.metadata_rest
    import metadata.workflow.metadata  # noqa: F401


class SetAside:
    """The deletions of one workflow, and foreign keys that it could not resolve."""

    def __init__(self, workflow: Any, keys: list[dict[str, Any]] | None = None, *, whole_run: bool = False) -> None:
        """keys: foreign keys that other workflows could not resolve, to be completed by this one. whole_run: what it
        sees is all that one run would have seen.
        """
        self._whole_run = whole_run
        self._between = KeysBetweenShards(keys or [])
        self._names = Names()
        self.stale: list[Stale] = []
        self.keys: list[dict[str, Any]] = []
        self._metadata = workflow.metadata
        self._source = workflow.source
        if hasattr(self._metadata, "delete_stale_entities"):
            self._metadata.delete_stale_entities = self._ask_for_stale
        self._original_run = self._source.run
        self._source.run = self._run
        if hasattr(self._source, "_prepare_foreign_constraints"):
            self._source._prepare_foreign_constraints = self._resolve
        if keys:
            self._source.context.get_global().foreign_tables.extend(map(_deferred, keys))

    def _ask_for_stale(
        self, entity: Any, scope_params: Mapping[str, str], live_fqns: Any, recursive: bool = True
    ) -> Any:
        """In place of upstream's method. None, as there, where the server knows no such request."""
        from metadata.ingestion.ometa.client import APIError

        kind, scope = next(iter(scope_params.items()))
        suffix = self._metadata.get_suffix(entity)
        # A server deletes nothing for an empty list. A shard may have seen nothing where the whole run has: `close`
        # knows, so the shard asks all the same. The scope itself is never stale.
        seen = self._names.of(scope, live_fqns)
        if not seen and self._whole_run:
            return {"dryRun": True}
        request = {"scopeFqn": scope, "scopeEntityType": kind, "seenFqns": seen or [scope], "recursive": recursive}
        try:
            answer = self._metadata.client.delete(f"{suffix}/deleteStale", json={**request, "dryRun": True})
        except APIError as error:
            if error.status_code == 404:
                return None
            raise
        if not answer or not answer.get("dryRun"):
            raise RuntimeError(f"the server did not say what is stale in {scope} without deleting it")
        for row in answer.get("successRequest") or []:
            found = self._metadata.get_by_name(entity=entity, fqn=str(row.get("request")))
            if found is not None:
                self._note(suffix, found, only_if_seen=True)
        return answer

    def _note(self, suffix: str, entity: Any, *, only_if_seen: bool) -> None:
        name, number, version = (plain(getattr(entity, key)) for key in ("fullyQualifiedName", "id", "version"))
        self.stale.append(Stale(suffix.strip("/"), str(name), str(number), float(version or 0), only_if_seen))

    def _run(self) -> Iterator[Any]:
        """In place of the source's method: its records, without deletions of what was not seen."""
        # What the source itself calls dropped (incremental extraction) is no guess, and is deleted at once: the
        # watermark moves with this run, and the next one would not hear of it again.
        said_so = getattr(getattr(self._source, "incremental", None), "enabled", False)
        for record in self._original_run():
            kind = type(record).__name__
            if kind == "DeleteEntity" and not said_so:
                self._note(self._metadata.get_suffix(type(record.entity)), record.entity, only_if_seen=False)
            elif kind != "PatchRequest":
                if kind == "CreateDatabaseSchemaRequest":
                    self._between.walked(str(plain(record.database)), str(plain(record.name)))
                yield record
            elif _without_repeats(record):
                if self._between.would_have_come_with(str(plain(record.original_entity.fullyQualifiedName))):
                    record.new_entity.sourceHash = MARK
                yield record

    def _resolve(self, *args: Any, **kwargs: Any) -> Any:
        """In place of the source's method that looks up a foreign key: notes those that are not found at the end."""
        # Looked up at each call: an accelerator takes the place of the class's method after this object was made.
        found = type(self._source)._prepare_foreign_constraints(self._source, *args, **kwargs)
        last_try = not (args[6] if len(args) > 6 else kwargs.get("add_to_global", True))
        if found is None and last_try:
            names = ("supports_database", "column", "table_name", "schema_name", "db_name")
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            self.keys.append({name: given[name] for name in names[1:]})
        return found


def _deferred(key: Mapping[str, Any]) -> Any:
    from metadata.ingestion.source.database.common_db_source import ColumnAndReferredColumn

    return ColumnAndReferredColumn(**key)


def _without_repeats(patch: Any) -> bool:
    """Takes foreign keys out of a patch that the table has already; False where nothing is left of it. So that a
    second `close` changes nothing.
    """
    before = getattr(patch.original_entity, "tableConstraints", None) or []
    after = getattr(patch.new_entity, "tableConstraints", None)
    if after is None or len(after) <= len(before):
        return True
    kept: list[Any] = []
    for constraint in after:
        if constraint not in kept:
            kept.append(constraint)
    patch.new_entity.tableConstraints = kept
    return bool(patch.new_entity != patch.original_entity)


def plain(value: Any) -> Any:
    """What one of upstream's root models holds."""
    return getattr(value, "root", value)


class LastStatus:
    """What upstream tells the server of the end of a run, kept back until it is known how it ended: what comes after
    the workflow may fail, and other processes have done a part of it.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self._send = workflow.set_ingestion_pipeline_status
        self._kept: tuple[Any, ...] | None = None
        workflow.set_ingestion_pipeline_status = self._keep

    def _keep(self, state: Any, ingestion_status: Any = None) -> None:
        self._kept = (state, ingestion_status)

    def send(self, config: Mapping[str, Any], steps: Sequence[Step], *, well: bool) -> None:
        """By a new client, since the workflow has closed its own. Upstream sends nothing where it names no pipeline,
        and goes on where the server takes none. steps: counts that take the place of the workflow's own.
        """
        if self._kept is None:
            return
        from metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline import PipelineState

        state, status = self._kept
        state = PipelineState.failed
        if well:
            state = PipelineState.partialSuccess if any(step.failed for step in steps) else PipelineState.success
        for told, step in zip(getattr(status, "root", None) or (), steps, strict=False):
            told.records, told.errors = step.done, step.failed
        try:
            self._workflow.metadata = server_of(config)
        except Exception as error:  # noqa: BLE001 - a server that is gone by now
            log.warning("the state of the pipeline could not be sent: %s", type(error).__name__)
            return
        self._send(state, status)


class Finished(NamedTuple):
    """A workflow that came to its end, and what it saw. schemas: their FQNs. threshold: of success, in percent. status:
    None unless it is that of `close`.
    """

    result: PartResult
    schemas: frozenset[str]
    sightings: Sightings
    threshold: float
    status: LastStatus | None


class Closing(NamedTuple):
    """What the workflow of `close` does besides. keys: see SetAside. stale: what the shards found so. options: those of
    the user's workflow.
    """

    keys: list[dict[str, Any]]
    stale: Iterable[Stale]
    options: Mapping[str, Any]


def execute(
    config: Mapping[str, Any],
    databases: tuple[str, ...],
    watch: Callable[[Callable[[], Progress]], None],
    closing: Closing | None = None,
) -> Finished:
    """Run it, as upstream's command would, but for the success threshold, which is one for all shards. Raises
    NotAWorkflow; what ends a run early is in the result, and so is a database of `databases` that cannot be opened.

    watch: is given a function that tells how far the workflow is, for another thread, before anything is written.
    """
    started = time.monotonic()
    mask = mask_of(config)
    service = str(config["source"]["serviceName"])
    workflow = create(config)
    source, sink = workflow.source, workflow.steps[-1]
    aside = SetAside(workflow, closing.keys if closing else None, whole_run=closing is not None)
    unread = Unread(source, service, mask)
    again = Again(source, service, closing.stale, closing.options) if closing else None
    status = LastStatus(workflow) if closing else None
    watch(lambda: _progress(source, sink))
    why = ""
    try:
        workflow.execute()
    except KeyboardInterrupt:
        why = "interrupted"
    except Exception as error:  # noqa: BLE001 - the reason of a run that failed
        why = first_line(error, mask)
    finally:
        unstopped = _stop(workflow, mask)
    why = why or _unopened(databases, unread, service) or unstopped
    steps = workflow.workflow_steps()
    failures = [failure for step in steps for failure in step.status.failures]
    result = PartResult(
        databases=databases,
        ended="badly" if why else "well",
        seconds=round(time.monotonic() - started, 2),
        why=why,
        seen={name: _by_database(getattr(source, attribute, ())) for name, attribute in _SEEN.items()},
        written=max(_records(sink.status), len(sink.status.records)),
        steps=tuple(map(_counted, steps)),
        failures=tuple((str(one.name), mask(str(one.error))[:500]) for one in failures[:MOST_FAILURES]),
        keys=tuple(aside.keys),
        stale=tuple(aside.stale),
        unread=unread.gaps(),
    )
    schemas = frozenset(map(str, getattr(source, "schema_entity_source_state", ())))
    sightings = again.sightings if again else Sightings(frozenset(), frozenset())
    return Finished(result, schemas, sightings, float(workflow.workflow_config.successThreshold), status)


def _stop(workflow: Any, mask: Mask) -> str:
    """Why it could not be stopped: a source of 1.11 connects once more then."""
    try:
        workflow.stop()
    except Exception as error:  # noqa: BLE001 - as for `execute`
        return first_line(error, mask)
    return ""


def _unopened(databases: Iterable[str], unread: Unread, service: str) -> str:
    """Upstream logs a database that it cannot open, counts one failure where it cannot list them, and may end well; all
    of their tables would be missing, and look dropped.
    """
    for database in databases:
        why = unread.found.get(stored_fqn(service, database)) or unread.found.get(stored_fqn(service))
        if why is not None:
            return f"{database} could not be read ({why})"
    return ""


def _records(status: Any) -> int:
    return int(getattr(status, "record_count", 0) or 0) or len(status.records)


def _counted(step: Any) -> Step:
    status = step.status
    return Step(str(step.name), _records(status) + len(status.updated_records), len(status.failures))


def _by_database(fqns: Iterable[str]) -> dict[str, int]:
    return dict(Counter(records.split_fqn(str(fqn))[1].strip('"') for fqn in fqns))


def _progress(source: Any, sink: Any) -> Progress:
    seen = len(getattr(source, "database_source_state", ()))
    return Progress(seen, len(source.status.failures) + len(sink.status.failures))


def first_line(error: BaseException, mask: Mask) -> str:
    """What is said of an exception. Validation errors quote their input below it."""
    lines = mask(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def execute_for_report(
    config: Mapping[str, Any], databases: tuple[str, ...], watch: Callable[[Callable[[], Progress]], None]
) -> PartResult:
    """As `execute`, for a child whose answer is the report."""
    return execute(config, databases, watch).result


def server_of(config: Mapping[str, Any]) -> Any:
    """Upstream's client of the workflow's server; its `client` is the one for REST."""
    from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
        OpenMetadataConnection,
    )
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    server = config["workflowConfig"]["openMetadataServerConfig"]
    return OpenMetadata(OpenMetadataConnection(**server))
