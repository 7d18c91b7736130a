"""Databases, schemas and their sizes, as upstream's own connector lists them, with the user's filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from openmetadata_bulksink.masking import mask_of
from openmetadata_bulksink.shard import workflow
from openmetadata_bulksink.shard.filters import SHARD, is_incremental, planning
from openmetadata_bulksink.shard.packing import Unit
from openmetadata_bulksink.shard.unread import Unread

_BASE = ("metadata.ingestion.source.database.common_db_source", "CommonDbSourceService")


class Refused(Exception):
    """A workflow that cannot be run in shards; the text says why."""


class Listing(NamedTuple):
    """What a run would walk. earlier_shards: pipelines of an earlier incremental plan are on the server. unread: as in
    `results.PartResult`.
    """

    service: str
    databases: tuple[str, ...]
    units: tuple[Unit, ...]
    earlier_shards: bool
    unread: tuple[tuple[str, str], ...]


def require_shardable(config: Mapping[str, Any]) -> None:
    """What can be seen in the file alone. Raises Refused."""
    source = config.get("source")
    if not isinstance(source, dict) or not source.get("serviceName"):
        raise Refused("the file has no source with a serviceName, so it is no metadata ingestion")
    options = (source.get("sourceConfig") or {}).get("config") or {}
    kind = str(options.get("type") or "")
    name = str(source.get("type") or "").lower()
    for word in ("usage", "lineage", "profiler", "dbt", "classification"):
        if name.endswith(f"-{word}") or name == word or word in kind.lower():
            raise Refused(f"a {word} workflow cannot be run in shards: only metadata ingestion of a database can")
    if kind != "DatabaseMetadata":
        raise Refused(
            f"sourceConfig.config.type is {kind or 'not set'}, and only DatabaseMetadata can be run in shards"
        )
    if config.get("processor"):
        raise Refused("a workflow with a processor cannot be run in shards: only metadata ingestion can")


def list_source(config: Mapping[str, Any]) -> Listing:
    """Connects, lists, and closes; writes nothing to the server. Raises Refused, NotAWorkflow."""
    require_shardable(config)
    made = workflow.create(planning(config))
    try:
        source = made.source
        bases = [(base.__module__, base.__name__) for base in type(source).__mro__]
        if _BASE not in bases:
            raise Refused(
                f"the connector {type(source).__name__} does not stand on upstream's CommonDbSourceService: its "
                "databases and schemas cannot be listed without running it"
            )
        service = str(config["source"]["serviceName"])
        unread = Unread(source, service, mask_of(config))
        units, databases = _walk(source, service)
        failures = list(source.status.failures)
        if failures:
            said = mask_of(config)(f"{failures[0].name}: {failures[0].error}")
            raise Refused(f"the source could not be listed: {said[:450]}")
        earlier = _earlier_shards(made.metadata, config)
        return Listing(service, tuple(databases), tuple(units), earlier, tuple(unread.found.items()))
    finally:
        workflow.close_unstarted(made)


def _walk(source: Any, service: str) -> tuple[list[Unit], list[str]]:
    """As upstream's own loop: one database after the other, since its inspector is that of the current one."""
    context = source.context.get()
    context.upsert("database_service", service)
    units: list[Unit] = []
    databases: list[str] = []
    for database in source.get_database_names():
        databases.append(str(database))
        context.upsert("database", database)
        for schema in source.get_database_schema_names():
            context.upsert("database_schema", schema)
            units.append(Unit(str(database), str(schema), sum(1 for _ in source.get_tables_name_and_type() or ())))
    return units, databases


def _earlier_shards(metadata: Any, config: Mapping[str, Any]) -> bool:
    pipeline = config.get("ingestionPipelineFQN")
    if not pipeline or not is_incremental(config):
        return False
    from metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline import IngestionPipeline

    beginning = str(pipeline).removesuffix('"') + SHARD
    service = str(config["source"]["serviceName"])
    known = metadata.list_all_entities(entity=IngestionPipeline, params={"service": service})
    return any(str(one.fullyQualifiedName.root).startswith(beginning) for one in known)
