"""What changed from one release to another in upstream's functions that we stand in for or call."""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.releases.environment import environment
from tools import environments, locks

_ASKED = Path(__file__).with_name("asked.py")


def asked(version: str, wheel: Path) -> dict[str, Any]:
    """The functions of a release by name, as text, and the accelerators that step aside from it."""
    locks.add_release(version)
    with environment(version, wheel) as path:
        command = [environments.python_of(path), "-W", "ignore", _ASKED]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if ran.returncode != 0:
        raise RuntimeError(f"upstream {version} could not be asked:\n{ran.stderr[-3_000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def print_changes(old: str, new: str, wheel: Path) -> int:
    """Print a difference for each function, and who steps aside. Returns 1 where anything changed."""
    before, after = asked(old, wheel), asked(new, wheel)
    changed = 0
    for name in sorted({*before["functions"], *after["functions"]}):
        first, second = (side["functions"].get(name, "") for side in (before, after))
        if first != second:
            changed += 1
            lines = difflib.unified_diff(
                first.splitlines(), second.splitlines(), f"{name} {old}", f"{name} {new}", lineterm=""
            )
            print("\n".join(lines), end="\n\n")
    print(f"{changed} of {len(after['functions'])} functions changed from {old} to {new}.")
    for line in after["aside"]:
        print(f"steps aside from {new}: {line}")
    return 1 if changed or after["aside"] else 0
