"""THIRD-PARTY-LICENSES: the licence texts of every crate that is linked into a wheel, as those licences ask for.

Written by `make licences` from the crates as cargo has them, for all platforms of the release; lint finds what it
lacks.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tools import machine

FILE = machine.REPOSITORY / "THIRD-PARTY-LICENSES"
#: The platforms of the release, as cargo names them.
TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
_HEADING = re.compile(r"^## (\S+ \S+) ", re.MULTILINE)
_TEXTS = re.compile(r"(LICEN[CS]E|COPYING|UNLICENSE|NOTICE)", re.IGNORECASE)
_PREFACE = """The wheel of openmetadata-bulksink is under the Apache License 2.0 (LICENSE). Linked into it are these
crates, each under its own licence. Equal texts stand here once.
"""


def write() -> int:
    """Writes the file anew."""
    packages = linked()
    crates, texts = [_PREFACE], dict[str, int]()
    for package in packages:
        folder = Path(package["manifest_path"]).parent
        numbers = []
        for path in sorted(path for path in folder.iterdir() if path.is_file() and _TEXTS.match(path.name)):
            text = "\n".join(line.rstrip() for line in path.read_text(errors="replace").strip().splitlines())
            numbers.append(texts.setdefault(text, len(texts) + 1))
        said = f"text {', '.join(map(str, numbers))}" if numbers else "its package holds no text"
        crates.append(f"## {_name(package)} ({package['license']}): {said}\n")
    bodies = [f"\n---- text {number} ----\n\n{text}\n" for text, number in texts.items()]
    FILE.write_text("\n".join(crates) + "".join(bodies))
    print(f"{FILE.name}: {len(packages)} crates, {len(texts)} texts")
    return 0


def check() -> list[str]:
    """Crates that the file lacks, or names without need, in words."""
    held = set(_HEADING.findall(FILE.read_text()))
    needed = {_name(package) for package in linked()}
    return [f"{FILE.name} is out of date ({name}): run `make licences`" for name in sorted(held ^ needed)]


def linked() -> list[dict[str, Any]]:
    """Crates whose code is in a wheel of any platform: what the crate depends on, without what only builds it."""
    found: dict[str, dict[str, Any]] = {}
    for target in TARGETS:
        command = [machine.cargo(), "metadata", "--format-version", "1", "--locked", "--features", "python"]
        ran = subprocess.run(
            [*command, "--filter-platform", target], cwd=machine.REPOSITORY, capture_output=True, text=True, check=True
        )
        described = json.loads(ran.stdout)
        nodes = {node["id"]: node for node in described["resolve"]["nodes"]}
        packages = {package["id"]: package for package in described["packages"]}
        ours = next(one for one in packages.values() if one["name"] == "openmetadata-bulksink")["id"]
        seen, left = set[str](), [ours]
        while left:
            current = left.pop()
            if current in seen or _only_builds(packages[current]):
                continue
            seen.add(current)
            left += [
                dependency["pkg"]
                for dependency in nodes[current]["deps"]
                if any(kind["kind"] is None for kind in dependency["dep_kinds"])
            ]
        found |= {one: packages[one] for one in seen - {ours}}
    return sorted(found.values(), key=_name)


def _only_builds(package: dict[str, Any]) -> bool:
    return any("proc-macro" in target["kind"] for target in package["targets"])


def _name(package: dict[str, Any]) -> str:
    return f"{package['name']} {package['version']}"
