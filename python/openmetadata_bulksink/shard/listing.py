"""Databases, schemas and their sizes, as upstream's own connector lists them, with the user's filters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from openmetadata_bulksink.masking import Mask, mask_of
from openmetadata_bulksink.shard import workflow
from openmetadata_bulksink.shard.filters import SHARD, planning, watermark_of
from openmetadata_bulksink.shard.names import stored_fqn
from openmetadata_bulksink.shard.packing import Unit
from openmetadata_bulksink.shard.results import Gap
from openmetadata_bulksink.shard.unread import Unread

#: How upstream's fields for filters end.
_FILTER = "FilterPattern"

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
    unread: tuple[Gap, ...]


def require_shardable(config: Mapping[str, Any]) -> None:
    """What can be seen in the file alone. Raises Refused."""
    source = config.get("source")
    if not isinstance(source, dict) or not source.get("serviceName"):
        raise Refused("the file has no source with a serviceName, so it is no metadata ingestion")
    section = source.get("sourceConfig")
    options = section.get("config") if isinstance(section, dict) else None
    if not isinstance(options, dict):
        raise Refused("source.sourceConfig.config must be a mapping with the key type")
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
    for field, pattern in options.items():
        if str(field).endswith(_FILTER) and isinstance(pattern, dict):
            _require_expressions(f"source.sourceConfig.config.{field}", pattern)


def require_sink(config: Mapping[str, Any]) -> None:
    """Of a file that upstream's model takes, which may lack it, as its workflow may not. Raises Refused."""
    if not isinstance(config.get("sink"), dict) or not config["sink"].get("type"):
        raise Refused("the file has no sink with a type, such as metadata-rest")


def _require_expressions(field: str, pattern: Mapping[str, Any]) -> None:
    for kind, expressions in pattern.items():
        for at, expression in enumerate(expressions if isinstance(expressions, list) else ()):
            try:
                re.compile(str(expression))
            except re.error as error:
                raise Refused(f"{field}.{kind}[{at}], {expression}, is no regular expression: {error}") from None


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
        try:
            units, databases = _walk(source, service)
        except Exception as error:
            why = _unnameable(error, mask_of(config)) or workflow.first_line(error, mask_of(config))
            raise Refused(f"the source could not be listed: {why}") from error
        failures = list(source.status.failures)
        if failures:
            said = mask_of(config)(f"{failures[0].name}: {failures[0].error}")
            raise Refused(f"the source could not be listed: {said[:450]}")
        if not any(unit.tables for unit in units):
            listed = [unit for unit in units if stored_fqn(service, unit.database, unit.schema) not in unread.found]
            _require_something(source, databases, listed, unread)
        earlier = _earlier_shards(made.metadata, config)
        return Listing(service, tuple(databases), tuple(units), earlier, unread.gaps())
    finally:
        workflow.close_unstarted(made)


def _unnameable(error: Exception, mask: Mask) -> str | None:
    """Upstream names a database and a schema before it filters, and its names cannot hold everything."""
    _, found, name = mask(str(error)).partition("Invalid name ")
    if type(error).__name__ != "FQNBuildingException" or not found:
        return None
    return (
        f"upstream takes no name with a quotation mark or a line break, and there is {name!r}; one run ends there, "
        "too, and a filter does not help, since upstream names what it filters: rename it, or hide it from this user"
    )


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


def _require_something(source: Any, databases: list[str], units: list[Unit], unread: Unread) -> None:
    """Of a source without tables: raises Refused where nothing could be read, a filter keeps out what there is, or
    there is nothing. units: schemas that could be listed; they may be empty.
    """
    if unread.found and not units:
        fqn, why = next(iter(unread.found.items()))
        raise Refused(f"nothing could be listed; {fqn} could not be read: {why}")
    options = source.source_config
    for what, kept in (("database", databases), ("schema", units), ("table", [])):
        # Each entry is one name with upstream's reason, such as "Schema Filtered Out".
        out = [str(fqn) for one in source.status.filtered for fqn, why in one.items() if why.lower().startswith(what)]
        if not kept and out:
            compared = "its full name, from the service on" if options.useFqnForFiltering else "its name"
            raise Refused(
                f"{what}FilterPattern keeps out every {what} that the source has ({len(out)}, such as {out[0]}): "
                f"nothing would be run, and all of it be deleted. An expression is compared with the beginning of "
                f"{compared}; without `includes` everything is in that `excludes` leaves"
            )
    if not units:
        raise Refused("the source shows no schema to this user")


def _earlier_shards(metadata: Any, config: Mapping[str, Any]) -> bool:
    pipeline = watermark_of(config)
    if pipeline is None:
        return False
    from metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline import IngestionPipeline

    beginning = pipeline.removesuffix('"') + SHARD
    service = str(config["source"]["serviceName"])
    known = metadata.list_all_entities(entity=IngestionPipeline, params={"service": service})
    return any(str(one.fullyQualifiedName.root).startswith(beginning) for one in known)
