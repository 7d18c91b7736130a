"""What the databases of tests share: whose processes they are, where their files lie, and that they end with us."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.ingest.stopped import StoppedAtTheEnd

_PR_SET_PDEATHSIG = 1


class OwnServer(StoppedAtTheEnd):
    """One running server in a temporary directory, on a free port of the loopback address; ends with the block."""

    #: Its name, for people.
    name: str
    #: What is raised where it does not start, or refuses something; the text is its own.
    failed: type[Exception]
    #: What it prints when it takes connections, and the seconds until it must have.
    ready: bytes
    patience: float
    #: The signal that ends it, and the one that ends it at once.
    end: signal.Signals
    end_now: signal.Signals

    def __init__(self) -> None:
        them = account()
        self._run_as: dict[str, Any] = {}
        where = open_temporary_directory()
        self.folder = Path(tempfile.mkdtemp(prefix=f"bulksink-{self.name}-", dir=where))
        self._log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            if them is not None:
                self._run_as = {"user": them.pw_uid, "group": them.pw_gid, "extra_groups": []}
                os.chown(self.folder, them.pw_uid, them.pw_gid)
            self.initialise()
            self._start()
            self.prepare()
        except BaseException:
            self.stop()
            raise

    def initialise(self) -> None:
        """Makes its files."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What starts it on `port`."""
        raise NotImplementedError

    def prepare(self) -> None:
        """What is done once it runs."""

    def run(self, words: list[str]) -> None:
        """One of its programs that makes files, as its account. Raises `failed`."""
        made = subprocess.run(words, capture_output=True, text=True, cwd=self.folder, **self._run_as)
        if made.returncode != 0:
            raise self.failed(f"{Path(words[0]).name}: {made.stdout}{made.stderr}")

    def log(self) -> str:
        """What the server has printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self) -> None:
        """Ends the server and removes its directory."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        for _ in range(5):
            self.port = free_port()
            if self._try_start():
                return
        raise self.failed(f"{self.name} did not start:\n{self.log()[-3_000:]}")

    def _try_start(self) -> bool:
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=self._end_with_parent,  # noqa: PLW1509 - one system call, no lock
                **self._run_as,
            )
        give_up = time.monotonic() + self.patience
        while time.monotonic() < give_up and process.poll() is None:
            if self.ready in self._log.read_bytes():
                return True
            time.sleep(0.05)
        self._end()
        return False

    def _end_with_parent(self) -> None:
        """For a process that was just forked: it gets its signal when the thread that started it is gone."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, self.end)

    def _end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(self.end)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(self.end_now)
            self._process.wait(20)


def account() -> pwd.struct_passwd | None:
    """Whose processes a server's are, since none of them runs as root; None: ours."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OSError("a database refuses to run as root, and there is neither an account `postgres` nor `nobody`")


def open_temporary_directory() -> str | None:
    """A temporary directory that another account can reach; None: the usual one."""
    usual = Path(tempfile.gettempdir()).resolve()
    closed = any(not folder.stat().st_mode & stat.S_IXOTH for folder in (usual, *usual.parents))
    return "/var/tmp" if closed else None


def free_port() -> int:
    """A port of the loopback address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
