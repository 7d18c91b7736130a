"""What the machine must bring: finds programs and interpreters, or says in one line how to get them.

Installs nothing; `postgresql.py` and `mariadb.py` are the only places that may ask the system's package manager.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

OLDEST_PYTHON = (3, 10)

RUST = "Rust 1.85 or newer is missing (no `cargo` on PATH): install it with rustup, https://rustup.rs"
C_COMPILER = "a C compiler is missing (no `cc` on PATH): install it, on Debian with `apt-get install build-essential`"


class Missing(Exception):
    """Something that we cannot install ourselves; the text says what and how to get it."""


@dataclass(frozen=True)
class Interpreter:
    """A CPython outside any virtual environment."""

    executable: Path
    version: str

    @property
    def series(self) -> str:
        """The version without its last part: `3.11`."""
        return ".".join(self.version.split(".")[:2])


_DESCRIBE = """
import platform, sys
print(platform.python_implementation())
print(platform.python_version())
print(getattr(sys, "_base_executable", None) or sys.executable)
"""


def describe(executable: str | Path) -> Interpreter | None:
    """The base interpreter behind an executable, so that neither a shim nor an environment gets in between."""
    try:
        found = subprocess.run(
            [str(executable), "-I", "-c", _DESCRIBE], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    implementation, version, base = found.stdout.split("\n")[:3]
    if implementation != "CPython" or not Path(base).exists():
        return None
    return Interpreter(Path(base), version)


def python(series: str) -> Interpreter:
    """A CPython of a series such as `3.11`; raises Missing."""
    name = f"python{series}"
    candidates: list[str | Path] = [sys.executable]
    if on_path := shutil.which(name):
        candidates.append(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += sorted(pyenv.glob(f"{series}.*/bin/{name}"), reverse=True)
    managed = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "uv" / "python"
    candidates += sorted(managed.glob(f"cpython-{series}.*/bin/{name}"), reverse=True)
    candidates += [Path(f"/usr/bin/{name}"), Path(f"/usr/local/bin/{name}")]
    for candidate in candidates:
        interpreter = describe(candidate)
        if interpreter is not None and interpreter.series == series:
            return interpreter
    raise Missing(
        f"CPython {series} is missing (no `{name}` on PATH or under {pyenv}): install it from your distribution, "
        f"or with `uv python install {series}` or `pyenv install {series}`"
    )


def running_python() -> Interpreter:
    """The interpreter that runs this, without an environment around it; raises Missing if it is too old."""
    if sys.version_info[:2] < OLDEST_PYTHON:
        raise Missing(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is missing: {sys.executable} is "
            f"{sys.version.split()[0]}; run `make PYTHON=/path/to/python3`"
        )
    interpreter = describe(sys.executable)
    if interpreter is None:
        raise Missing(f"CPython is missing: {sys.executable} is another Python; run `make PYTHON=/path/to/python3`")
    return interpreter


def cargo() -> str:
    """The path of cargo; raises Missing where Rust or the C compiler that ring needs is absent."""
    found = shutil.which("cargo")
    if found is None:
        raise Missing(RUST)
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "cc", "gcc", "clang")):
        raise Missing(C_COMPILER)
    return found


def everything_missing() -> list[str]:
    """One line for each thing that the demo and the tests need and the machine lacks."""
    lines = []
    for look in (running_python, lambda: python("3.11")):
        try:
            look()
        except Missing as missing:
            lines.append(str(missing))
    if shutil.which("cargo") is None:
        lines.append(RUST)
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        lines.append(C_COMPILER)
    return lines
