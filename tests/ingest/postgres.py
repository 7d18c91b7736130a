"""A PostgreSQL of our own: a temporary directory, a free port of the loopback address, gone afterwards.

Never durable (`fsync=off`) and open to every local user (`trust`): for tests only.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.ingest.own_server import OwnServer

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "autovacuum": "off",
    "max_locks_per_transaction": "1024",
    "logging_collector": "off",
}


class PostgresFailed(Exception):
    """The server did not start, or refused a statement; the text is its own."""


class Postgres(OwnServer):
    """One running server; ends with the block. programs: the directory of initdb, postgres and psql. In its log is,
    with `log_statement=all`, every statement.
    """

    name = "postgres"
    failed = PostgresFailed
    ready = b"ready to accept connections"
    patience = 30.0
    end = signal.SIGINT
    end_now = signal.SIGQUIT

    user = "bulksink"

    def __init__(self, programs: Path, *, settings: dict[str, str] | None = None) -> None:
        self._programs = programs
        self._settings = {**_SETTINGS, **(settings or {})}
        super().__init__()

    def initialise(self) -> None:
        command = ["--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        command += ["--username", self.user, "--pgdata", str(self._data)]
        self.run([str(self._programs / "initdb"), *command])

    def command(self) -> list[str]:
        words = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            words += ["-c", f"{name}={value}"]
        return words

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def execute(self, statements: str, *, database: str = "postgres", variables: dict[str, str] | None = None) -> str:
        """Runs a script with psql, which stops at the first error; returns unaligned rows. Raises PostgresFailed."""
        words = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port)]
        words += ["-U", self.user, "-d", database]
        for name, value in (variables or {}).items():
            words += ["-v", f"{name}={value}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        ran = subprocess.run(
            [str(self._programs / words[0]), *words[1:], "-f", "-"],
            input=statements,
            capture_output=True,
            text=True,
            env={**environment, "PGOPTIONS": "-c client_min_messages=warning"},
        )
        if ran.returncode != 0:
            raise PostgresFailed(ran.stderr.strip()[-3_000:])
        return ran.stdout.strip()

    def create_database(self, name: str, *, template: str = "template0") -> None:
        """An empty database, or a copy of another one."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop_database(self, name: str) -> None:
        """Removes a database and everybody's connections to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
