"""Upstream's `Source` that yields the catalogue to a real workflow; named as `sourcePythonClass` of a custom database.

Imported by upstream alone, in a forked process. What is sent is remembered as upstream's models write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from openmetadata_bulksink.canary.catalogue import Catalogue, Given, Record, with_hash

if TYPE_CHECKING:

    class Source:
        """As far as it is used here."""

        def __init__(self) -> None: ...
else:
    from metadata.ingestion.api.steps import Source

#: Module below `metadata.generated.schema` and class, of create requests and entities.
_REQUESTS = {
    "databases": ("api.data.createDatabase", "CreateDatabaseRequest"),
    "databaseSchemas": ("api.data.createDatabaseSchema", "CreateDatabaseSchemaRequest"),
    "tables": ("api.data.createTable", "CreateTableRequest"),
    "storedProcedures": ("api.data.createStoredProcedure", "CreateStoredProcedureRequest"),
}
_ENTITIES = {
    "tables": ("entity.data.table", "Table"),
    "databaseSchemas": ("entity.data.databaseSchema", "DatabaseSchema"),
}


class CanarySource(Source):
    """One stage of the catalogue."""

    def __init__(self, config: Any, metadata: Any) -> None:
        """config: upstream's model of a workflow's `source`; `connectionOptions` say which stage, and what is given."""
        super().__init__()
        self.metadata = metadata
        options = config.serviceConnection.root.config.connectionOptions.root
        self._service = str(config.serviceName)
        self._stage = options["stage"]
        given = json.loads(options["given"])
        self._catalogue = Catalogue(self._service, Given(tuple(given["tags"]), given["owner"]))
        self._either = import_module("metadata.ingestion.api.models").Either
        #: What `expected.Sent` says, in order.
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    @classmethod
    def create(cls, config_dict: dict[str, Any], metadata: Any, pipeline_name: str | None = None) -> CanarySource:  # noqa: ARG003
        """What upstream's workflow calls."""
        model = import_module("metadata.generated.schema.metadataIngestion.workflow").Source
        return cls(model.model_validate(config_dict), metadata)

    def prepare(self) -> None:
        """Nothing to prepare."""

    def test_connection(self) -> None:
        """Nothing to connect to."""

    def close(self) -> None:
        """Nothing to close."""

    def _iter(self, *_: Any, **__: Any) -> Iterable[Any]:
        for record in self._catalogue.stage(self._stage):
            yield from _ACTS[record.act](self, record)

    def _create(self, record: Record) -> Iterator[Any]:
        request = _model(_REQUESTS[record.collection]).model_validate(with_hash(record.body, self._service))
        body = json.loads(request.model_dump_json(exclude_unset=True, exclude_none=True))
        self.sent.append((record.act, record.collection, body))
        yield self._either(right=request)

    def _life_cycle(self, record: Record) -> Iterator[Any]:
        model = import_module("metadata.ingestion.models.life_cycle").OMetaLifeCycleData
        times = _model(("type.lifeCycle", "LifeCycle")).model_validate(record.body)
        entity = _model(_ENTITIES[record.collection])
        self._note_patch(record, {"lifeCycle": record.body})
        yield self._either(right=model(entity=entity, entity_fqn=record.fqn, life_cycle=times))

    def _keys(self, record: Record) -> Iterator[Any]:
        """As upstream's last pass over foreign keys: the table is read, and patched."""
        table = self.metadata.get_by_name(
            entity=_model(_ENTITIES["tables"]), fqn=record.fqn, fields=["tableConstraints"]
        )
        if table is None:
            return
        constraint = _model(("entity.data.table", "TableConstraint"))
        more = [constraint.model_validate(one) for one in record.body["tableConstraints"]]
        changed = table.model_copy(deep=True)
        changed.tableConstraints = [*(changed.tableConstraints or []), *more]
        patch = import_module("metadata.ingestion.models.patch_request").PatchRequest
        self._note_patch(record, record.body)
        yield self._either(right=patch(original_entity=table, new_entity=changed, override_metadata=True))

    def _note_patch(self, record: Record, fields: dict[str, Any]) -> None:
        """The tables that are patched have plain names."""
        schema, _, name = record.fqn.rpartition(".")
        self.sent.append((record.act, record.collection, {"name": name, "databaseSchema": schema, **fields}))

    def _barrier(self, _: Record) -> Iterator[Any]:
        try:
            barrier = import_module("metadata.ingestion.models.barrier").Barrier
        except ModuleNotFoundError:  # before 1.12
            return
        yield self._either(right=barrier(reason="canary"))

    def _stale(self, record: Record) -> Iterator[Any]:
        """Upstream decides what is gone, in its own code."""
        self.sent.append((record.act, record.collection, {"database": record.fqn, **record.body}))
        yield from import_module("metadata.ingestion.api.delete").delete_entity_from_source(
            metadata=self.metadata,
            entity_type=_model(_ENTITIES[record.collection]),
            entity_source_state=set(record.body["seen"]),
            params={"database": record.fqn},
        )


def _model(place: tuple[str, str]) -> Any:
    module, name = place
    return getattr(import_module(f"metadata.generated.schema.{module}"), name)


_ACTS = {
    "create": CanarySource._create,
    "life_cycle": CanarySource._life_cycle,
    "keys": CanarySource._keys,
    "barrier": CanarySource._barrier,
    "stale": CanarySource._stale,
}
