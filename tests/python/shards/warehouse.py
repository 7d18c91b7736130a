"""A made-up warehouse of several databases on PostgreSQL, and what happens to it between runs, drawn by a seed.

Names differ in case, hold dots, quotes and characters of regular expressions; tables refer to tables of other schemas
in both directions.
"""

from __future__ import annotations

import random
from typing import Any

from openmetadata_bulksink.records import split_fqn
from tests.ingest import Postgres, ReferenceServer, workflow
from tests.ingest.sources import postgres_source

#: `Area.one` and `area.one` cannot be told apart by filters; `a+b` is an expression that does not match itself.
_SCHEMAS = (
    "area_000",
    "Area.one",
    "area.one",
    "a+b",
    "(odd) [x]",
    "area_001",
    "back\\slash|pipe",
    "ünïcode",
    "area_0000",
)
_DATABASES = ("sales", "Sales", "h.r")

#: Upstream looks for the table behind a foreign key by its names with dots between them: it finds none where one of
#: the names has a dot itself.
_SERVICES = ("warehouse", "warehouse", "ware.house")


class Warehouse:
    """Databases of our own in a server; `workflow` ingests exactly these, into `service`."""

    def __init__(self, server: Postgres, seed: int, *, large: bool = False) -> None:
        self._server = server
        self._random = random.Random(seed)
        self._large = large
        self.service = _SERVICES[(seed - 1) % len(_SERVICES)]
        #: Foreign keys: database, schema and table that refer, schema and table that they refer to.
        self.references: list[tuple[str, str, str, str, str]] = []
        #: Tables of each schema of each database.
        self.tables: dict[str, dict[str, list[str]]] = {}
        for name in server.execute("SELECT datname FROM pg_database WHERE datname NOT LIKE 'template%'").splitlines():
            if name != "postgres":
                server.drop_database(name)
        for database in self._random.sample(_DATABASES, 3):
            self._make(database)

    def _make(self, database: str) -> None:
        server, draw = self._server, self._random
        server.create_database(database)
        self.tables[database] = {}
        schemas = draw.sample(_SCHEMAS, draw.randint(2, 5))
        if "Area.one" in schemas and "area.one" not in schemas:
            schemas.append("area.one")
        lines = []
        for schema in schemas:
            names = [f"table_{number:02}" for number in range(draw.randint(1, 8) * (8 if self._large else 1))]
            self.tables[database][schema] = names
            lines.append(f"CREATE SCHEMA {_quoted(schema)};")
            lines += [f"CREATE TABLE {_quoted(schema)}.{name} (id int PRIMARY KEY, a text, r int);" for name in names]
            lines.append(
                f"CREATE PROCEDURE {_quoted(schema)}.proc() LANGUAGE sql AS 'SELECT 1';"
                f"CREATE PROCEDURE {_quoted(schema)}.other() LANGUAGE sql AS 'SELECT 2';"
            )
        for number, schema in enumerate(schemas):
            # One to the next schema, so that there are some in both directions whatever is drawn; one to any.
            others = (schemas[(number + 1) % len(schemas)], draw.choice(schemas))
            for name, other in zip(self.tables[database][schema], others, strict=False):
                target = draw.choice(self.tables[database][other])
                refers = f"FOREIGN KEY (r) REFERENCES {_quoted(other)}.{target} (id)"
                lines.append(f"ALTER TABLE {_quoted(schema)}.{name} ADD {refers};")
                self.references.append((database, schema, name, other, target))
        server.execute("\n".join(lines), database=database)

    def change(self) -> None:
        """A database goes or not, a schema goes, one loses its last table, tables go, come and change."""
        draw = self._random
        if draw.random() < 0.5 and len(self.tables) > 2:
            database = draw.choice(sorted(self.tables))
            self._server.drop_database(database)
            del self.tables[database]
        for database, schemas in self.tables.items():
            lines = []
            if len(schemas) > 1 and draw.random() < 0.7:
                gone = draw.choice(sorted(schemas))
                lines.append(f"DROP SCHEMA {_quoted(gone)} CASCADE;")
                del schemas[gone]
            for schema, names in schemas.items():
                choice = draw.random()
                if choice < 0.2:
                    lines += [f"DROP TABLE {_quoted(schema)}.{name} CASCADE;" for name in names]
                    names.clear()
                elif choice < 0.7 and names:
                    lines.append(f"DROP TABLE {_quoted(schema)}.{names.pop(0)} CASCADE;")
                elif names:
                    lines.append(f"ALTER TABLE {_quoted(schema)}.{names[-1]} ADD COLUMN IF NOT EXISTS later text;")
                if draw.random() < 0.3:
                    name = f"came_{draw.randrange(1000)}"
                    lines.append(f"CREATE TABLE IF NOT EXISTS {_quoted(schema)}.{name} (id int PRIMARY KEY, b date);")
                    names.append(name)
                if draw.random() < 0.5:
                    lines.append(f"DROP PROCEDURE IF EXISTS {_quoted(schema)}.proc();")
            self._server.execute("\n".join(lines), database=database)

    def has_database_of(self, table_fqn: str) -> bool:
        """Whether the database of a table has not been dropped."""
        return split_fqn(table_fqn)[1].strip('"') in self.tables

    def keys_of(self, table_fqn: str) -> int:
        """How many foreign keys a table has now."""
        _, database, schema, table = (part.strip('"') for part in split_fqn(table_fqn))
        found = self._server.execute(
            "SELECT count(*) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE k.contype = 'f' AND n.nspname = '{schema}' AND c.relname = '{table}'",
            database=database,
        )
        return int(found)

    def workflow(self, server: ReferenceServer, options: dict[str, Any]) -> dict[str, Any]:
        """What a user would write."""
        source = postgres_source(
            self._server,
            "postgres",
            service=self.service,
            connection={"ingestAllDatabases": True},
            options={
                "databaseFilterPattern": {"excludes": ["^(.*\\.)?(postgres|template[01])$"]},
                "schemaFilterPattern": {"excludes": ["^(.*\\.)?(public|information_schema)$"]},
                **options,
            },
        )
        return workflow(source=source, server_url=server.url, token=server.token)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def drawn_options(seed: int) -> dict[str, Any]:
    """The switches that a user may have set, each kind."""
    draw = random.Random(seed * 7919)
    options: dict[str, Any] = {
        name: draw.random() < share
        for name, share in (
            ("markDeletedTables", 0.8),
            ("markDeletedStoredProcedures", 0.7),
            ("markDeletedSchemas", 0.6),
            ("markDeletedDatabases", 0.6),
            ("includeStoredProcedures", 0.8),
            ("useFqnForFiltering", 0.4),
            ("includeViews", 0.7),
            ("overrideMetadata", 0.2),
        )
    }
    if draw.random() < 0.5:
        pattern = ".*table_03$" if draw.random() < 0.5 else "^.*came_[0-4].*"
        options["tableFilterPattern"] = {"excludes": [pattern]}
    return options
