"""Checks of the lock files that need no network: origin of each crate, its licence, and what must not come along.

Known vulnerabilities are not among them: their databases cannot be had offline. The release recipe runs
`cargo audit` and `pip-audit` beside this.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from tools import environments, machine

#: Licences under which a crate may be part of a wheel that is under Apache-2.0.
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CDLA-Permissive-2.0",
        "ISC",
        "MIT",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
    }
)

#: docs/dependencies.md says why.
BANNED = {
    "openssl-sys": "a second OpenSSL in the process of an ingestion",
    "native-tls": "a second OpenSSL in the process of an ingestion",
    "aws-lc-sys": "ring is the one provider",
    "mimalloc": "a second allocator",
    "tikv-jemalloc-sys": "a second allocator",
    "pyo3-asyncio": "it is dead",
}

_PINNED = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+")


def check() -> list[str]:
    """What is wrong, in words."""
    command = [machine.cargo(), "metadata", "--format-version", "1", "--locked", "--features", "python"]
    printed = subprocess.run(command, cwd=machine.REPOSITORY, capture_output=True, text=True, check=True).stdout
    found = crates(json.loads(printed)["packages"])
    for path in sorted(environments.REQUIREMENTS.rglob("*.txt")):
        if not path.stem.endswith(("-constraints", "-overrides")):
            found += [f"{path.name}: {problem}" for problem in unpinned(path.read_text())]
    return found


def crates(packages: list[dict[str, Any]]) -> list[str]:
    """What is wrong with crates, as `cargo metadata` describes them."""
    found = []
    for package in packages:
        name, source = package["name"], package["source"]
        if source is not None and not source.startswith("registry+"):
            found.append(f"{name} comes from {source.split('+')[0]}, not from the registry")
        if source is not None and not acceptable(package["license"] or ""):
            found.append(f"{name} has the licence {package['license']!r}; see ALLOWED in tools/lock_files.py")
        if name in BANNED:
            found.append(f"{name} must not come along: {BANNED[name]}")
    of_python = sorted(package["version"] for package in packages if package["name"] == "pyo3")
    if len(of_python) > 1:
        found.append(f"pyo3 is there in the versions {', '.join(of_python)}")
    return found


def acceptable(expression: str) -> bool:
    """Whether each part of a licence expression that AND joins has an alternative that is allowed."""
    parts = expression.replace("(", "").replace(")", "").split(" AND ")
    return all(any(name.strip() in ALLOWED for name in re.split(r" OR |/", part)) for part in parts)


def unpinned(requirements: str) -> list[str]:
    """Lines that leave the version open."""
    lines = [line.strip() for line in requirements.splitlines()]
    return [f"{line} has no version" for line in lines if line and line[0] not in "#-" and not _PINNED.match(line)]
