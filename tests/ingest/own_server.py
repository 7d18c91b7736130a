"""What the databases of tests share: whose processes they are, where their files lie, and that they end with us."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path

_PR_SET_PDEATHSIG = 1


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


def end_with_parent() -> None:
    """For a process that was just forked: it is interrupted when the thread that started it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def terminate_with_parent() -> None:
    """The same, for servers that go on when they are interrupted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
