"""A MariaDB of our own: a temporary directory, a free port of the loopback address, gone afterwards.

Never durable: for tests and benchmarks only.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.ingest.own_server import OwnServer

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


class MariaDB(OwnServer):
    """One running server; ends with the block. programs: the server, the program that makes its files, the client."""

    name = "mariadb"
    failed = MariaDBFailed
    ready = b"ready for connections"
    patience = 60.0
    end = signal.SIGTERM  # it goes on when it is interrupted
    end_now = signal.SIGKILL

    user = "bulksink"
    password = "only-for-tests"

    def __init__(self, programs: Sequence[Path]) -> None:
        self._server, self._install_db, self._client = programs
        super().__init__()

    def initialise(self) -> None:
        self.run(
            [
                *(str(self._install_db), "--no-defaults", f"--datadir={self._data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
            ]
        )

    def command(self) -> list[str]:
        words = [str(self._server), "--no-defaults", f"--datadir={self._data}", f"--port={self.port}"]
        words += [f"--socket={self._socket}", f"--pid-file={self.folder / 'pid'}"]
        return words + [f"--{name}={value}" for name, value in _SETTINGS.items()]

    def prepare(self) -> None:
        self.execute(
            f"CREATE USER '{self.user}'@'%' IDENTIFIED BY '{self.password}';"
            f"GRANT ALL ON *.* TO '{self.user}'@'%' WITH GRANT OPTION"
        )

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

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
