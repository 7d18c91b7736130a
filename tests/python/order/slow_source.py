"""A database source that takes a given time for each table, on upstream's own topology: a `CustomDatabase` for real
workflows. It reads nothing, so that all the time of a run is its own, the sink's, or the runner's.

Options of the connection: databases, schemas, tables (in each), milliseconds (for each table).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
from metadata.generated.schema.api.data.createTable import CreateTableRequest
from metadata.generated.schema.entity.data.database import Database
from metadata.generated.schema.entity.data.databaseSchema import DatabaseSchema
from metadata.generated.schema.entity.data.table import TableType
from metadata.generated.schema.metadataIngestion.workflow import Source as WorkflowSource
from metadata.ingestion.api.models import Either
from metadata.ingestion.source.database.database_service import DatabaseServiceSource
from metadata.utils import fqn

COLUMNS = [{"name": f"column_{number}", "dataType": "VARCHAR", "dataLength": 40} for number in range(10)]


class SlowSource(DatabaseServiceSource):  # type: ignore[misc]
    """Databases, schemas and tables by number."""

    def __init__(self, config: Any, metadata: Any) -> None:
        super().__init__()
        self.config = config
        self.metadata = metadata
        self.source_config = config.sourceConfig.config
        self.service_connection = config.serviceConnection.root.config
        options = self.service_connection.connectionOptions.root
        self._databases = int(options["databases"])
        self._schemas = int(options["schemas"])
        self._tables = int(options["tables"])
        self._pause = float(options["milliseconds"]) / 1000

    @classmethod
    def create(cls, config_dict: dict[str, Any], metadata: Any, pipeline_name: str | None = None) -> SlowSource:  # noqa: ARG003
        return cls(WorkflowSource.model_validate(config_dict), metadata)

    def test_connection(self) -> None:
        """There is nothing to connect to."""

    def close(self) -> None:
        """Nothing is open."""

    def get_database_names(self) -> Iterable[str]:
        return [f"database_{number:02}" for number in range(self._databases)]

    def get_database_schema_names(self) -> Iterable[str]:
        return [f"schema_{number:02}" for number in range(self._schemas)]

    def get_tables_name_and_type(self) -> Iterable[tuple[str, Any]]:
        return [(f"table_{number:03}", TableType.Regular) for number in range(self._tables)]

    def yield_database(self, database_name: str) -> Iterable[Any]:
        request = CreateDatabaseRequest(name=database_name, service=self.context.get().database_service)
        yield Either(right=request)
        self.register_record_database_request(database_request=request)

    def yield_database_schema(self, schema_name: str) -> Iterable[Any]:
        above = fqn.build(
            self.metadata,
            entity_type=Database,
            service_name=self.context.get().database_service,
            database_name=self.context.get().database,
        )
        request = CreateDatabaseSchemaRequest(name=schema_name, database=above)
        yield Either(right=request)
        self.register_record_schema_request(schema_request=request)

    def yield_table(self, table_name_and_type: tuple[str, Any]) -> Iterable[Any]:
        time.sleep(self._pause)
        name, kind = table_name_and_type
        above = fqn.build(
            self.metadata,
            entity_type=DatabaseSchema,
            service_name=self.context.get().database_service,
            database_name=self.context.get().database,
            schema_name=self.context.get().database_schema,
        )
        request = CreateTableRequest(name=name, tableType=kind, columns=COLUMNS, databaseSchema=above)
        yield Either(right=request)
        self.register_record(table_request=request)

    def yield_tag(self, schema_name: str) -> Iterable[Any]:  # noqa: ARG002
        return ()

    def get_stored_procedures(self) -> Iterable[Any]:
        return ()

    def yield_stored_procedure(self, stored_procedure: Any) -> Iterable[Any]:  # noqa: ARG002
        return ()
