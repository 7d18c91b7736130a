"""The user's workflow in its four forms: as it is planned, opened, run by a shard, and closed.

Each is a copy with a few keys of `sourceConfig.config` changed. The user's excludes stay beside our includes: a name
that the user keeps out stays out, also where it differs from one of ours in case only.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, product
from typing import Any

from openmetadata_bulksink import records
from openmetadata_bulksink.shard.names import alike, pattern, stored
from openmetadata_bulksink.shard.plan import Part, Plan

Workflow = dict[str, Any]

#: Between a pipeline's name and what makes it the pipeline of one shard.
SHARD = "_shard_"

_NOTHING_BELOW_SCHEMAS = {
    "includeTables": False,
    "includeViews": False,
    "includeStoredProcedures": False,
    "markDeletedTables": False,
    "markDeletedStoredProcedures": False,
}
_NO_PARENTS_DELETED = {"markDeletedSchemas": False, "markDeletedDatabases": False}


def options_of(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """`source.sourceConfig.config`, the object itself."""
    options: dict[str, Any] = workflow["source"]["sourceConfig"]["config"]
    return options


def is_incremental(workflow: Mapping[str, Any]) -> bool:
    """Whether the workflow asks for what changed since its pipeline's last success."""
    incremental = options_of(workflow).get("incremental")
    return bool(isinstance(incremental, dict) and incremental.get("enabled"))


def watermark_of(workflow: Mapping[str, Any]) -> str | None:
    """The pipeline whose last success incremental extraction starts from; None where everything is read."""
    pipeline = workflow.get("ingestionPipelineFQN")
    return str(pipeline) if pipeline and is_incremental(workflow) else None


def planning(workflow: Mapping[str, Any]) -> Workflow:
    """Lists, in whole, and reports to no pipeline: naming one would create it."""
    made = _copy(workflow)
    made.pop("ingestionPipelineFQN", None)
    options_of(made).pop("incremental", None)
    return made


def opening(workflow: Mapping[str, Any]) -> Workflow:
    """Service, databases and schemas, and nothing below."""
    made = planning(workflow)
    options_of(made).update(_NOTHING_BELOW_SCHEMAS, **_NO_PARENTS_DELETED)
    return made


def of_part(workflow: Mapping[str, Any], plan: Plan, shard: int, part: Part) -> Workflow:
    """One database of a shard, all of the user's settings but the filters of databases and schemas."""
    made = _copy(workflow)
    options = options_of(made)
    full = bool(options.get("useFqnForFiltering"))

    def named(*names: str) -> Iterator[str]:
        if not full:
            yield names[-1]
            return
        # Upstream puts an FQN together from names of the source and names that the server gave back.
        for forms in product(*((name, stored(name)) for name in names)):
            yield ".".join(map(records.quote_name, (plan.service, *forms)))

    databases = chain.from_iterable(named(database) for database in part.databases)
    schemas = chain.from_iterable(named(unit.database, unit.schema) for unit in part.units)
    options["databaseFilterPattern"] = _only(databases, options.get("databaseFilterPattern"))
    options["schemaFilterPattern"] = _only(schemas, options.get("schemaFilterPattern"))
    options.update(_NO_PARENTS_DELETED)
    made.pop("ingestionPipelineFQN", None)
    pipeline = watermark_of(workflow)
    if pipeline:
        made["ingestionPipelineFQN"] = pipeline_of(pipeline, shard, part)
    return made


def in_whole(workflow: Mapping[str, Any]) -> Workflow:
    """All there is, whatever has changed; the success counts for its pipeline all the same."""
    made = _copy(workflow)
    options_of(made).pop("incremental", None)
    return made


def closing(workflow: Mapping[str, Any]) -> Workflow:
    """All databases and schemas once more; the user decides whether those that are gone are deleted.

    Reports under the user's pipeline, unless that pipeline's successes are a watermark: what changed since a shard
    began would then be lost to a later run without shards.
    """
    made = _copy(workflow)
    if is_incremental(workflow):
        made.pop("ingestionPipelineFQN", None)
    options_of(made).pop("incremental", None)
    options_of(made).update(_NOTHING_BELOW_SCHEMAS)
    return made


def pipeline_of(pipeline: str, shard: int, part: Part) -> str:
    """A pipeline of its own for each shard and database. A watermark belongs to one database in one shard: another
    one's success would move it over changes that were never read.
    """
    database = hashlib.sha256(alike(part.databases[0]).encode()).hexdigest()[:8]
    ending = f"{SHARD}{shard}_{database}" + (f"_{part.since}" if part.since else "")
    return f'{pipeline[:-1]}{ending}"' if pipeline.endswith('"') else pipeline + ending


def _only(names: Iterable[str], users: Any) -> dict[str, list[str]]:
    excludes = users.get("excludes") if isinstance(users, dict) else None
    return {"includes": [pattern(names)], **({"excludes": list(excludes)} if excludes else {})}


def _copy(workflow: Mapping[str, Any]) -> Workflow:
    return copy.deepcopy(dict(workflow))
