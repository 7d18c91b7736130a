"""A Redshift to ingest: the facade in a PostgreSQL of our own, behind the proxy, filled by numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.ingest.postgres import Postgres
from tests.ingest.stopped import StoppedAtTheEnd
from tests.ingest.workflow import database_source
from tests.redshift.proxy import Dialect, Proxy

FACADE = Path(__file__).resolve().parent / "facade.sql"

FIRST_CREATION = datetime(2026, 1, 1, tzinfo=timezone.utc)

# (type, a default for it)
_TYPES = (
    ("integer", "0"),
    ("bigint", "0"),
    ("character varying(256)", "''"),
    ("numeric(18,4)", "0"),
    ("timestamp without time zone", "'2000-01-01'"),
    ("boolean", "false"),
    ("double precision", "0"),
    ("date", "'2000-01-01'"),
    ("character(12)", "''"),
    ("smallint", "0"),
)
_ENCODINGS = (17, 17, 16, 17, 17, 0, 0, 17, 10, 1)
_TABLES_IN_A_TRANSACTION = 100


@dataclass(frozen=True)
class Shape:
    """How large the warehouse is; all counts but `schemas` are for each schema.

    tables: the first `empty_tables` of them have no rows, hence no life cycle. foreign_keys: one in ten tables gets a
    key to the first table. rich: one more schema with types, names and objects of every kind.
    """

    schemas: int = 3
    tables: int = 50
    columns: int = 20
    views: int = 2
    late_binding_views: int = 0
    procedures: int = 2
    empty_tables: int = 0
    external_tables: int = 0
    foreign_keys: bool = True
    rich: bool = False

    @property
    def life_cycles(self) -> int:
        """Tables with rows: as many life cycle records a run emits."""
        return self.schemas * (self.tables - self.empty_tables) + (_RICH_TABLES_WITH_ROWS if self.rich else 0)


class Warehouse(StoppedAtTheEnd):
    """A running warehouse with one database, `dev`; ends with the block."""

    database = "dev"
    user = "awsuser"

    def __init__(
        self, programs: Path, shape: Shape | None = None, *, delay: float = 0.0, serverless: bool = False
    ) -> None:
        self.shape = shape or Shape()
        self._serverless = serverless
        self._postgres = Postgres(programs)
        try:
            self._postgres.execute(f"CREATE ROLE {self.user} LOGIN")
            self.fill()
            self._proxy = Proxy(self._postgres.port, Dialect(self._facade_names()), delay=delay)
        except BaseException:
            self._postgres.stop()
            raise

    def fill(self) -> None:
        """Puts the database into its first state."""
        self._postgres.drop_database(self.database)
        self._postgres.create_database(self.database)
        self._execute(FACADE.read_text())
        if self._serverless:
            self._execute("DROP TABLE redshift_facade.stl_query")
        for script in statements(self.shape):
            self._execute(script)
        analyzed = ("pg_catalog.pg_class", "pg_catalog.pg_attribute", "redshift_facade.table_facts")
        self._execute("".join(f"ANALYZE {name};" for name in analyzed))

    def _execute(self, script: str) -> str:
        return self._postgres.execute(script, database=self.database)

    def _facade_names(self) -> list[str]:
        listed = self._execute(
            "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'redshift_facade'::regnamespace"
            " AND relkind IN ('r', 'v') UNION "
            "SELECT proname FROM pg_catalog.pg_proc WHERE pronamespace = 'redshift_facade'::regnamespace"
        )
        return listed.splitlines()

    @property
    def port(self) -> int:
        """Where a Redshift client connects."""
        return self._proxy.port

    @property
    def proxy(self) -> Proxy:
        """The statements that came, and the delay."""
        return self._proxy

    def execute(self, script: str) -> str:
        """Runs SQL beside the proxy, as the owner of everything."""
        return self._execute(script)

    def source(self, *, service: str = "rs", options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The workflow's source for this warehouse."""
        connection = {
            "hostPort": f"127.0.0.1:{self.port}",
            "username": self.user,
            "authType": {"password": "unused"},
            "database": self.database,
            "sslMode": "disable",
        }
        filters = {"schemaFilterPattern": {"excludes": ["^information_schema$", "^public$", "^pg_.*"]}}
        return database_source("Redshift", service, connection, {**filters, **(options or {})})

    def stop(self) -> None:
        """Ends the proxy and the server."""
        self._proxy.stop()
        self._postgres.stop()


def schema_name(number: int) -> str:
    """The name of a numbered schema."""
    return f"mart_{number:03}"


def table_name(number: int) -> str:
    """The name of a numbered table."""
    return f"fact_{number:05}"


def creation_time(schema: int, table: int) -> datetime:
    """When a numbered table was made."""
    return FIRST_CREATION + timedelta(seconds=schema * 100_000 + table)


def statements(shape: Shape) -> Iterator[str]:
    """Scripts that fill the database, each small enough for one transaction."""
    for number in range(shape.schemas):
        schema = schema_name(number)
        yield f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC;"
        yield f"COMMENT ON SCHEMA {schema} IS 'Mart {number}';"
        for first in range(0, shape.tables, _TABLES_IN_A_TRANSACTION):
            numbers = range(first, min(first + _TABLES_IN_A_TRANSACTION, shape.tables))
            yield "BEGIN;\n" + "\n".join(_table(number, table, shape) for table in numbers) + "\nCOMMIT;"
        yield "\n".join(_other_objects(schema, shape))
    if shape.rich:
        yield _RICH


def _table(schema_number: int, number: int, shape: Shape) -> str:
    table = f"{schema_name(schema_number)}.{table_name(number)}"
    columns = ["id bigint NOT NULL PRIMARY KEY"]
    settings = ["ALTER id SET STATISTICS 5050"]
    for column in range(2, shape.columns + 1):
        kind, default = _TYPES[column % len(_TYPES)]
        refers = shape.foreign_keys and column == 2 and number % 10 == 9
        extra = " NOT NULL DEFAULT " + default if column % 7 == 0 else ""
        columns.append(f"c{column:03} {'bigint' if refers else kind}{extra}")
        encoding = _ENCODINGS[column % len(_ENCODINGS)]
        settings.append(f"ALTER c{column:03} SET STATISTICS {encoding + (100 if column == 3 else 0)}")
        if refers:
            columns.append(f"FOREIGN KEY (c{column:03}) REFERENCES {schema_name(schema_number)}.{table_name(0)} (id)")
    lines = [
        f"CREATE TABLE {table} ({', '.join(columns)}) WITH (fillfactor = 91);",
        f"ALTER TABLE {table} {', '.join(settings)};",
        f"COMMENT ON TABLE {table} IS 'Fact table {number}';",
        f"COMMENT ON COLUMN {table}.id IS 'Key of fact table {number}';",
    ]
    if number >= shape.empty_tables:
        time = creation_time(schema_number, number).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(f"INSERT INTO redshift_facade.table_facts VALUES ('{table}'::regclass, '{time}', {number + 1});")
    return "\n".join(lines)


def _other_objects(schema: str, shape: Shape) -> Iterator[str]:
    for number in range(shape.views):
        view, table = f"{schema}.view_{number:03}", f"{schema}.{table_name(number % shape.tables)}"
        yield f"CREATE VIEW {view} AS SELECT id, c002 FROM {table} WHERE id > {number};"
        yield f"COMMENT ON VIEW {view} IS 'View {number}';"
    for number in range(shape.late_binding_views):
        view, table = f"{schema}.late_view_{number:03}", f"{schema}.{table_name(number % shape.tables)}"
        yield f"CREATE VIEW {view} AS SELECT id, c002 AS renamed FROM {table};"
        yield f"INSERT INTO redshift_facade.late_binding_views VALUES ('{view}'::regclass);"
    for number in range(shape.procedures):
        yield (
            f"CREATE PROCEDURE {schema}.refresh_{number:03}() LANGUAGE plpgsql AS"
            f" $body$ BEGIN INSERT INTO {schema}.{table_name(0)} (id) VALUES ({number}); END $body$;"
        )
    if shape.external_tables:
        yield f"INSERT INTO redshift_facade.external_schema_options VALUES ('{schema}', 'lake');"
    for number in range(shape.external_tables):
        name = f"external_{number:03}"
        table = f"'{schema}', '{name}'"
        yield f"INSERT INTO redshift_facade.external_table_facts VALUES ({table}, 's3://lake/{schema}/{name}/');"
        yield (
            "INSERT INTO redshift_facade.external_column_facts VALUES"
            f" ({table}, 'id', 'bigint', 1), ({table}, 'name', 'varchar(80)', 2),"
            f" ({table}, 'price', 'decimal(18,4)', 3), ({table}, 'amount', 'int', 4), ({table}, 'day', 'date', 5);"
        )


_RICH_TABLES_WITH_ROWS = 3
_RICH = """
CREATE SCHEMA "Rich.Mart";
GRANT USAGE ON SCHEMA "Rich.Mart" TO PUBLIC;
CREATE TABLE "Rich.Mart"."Table with.dots" ("Key" bigint PRIMARY KEY, "a.b" text, "select" date) WITH (fillfactor = 98);
CREATE TABLE "Rich.Mart".own_types (
    a super, b geometry, c geography, d hllsketch, e bytea, f time, g timetz, h timestamptz
);
CREATE TABLE "Rich.Mart"."schräg/#?%" (id int UNIQUE, "größe" numeric(10,2), other int, UNIQUE (id, other));
CREATE TABLE "Rich.Mart".without_rows (id int);
CREATE MATERIALIZED VIEW "Rich.Mart".stored AS SELECT count(*) AS how_many FROM "Rich.Mart".own_types;
CREATE FUNCTION "Rich.Mart".f_twice(x int) RETURNS int LANGUAGE sql AS 'SELECT x * 2';
INSERT INTO redshift_facade.table_facts
SELECT c.oid, timestamp '2026-02-01 00:00:00.123', 7
FROM pg_catalog.pg_class c
WHERE c.relnamespace = '"Rich.Mart"'::regnamespace AND c.relkind = 'r' AND c.relname <> 'without_rows';
"""
