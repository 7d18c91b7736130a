"""Checks of the committed files that no linter knows: no path of one machine, no host of a package registry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tools import machine

_FORBIDDEN = (
    (re.compile(rb"/(?:work|root)/[\w.]"), "a path of one machine"),
    (re.compile(rb"/home/(?!user\b|runner\b)\w+/"), "a path of one machine"),
    (
        re.compile(
            rb"pypi\.(?:org|python)|pythonhosted\.org|(?:index|static)\.crates\.io|//crates\.io|registry\.npmjs|proxy\.golang"
        ),
        "the host of a package registry",
    ),
)


def committed_files(repository: Path) -> list[Path]:
    """Files that git tracks, or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        check=True,
    ).stdout
    return [
        repository / name.decode() for name in listed.split(b"\0") if name and (repository / name.decode()).is_file()
    ]


def forbidden_names(content: bytes) -> list[tuple[int, str, str]]:
    """(line number, what it is, the line) for each place that names what it must not."""
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        for pattern, meaning in _FORBIDDEN:
            if pattern.search(line):
                found.append((number, meaning, line.decode(errors="replace").strip()[:120]))
    return found


def check(repository: Path = machine.REPOSITORY) -> list[str]:
    """One line for each violation."""
    return [
        f"{path.relative_to(repository)}:{number}: {meaning}: {line}"
        for path in committed_files(repository)
        for number, meaning, line in forbidden_names(path.read_bytes())
    ]
