"""The catalogues that the end to end tests ingest, each with what happens to it between runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.ingest import Postgres, ReferenceServer, workflow
from tests.ingest.sources import (
    PostgresShape,
    change_postgres,
    change_sqlite_file,
    drop_postgres_routines,
    empty_postgres_schema,
    fill_postgres,
    postgres_source,
    sqlite_file,
    sqlite_source,
)
from tests.redshift import Shape, Warehouse


class Catalogue(ABC):
    """One catalogue in its own state; two of the same kind are equal."""

    kind: str

    @abstractmethod
    def source(self, service: str) -> dict[str, Any]:
        """The workflow's source."""

    @abstractmethod
    def change(self) -> None:
        """Adds, changes and drops tables."""

    def workflow(self, server: ReferenceServer, service: str, **settings: Any) -> dict[str, Any]:
        """The workflow file's content.

        service: of its own for each test that shares a process with others: upstream up to 1.13 remembers for the
        life of the process what it has written below a service, also where the server has forgotten it.
        """
        return workflow(source=self.source(service), server_url=server.url, token=server.token, **settings)


class SqliteCatalogue(Catalogue):
    """A SQLite file."""

    kind = "sqlite"

    def __init__(self, folder: Path, *, tables: int = 110) -> None:
        self._tables = tables
        self._file = sqlite_file(folder / "shop.db", tables=tables, columns=8, views=3)

    def source(self, service: str) -> dict[str, Any]:
        return sqlite_source(self._file, service=service)

    def change(self) -> None:
        change_sqlite_file(self._file, tables=self._tables, columns=8)


class PostgresCatalogue(Catalogue):
    """A database of a PostgreSQL: views, keys, comments, functions, procedures, unusual names and types."""

    kind = "postgres"

    SHAPE = PostgresShape(schemas=3, tables=24, columns=8, foreign_keys=2, rich=True)

    def __init__(self, server: Postgres, *, foreign_keys: int = SHAPE.foreign_keys, database: str = "shop") -> None:
        """foreign_keys: for each table. Up to 1.13 upstream patches keys in one by one, each in place of the others:
        which one of several is left depends on which were patched in, and with us fewer are.
        """
        self._server, self._database = server, database
        server.drop_database(database)
        fill_postgres(server, database, replace(self.SHAPE, foreign_keys=foreign_keys))

    def source(self, service: str) -> dict[str, Any]:
        return postgres_source(
            self._server,
            self._database,
            service=service,
            options={"schemaFilterPattern": {"excludes": ["^information_schema$"]}},
        )

    def change(self) -> None:
        change_postgres(self._server, self._database)
        empty_postgres_schema(self._server, self._database, 1)
        drop_postgres_routines(self._server, self._database, 2)


class RedshiftCatalogue(Catalogue):
    """A warehouse: views, late binding views, external tables, keys, procedures, life cycles."""

    kind = "redshift"
    SHAPE = Shape(schemas=3, tables=30, columns=8, late_binding_views=1, external_tables=2, empty_tables=2, rich=True)

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        warehouse.fill()

    def source(self, service: str) -> dict[str, Any]:
        return self.warehouse.source(service=service)

    def change(self) -> None:
        self.warehouse.execute(
            """
            CREATE TABLE mart_000.came_later (id bigint PRIMARY KEY, note character varying(20));
            INSERT INTO redshift_facade.table_facts VALUES ('mart_000.came_later'::regclass, '2026-03-01 00:00:00', 1);
            DELETE FROM redshift_facade.table_facts WHERE relid = 'mart_000.fact_00003'::regclass;
            DROP TABLE mart_000.fact_00003 CASCADE;
            ALTER TABLE mart_000.fact_00004 ADD COLUMN added_later date;
            COMMENT ON TABLE mart_000.fact_00005 IS 'Another comment';
            """
        )
