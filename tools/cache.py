"""Directories outside the tree that are either complete or absent.

A directory's name ends with a hash of everything that went into it. It is filled under a lock of its own and counts
only once its mark is written, as the last step; a run that was killed leaves an unmarked directory, which the next
run removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MARK = ".complete"
DAYS_UNUSED = 14


def root() -> Path:
    """Where everything lives."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "openmetadata-bulksink"


def fingerprint(*parts: str | bytes) -> str:
    """A short hash of parts; their borders count."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    locks = root() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"  waiting for another run that prepares {name}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def directory(kind: str, name: str, key: str, fill: Callable[[Path], None]) -> Path:
    """The complete directory `kind/name-key`; where it has to be made, `fill` gets its path, existing and empty."""
    path = root() / kind / f"{name}-{key}"
    mark = path / MARK
    if mark.exists():
        os.utime(mark)
        return path
    with locked(f"{kind}-{name}-{key}"):
        if not mark.exists():
            if path.exists():
                shutil.rmtree(path)
            path.mkdir(parents=True)
            fill(path)
            mark.touch()
    forget_unused(kind, keep=path)
    return path


def forget_unused(kind: str, keep: Path) -> None:
    """Removes directories of a kind that no run has used for two weeks."""
    oldest = time.time() - DAYS_UNUSED * 86_400
    for mark in (root() / kind).glob(f"*/{MARK}"):
        if mark.parent != keep and mark.stat().st_mtime < oldest:
            mark.unlink()
            shutil.rmtree(mark.parent, ignore_errors=True)
