"""A PostgreSQL of our own: a temporary directory, a free port of the loopback address, gone afterwards.

Never durable (`fsync=off`) and open to every local user (`trust`): for tests only.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.ingest import own_server

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


class Postgres:
    """One running server; ends with the block. programs: the directory of initdb, postgres and psql."""

    user = "bulksink"

    def __init__(self, programs: Path, *, settings: dict[str, str] | None = None) -> None:
        self._programs = programs
        account = own_server.account()
        self._user = account.pw_uid if account else None
        self._group = account.pw_gid if account else None
        self._extra_groups: list[int] | None = [] if account else None
        self._folder = Path(tempfile.mkdtemp(prefix="bulksink-postgres-", dir=own_server.open_temporary_directory()))
        self._data = self._folder / "data"
        self._log = self._folder / "server.log"
        self._settings = {**_SETTINGS, **(settings or {})}
        try:
            if account is not None:
                os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._initialise()
            self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _initialise(self) -> None:
        command = ["initdb", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        made = subprocess.run(
            [str(self._programs / command[0]), *command[1:], "--username", self.user, "--pgdata", str(self._data)],
            capture_output=True,
            text=True,
            cwd=self._folder,
            user=self._user,
            group=self._group,
            extra_groups=self._extra_groups,
        )
        if made.returncode != 0:
            raise PostgresFailed(f"initdb: {made.stdout}{made.stderr}")

    def _start(self) -> None:
        for _ in range(5):
            self.port = own_server.free_port()
            if self._try_start():
                return
        raise PostgresFailed(f"postgres did not start:\n{self.log()[-3_000:]}")

    def _try_start(self) -> bool:
        words = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=own_server.end_with_parent,  # noqa: PLW1509 - one system call, no lock
                user=self._user,
                group=self._group,
                extra_groups=self._extra_groups,
            )
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up and self._process.poll() is None:
            if b"ready to accept connections" in self._log.read_bytes():
                return True
            time.sleep(0.05)
        self._end()
        return False

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

    def log(self) -> str:
        """What the server has printed; with `log_statement=all` every statement."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self) -> None:
        """Ends the server and removes its directory."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait(20)

    def __enter__(self) -> Postgres:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
