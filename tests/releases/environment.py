"""An environment of one release, for as long as it is needed. It has an installer's cache of its own, without the
release itself: what its line shares stays, so that the next release takes seconds, and the disk does not fill.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools import cache, environments, machine, steps

#: Bytes that the environment and the cache may take together.
MOST_BYTES = 3 * 1024**3


def _home() -> Path:
    return cache.root() / "releases"


@contextmanager
def environment(version: str, wheel: Path) -> Iterator[Path]:
    """The release with our wheel, gone at the end. One at a time, also of several processes."""
    requirements = environments.requirements_of(version)
    home = _home()
    path, kept = home / "environment", home / "installer"
    with cache.locked("releases"):
        _make_room(path, kept)
        try:
            path.mkdir(parents=True)
            environments.create_environment(path, machine.python(environments.UPSTREAM_PYTHON))
            install: steps.Command = [environments.uv(), "pip", "install", "--cache-dir", kept, "--no-deps"]
            into: steps.Command = ["--python", environments.python_of(path)]
            steps.run(f"upstream {version}: installing", [*install, *into, "--requirements", requirements])
            steps.run(f"upstream {version}: installing {wheel.name}", [*install, *into, wheel])
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            clean: steps.Command = [environments.uv(), "cache", "clean", "--cache-dir", kept, "--quiet"]
            steps.run(f"upstream {version}: removing", [*clean, "openmetadata-ingestion", "openmetadata-bulksink"])


def _make_room(path: Path, kept: Path) -> None:
    """Leave what an environment needs, which shares most of its files with the cache."""
    shutil.rmtree(path, ignore_errors=True)
    if size(kept) > MOST_BYTES // 2:
        shutil.rmtree(kept)


def size(*folders: Path) -> int:
    """Bytes on the disk, a file of several names once."""
    blocks = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                found = (Path(place) / name).lstat()
                blocks[found.st_ino] = found.st_blocks * 512
    return sum(blocks.values())


def taken() -> int:
    """Bytes that are taken now."""
    return size(_home())
