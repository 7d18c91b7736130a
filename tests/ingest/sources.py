"""Catalogues to ingest, and the `source` part of the workflow for each.

Names and types follow from numbers alone, so two catalogues of the same size are equal.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ingest.mariadb import MariaDB
from tests.ingest.postgres import Postgres
from tests.ingest.workflow import database_source

_SQLITE_TYPES = ("INTEGER", "VARCHAR(64)", "REAL", "TEXT", "DATE", "NUMERIC(12, 2)", "TIMESTAMP", "BOOLEAN")


def sqlite_file(path: Path, *, tables: int = 500, columns: int = 20, views: int = 0) -> Path:
    """A SQLite file with tables of so many columns, the key included."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    try:
        for number in range(tables):
            connection.execute(_sqlite_table(number, columns))
        for number in range(views):
            table = _sqlite_name(tables - 1 - number)  # the first ones may be dropped later
            connection.execute(f"CREATE VIEW view_{number:05} AS SELECT id FROM {table}")
        connection.commit()
    finally:
        connection.close()
    return path


def change_sqlite_file(path: Path, *, tables: int, columns: int = 20) -> None:
    """What happens to a catalogue between two runs: a table comes, one goes, one gets a column."""
    connection = sqlite3.connect(path)
    try:
        connection.execute(_sqlite_table(tables, columns))
        connection.execute(f"DROP TABLE {_sqlite_name(0)}")
        connection.execute(f"ALTER TABLE {_sqlite_name(1)} ADD COLUMN added_later TEXT")
        connection.commit()
    finally:
        connection.close()


def _sqlite_name(number: int) -> str:
    return f"table_{number:05}"


def _sqlite_table(number: int, columns: int) -> str:
    parts = ["id INTEGER PRIMARY KEY"]
    for column in range(1, columns):
        kind = _SQLITE_TYPES[(number + column) % len(_SQLITE_TYPES)]
        parts.append(f"column_{column:03} {kind}{' NOT NULL' if column % 5 == 0 else ''}")
    return f"CREATE TABLE {_sqlite_name(number)} ({', '.join(parts)})"


def sqlite_source(path: Path, *, service: str = "lite", options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The workflow's source for a SQLite file."""
    # Upstream opens `databaseMode` and names the database after `database`; without the latter it finds no schema.
    connection = {"databaseMode": str(path), "database": path.stem}
    return database_source("SQLite", service, connection, options)


@dataclass(frozen=True)
class PostgresShape:
    """How large a PostgreSQL catalogue is; all counts but `schemas` are for each schema.

    foreign_keys: for each table but the first, one to the table before (a chain) and, from the second key on, to the
    first table of the schema. rich: comments on everything, views, materialised views, functions, procedures,
    partitions, unusual names and types.
    """

    schemas: int = 5
    tables: int = 200
    columns: int = 20
    foreign_keys: int = 0
    rich: bool = False


_POSTGRES_TYPES = (
    "integer",
    "varchar(80)",
    "numeric(12,2)",
    "timestamptz",
    "boolean",
    "text",
    "double precision",
    "date",
    "jsonb",
    "uuid",
    "bigint[]",
)


def postgres_statements(shape: PostgresShape) -> str:
    """The SQL that makes the catalogue."""
    lines: list[str] = []
    for schema_number in range(shape.schemas):
        schema = _schema_name(schema_number)
        lines.append(f"CREATE SCHEMA {schema};")
        lines += [_postgres_table(schema, number, shape) for number in range(shape.tables)]
        if shape.rich:
            lines += _rich_objects(schema, shape)
    return "\n".join(lines) + "\n"


def _schema_name(number: int) -> str:
    return f"area_{number:03}"


def _postgres_table(schema: str, number: int, shape: PostgresShape) -> str:
    parts = ["id bigint PRIMARY KEY"]
    keys = min(shape.foreign_keys, number)
    for column in range(1, shape.columns):
        name = f"column_{column:03}"
        if column <= keys:
            target = number - 1 if column == 1 else 0
            parts.append(f"{name} bigint REFERENCES {schema}.table_{target:05} (id)")
            continue
        kind = _POSTGRES_TYPES[(number + column) % len(_POSTGRES_TYPES)]
        parts.append(f"{name} {kind}{' NOT NULL' if column % 5 == 0 else ''}")
    table = f"{schema}.table_{number:05}"
    statements = [f"CREATE TABLE {table} ({', '.join(parts)});"]
    if shape.rich:
        statements.append(f"COMMENT ON TABLE {table} IS 'Table {number} of {schema}';")
        statements.append(f"COMMENT ON COLUMN {table}.id IS 'Key of table {number}';")
    return "\n".join(statements)


def _rich_objects(schema: str, shape: PostgresShape) -> list[str]:
    first, last = f"{schema}.table_00000", f"{schema}.table_{shape.tables - 1:05}"
    return [
        f"COMMENT ON SCHEMA {schema} IS 'All of {schema}, with \"quotes\" and ünïcode';",
        f"CREATE VIEW {schema}.view_plain AS SELECT id FROM {first};",
        f"COMMENT ON VIEW {schema}.view_plain IS 'The keys of the first table';",
        f"CREATE VIEW {schema}.view_joined AS SELECT a.id, b.id AS other FROM {first} a JOIN {last} b ON b.id = a.id;",
        f"CREATE MATERIALIZED VIEW {schema}.view_stored AS SELECT count(*) AS how_many FROM {first};",
        f'CREATE TABLE {schema}."Name with.dots and spaces" ("Key" int PRIMARY KEY, "a.b" text, "select" text);',
        f'CREATE TABLE {schema}."schräg/::>#?%" (id int);',
        f'CREATE TABLE {schema}."TABLE_00000" (id int PRIMARY KEY);',
        f"CREATE TABLE {schema}.unique_and_check (a int, b int, c int CHECK (c > 0), UNIQUE (a, b));",
        f"CREATE TABLE {schema}.partitioned (id int, day date NOT NULL) PARTITION BY RANGE (day);",
        f"CREATE TABLE {schema}.partition_one PARTITION OF {schema}.partitioned DEFAULT;",
        f"CREATE TYPE {schema}.mood AS ENUM ('good', 'bad');",
        f"CREATE TABLE {schema}.unusual_types (a {schema}.mood, b inet, c point, d tstzrange, e bytea, f interval);",
        f"CREATE TABLE {schema}.own_parent (id int PRIMARY KEY, parent int REFERENCES {schema}.own_parent (id));",
        f"CREATE TABLE {schema}.cycle_a (id int PRIMARY KEY, b int);",
        f"CREATE TABLE {schema}.cycle_b (id int PRIMARY KEY, a int REFERENCES {schema}.cycle_a (id));",
        f"ALTER TABLE {schema}.cycle_a ADD FOREIGN KEY (b) REFERENCES {schema}.cycle_b (id);",
        f"CREATE FUNCTION {schema}.twice(x int) RETURNS int LANGUAGE sql AS 'SELECT x * 2';",
        f"CREATE PROCEDURE {schema}.add_row(x int) LANGUAGE sql AS 'INSERT INTO {schema}.cycle_a (id) VALUES (x)';",
    ]


def fill_postgres(server: Postgres, database: str, shape: PostgresShape) -> None:
    """Makes a database and its catalogue."""
    server.create_database(database)
    server.execute(postgres_statements(shape), database=database)


def change_postgres(server: Postgres, database: str) -> None:
    """What happens to a catalogue between two runs: a table comes, one goes, one gets a column, one another comment."""
    schema = _schema_name(0)
    server.execute(
        f"""
        CREATE TABLE {schema}.came_later (id int PRIMARY KEY, note text);
        DROP TABLE {schema}.table_00001 CASCADE;
        ALTER TABLE {schema}.table_00002 ADD COLUMN added_later text;
        COMMENT ON TABLE {schema}.table_00003 IS 'Another comment';
        ALTER TABLE {schema}.table_00004 DROP COLUMN column_006;
        """,
        database=database,
    )


def empty_postgres_schema(server: Postgres, database: str, schema: int) -> None:
    """Drops all tables and views of a schema; its procedures stay."""
    name = _schema_name(schema)
    server.execute(
        f"""
        DO $$
        DECLARE found record;
        BEGIN
            FOR found IN
                SELECT * FROM pg_class WHERE relnamespace = '{name}'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            LOOP
                EXECUTE format('DROP %s IF EXISTS {name}.%I CASCADE', CASE found.relkind WHEN 'v' THEN 'VIEW'
                    WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, found.relname);
            END LOOP;
        END $$;
        """,
        database=database,
    )


def drop_postgres_routines(server: Postgres, database: str, schema: int) -> None:
    """Drops the functions and procedures of a schema; its tables stay."""
    name = _schema_name(schema)
    server.execute(f"DROP FUNCTION {name}.twice; DROP PROCEDURE {name}.add_row;", database=database)


def postgres_source(
    server: Postgres,
    database: str,
    *,
    service: str = "pg",
    options: Mapping[str, Any] | None = None,
    connection: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The workflow's source for one database of a PostgreSQL."""
    settings = {
        "username": server.user,
        "authType": {"password": "unused"},
        "hostPort": f"127.0.0.1:{server.port}",
        "database": database,
        **(connection or {}),
    }
    return database_source("Postgres", service, settings, options)


#: Tables whose names end a literal or an identifier, or stand where nobody expects a name; and what has one's schema's.
_MARIADB_STRANGE = """
CREATE TABLE `it's` (id int PRIMARY KEY, `a"b` int COMMENT 'with %s and `x`');
CREATE TABLE `back``tick; DROP TABLE table_00000` (id int PRIMARY KEY);
CREATE TABLE `100%s` (id int PRIMARY KEY);
CREATE TABLE `CREATE` (id int PRIMARY KEY);
CREATE TABLE `{schema}` (id int PRIMARY KEY);
CREATE TABLE id (id int PRIMARY KEY);
CREATE TABLE `Table_00000` (other int PRIMARY KEY);
CREATE TABLE `naïve tåble` (id int PRIMARY KEY, kind enum('a', 'it''s'));
CREATE VIEW `odd'view` AS SELECT id FROM `it's`;
"""


def mariadb_statements(*, schemas: int, tables: int, columns: int = 8, views: int = 4) -> str:
    """A script that makes a catalogue: keys, comments, views, routines, odd names in the first schema."""
    script = []
    for number in range(schemas):
        schema = _schema_name(number)
        script.append(f"CREATE DATABASE {schema}; USE {schema};")
        for table in range(tables):
            parts = ["id bigint PRIMARY KEY"]
            parts += [f"column_{c:03} varchar({10 + c}) COMMENT 'column {c}'" for c in range(1, columns)]
            if table % 5 == 4:
                parts.append(f"other bigint, FOREIGN KEY (other) REFERENCES table_{table - 1:05} (id)")
            script.append(f"CREATE TABLE table_{table:05} ({', '.join(parts)}) COMMENT 'Table {table}';")
        script += [f"CREATE VIEW view_{n:02} AS SELECT id FROM table_{n:05};" for n in range(min(views, tables))]
        script.append("CREATE PROCEDURE add_row(x int) INSERT INTO table_00000 (id) VALUES (x);")
        if number == 0:
            script.append(_MARIADB_STRANGE.format(schema=schema))
    return "\n".join(script)


def mariadb_source(
    server: MariaDB, *, service: str = "maria", port: int | None = None, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The workflow's source for all schemas of `mariadb_statements`. port: of a proxy, if there is one."""
    settings = {
        "username": server.user,
        "authType": {"password": server.password},
        "hostPort": f"127.0.0.1:{port or server.port}",
    }
    only_ours = {"schemaFilterPattern": {"includes": ["^area_.*"]}}
    return database_source("Mysql", service, settings, {**only_ours, **(options or {})})
