"""What is built from this tree: the wheel, and the reference server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tools import cache, environments, machine, steps

# Everything that ends up in the wheel or decides how it is built.
_WHEEL_SOURCES = (
    "Cargo.toml",
    "Cargo.lock",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "THIRD-PARTY-LICENSES",
    "src",
    "python",
)
_NOT_SOURCES = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def wheel() -> Path:
    """The wheel of this tree, built if no wheel of the same sources is there."""
    cargo = machine.cargo()
    compiler = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=True).stdout
    key = cache.fingerprint(compiler, *source_parts(machine.REPOSITORY))

    def fill(path: Path) -> None:
        maturin = environments.build_environment() / "bin" / "maturin"
        steps.run(
            "building the wheel (about two minutes the first time)",
            [maturin, "build", "--release", "--locked", "--interpreter", "python3", "--out", path],
            cwd=machine.REPOSITORY,
            environment={"PATH": search_path_with(maturin.parent)},
        )

    found = sorted(cache.directory("wheels", "wheel", key, fill).glob("*.whl"))
    if len(found) != 1:
        raise steps.StepFailed(f"expected one wheel, found {[path.name for path in found]}")
    return found[0]


def search_path_with(first: Path) -> str:
    """PATH with a directory in front."""
    return os.pathsep.join([str(first), os.environ.get("PATH", os.defpath)])


def source_parts(tree: Path) -> list[str | bytes]:
    """Names and contents of the wheel's sources, in a fixed order."""
    parts: list[str | bytes] = []
    for name in _WHEEL_SOURCES:
        origin = tree / name
        files = [origin] if origin.is_file() else sorted(path for path in origin.rglob("*") if path.is_file())
        for file in files:
            relative = file.relative_to(tree)
            if _NOT_SOURCES.intersection(relative.parts) or file.suffix in {".so", ".pyc"}:
                continue
            parts += [relative.as_posix(), file.read_bytes()]
    return parts


def reference_server() -> Path:
    """The reference server's program; cargo knows whether it has to be built."""
    printed = steps.run(
        "building the reference server",
        [
            *(machine.cargo(), "build", "--locked", "--package", "om-reference-server", "--bins", "--profile", "bench"),
            *("--message-format", "json-render-diagnostics"),
        ],
        cwd=machine.REPOSITORY,
    )
    for line in printed.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            return Path(message["executable"])
    raise steps.StepFailed("cargo built the reference server and named no program")
