"""A file that is put in its place in one step: who reads it finds all of it, or what was there before."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: As the kernel has it.
_MOST_LINKS = 40


def is_file_or_nothing(path: Path) -> bool:
    """Whether there is, behind symbolic links, a file or nothing yet: no directory, device or pipe is replaced, nor a
    file that somebody has opened for this process (`/dev/stdout`, after `>> FILE`).
    """
    return (path.is_file() or not path.exists()) and not _is_open_already(path)


def _is_open_already(path: Path) -> bool:
    for _ in range(_MOST_LINKS):
        if Path(os.path.realpath(path.parent)).match("/proc/*/fd"):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return False


def replace(path: Path, text: str) -> None:
    """Raises OSError; then nothing is left beside it."""
    where, beside = _places(path)
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(where)
    finally:
        with suppress(OSError):
            beside.unlink()


def require(path: Path) -> None:
    """Raises OSError where a file cannot be made beside `path`, or put there."""
    if not is_file_or_nothing(path):
        raise OSError(f"{str(path)!r} is no file")
    _, beside = _places(path)
    beside.touch()
    beside.unlink()


def _places(path: Path) -> tuple[Path, Path]:
    """Where the file is, behind symbolic links, and where it is written before it is put there."""
    where = Path(os.path.realpath(path))
    return where, where.with_name(f".{where.name}.{os.getpid()}")
