"""What the server holds of a service, as comparable data: without ids and times, the service's name masked."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from openmetadata_bulksink.canary.asking import Server, Unanswered
from openmetadata_bulksink.canary.catalogue import COLLECTIONS

#: Stands for the service's name.
SERVICE = "SERVICE"

#: FQN of the parent, and name.
Key = tuple[str, str]

#: Collection -> key -> entity.
State = dict[str, dict[Key, dict[str, Any]]]

#: What is asked for besides the default, for each collection; a server that does not know one of them says so.
_COMMON = ("owners", "tags", "domains", "dataProducts", "extension", "followers", "lifeCycle", "sourceHash")
_FIELDS = {
    "databases": _COMMON,
    "databaseSchemas": _COMMON,
    "tables": (*_COMMON, "columns", "tableConstraints", "tablePartition", "schemaDefinition", "dataModel"),
    "storedProcedures": _COMMON,
}

#: What differs between any two entities.
_ACCIDENTAL = frozenset(
    {"id", "href", "version", "updatedAt", "updatedBy", "impersonatedBy", "changeDescription", "usageSummary"}
    | {"incrementalChangeDescription", "entityStatus", "votes", "createdAt", "createdBy"}
)
_ACCIDENTAL_IN_LABELS = frozenset({"href", "appliedAt", "appliedBy", "style", "description", "displayName", "name"})
_PEOPLE = frozenset({"owners", "followers", "reviewers", "experts"})
_UNORDERED = frozenset({"tags", "owners", "domains", "dataProducts", "followers", "tableConstraints"})


class Reader:
    """Reads services of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._fields = dict(_FIELDS)

    def state(self, service: str) -> State:
        """Everything below the service, what is deleted too. Raises Unanswered."""
        found: State = {collection: {} for collection in COLLECTIONS}

        def take(collection: str, scope: str, name: str) -> list[str]:
            entities = self._entities(collection, {scope: name})
            for entity in entities:
                comparable = normal(masked(entity, service))
                parent = comparable.get(COLLECTIONS[collection])
                found[collection][str(parent), str(comparable.get("name"))] = comparable
            return [str(entity["fullyQualifiedName"]) for entity in entities if entity.get("fullyQualifiedName")]

        for database in take("databases", "service", service):
            take("tables", "database", database)
            for schema in take("databaseSchemas", "database", database):
                take("storedProcedures", "databaseSchema", schema)
        return found

    def _entities(self, collection: str, scope: dict[str, str]) -> list[dict[str, Any]]:
        while True:
            fields = self._fields[collection]
            try:
                return list(self._server.list(collection, include="all", fields=",".join(fields), **scope))
            except Unanswered as refusal:
                unknown = re.search(r"[Ii]nvalid field name (\w+)", str(refusal))
                if unknown is None or unknown[1] not in fields:
                    raise
                self._fields[collection] = tuple(name for name in fields if name != unknown[1])


def masked(value: Any, service: str) -> Any:
    """The value with the service's name replaced in every text."""
    if isinstance(value, str):
        return value.replace(service, SERVICE)
    if isinstance(value, dict):
        return {key: masked(inner, service) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(inner, service) for inner in value]
    return value


def normal(value: Any) -> Any:
    """Without what differs between any two runs, and without what is empty; references are FQNs, people digests."""
    if isinstance(value, dict):
        if "id" in value and "type" in value and "columns" not in value:
            return str(value.get("fullyQualifiedName") or value["id"])
        hidden = _ACCIDENTAL_IN_LABELS if "tagFQN" in value else _ACCIDENTAL
        made = {key: normal(inner) for key, inner in value.items() if key not in hidden}
        for key in _PEOPLE & made.keys():
            made[key] = [_digest(person) for person in made[key] or ()]
        for key in _UNORDERED & made.keys():
            if isinstance(made[key], list):
                made[key].sort(key=lambda inner: json.dumps(inner, sort_keys=True))
        return {key: inner for key, inner in made.items() if inner not in (None, [], {}, "")}
    if isinstance(value, list):
        return [normal(inner) for inner in value]
    return value


def _digest(person: Any) -> str:
    """Whether it is the same one can be seen, and not who."""
    return "person " + hashlib.sha256(str(person).encode()).hexdigest()[:12]
