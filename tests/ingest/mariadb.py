"""A MariaDB of our own: a temporary directory, a free port of the loopback address, gone afterwards.

Never durable: for tests and benchmarks only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.ingest import own_server

_SETTINGS = {
    "bind-address": "127.0.0.1",
    "skip-log-bin": "1",
    "skip-name-resolve": "1",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-buffer-pool-size": "64M",
    "lower-case-table-names": "0",
    "log-output": "FILE",
}


class MariaDBFailed(Exception):
    """The server did not start, or refused a statement; the text is its own."""


class MariaDB:
    """One running server; ends with the block. programs: the server, the program that makes its files, the client."""

    user = "bulksink"
    password = "only-for-tests"

    def __init__(self, programs: Sequence[Path]) -> None:
        self._server, self._install_db, self._client = programs
        account = own_server.account()
        self._user = account.pw_uid if account else None
        self._group = account.pw_gid if account else None
        self._extra_groups: list[int] | None = [] if account else None
        where = own_server.open_temporary_directory()
        self._folder = Path(tempfile.mkdtemp(prefix="bulksink-mariadb-", dir=where))
        self._socket, self._log = self._folder / "socket", self._folder / "server.log"
        try:
            if account is not None:
                os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._initialise()
            self._start()
            self.execute(
                f"CREATE USER '{self.user}'@'%' IDENTIFIED BY '{self.password}';"
                f"GRANT ALL ON *.* TO '{self.user}'@'%' WITH GRANT OPTION"
            )
        except BaseException:
            if hasattr(self, "_process"):
                self._end()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _initialise(self) -> None:
        made = subprocess.run(
            [
                *(str(self._install_db), "--no-defaults", f"--datadir={self._folder / 'data'}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
            ],
            capture_output=True,
            text=True,
            cwd=self._folder,
            user=self._user,
            group=self._group,
            extra_groups=self._extra_groups,
        )
        if made.returncode != 0:
            raise MariaDBFailed(f"mariadb-install-db: {made.stdout}{made.stderr}")

    def _start(self) -> None:
        for _ in range(5):
            self.port = own_server.free_port()
            if self._try_start():
                return
        raise MariaDBFailed(f"mariadbd did not start:\n{self.log()[-3_000:]}")

    def _try_start(self) -> bool:
        words = [str(self._server), "--no-defaults", f"--datadir={self._folder / 'data'}", f"--port={self.port}"]
        words += [f"--socket={self._socket}", f"--pid-file={self._folder / 'pid'}"]
        words += [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=own_server.terminate_with_parent,  # noqa: PLW1509 - one system call, no lock
                user=self._user,
                group=self._group,
                extra_groups=self._extra_groups,
            )
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and self._process.poll() is None:
            if b"ready for connections" in self._log.read_bytes():
                return True
            time.sleep(0.05)
        self._end()
        return False

    def execute(self, statements: str) -> str:
        """Runs a script as root, which stops at the first error; returns rows, fields apart by tabs. Raises
        MariaDBFailed.
        """
        ran = subprocess.run(
            [
                *(str(self._client), "--no-defaults", "--user=root", f"--socket={self._socket}"),
                *("--default-character-set=utf8mb4", "--batch", "--skip-column-names"),
            ],
            input=statements,
            capture_output=True,
            text=True,
        )
        if ran.returncode != 0:
            raise MariaDBFailed(ran.stderr.strip()[-3_000:])
        return ran.stdout.strip()

    def log(self) -> str:
        """What the server has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self) -> None:
        """Ends the server and removes its directory."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)

    def __enter__(self) -> MariaDB:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
