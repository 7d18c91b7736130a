"""The wheel that runs on any Linux of the last twelve years, and the sdist that it is built from.

zig links against the glibc that the tag promises, whatever this machine has. The wheel is built from the unpacked
sdist, so what the sdist lacks is found here and not by whoever installs it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tools import artifacts, environments, machine, steps

TARGET = "x86_64-unknown-linux-gnu"
#: Oldest glibc: that of RHEL 7, and of the containers that Airflow and the like were built on.
COMPATIBILITY = "manylinux_2_17"
#: A version below any of ours, for going back to.
OLDER = "0.0.1"

_NAME = "openmetadata-bulksink"


def version(tree: Path = machine.REPOSITORY) -> str:
    """The version of a tree: Cargo.toml's, the only place that states it."""
    manifest = str(tree / "Cargo.toml")
    command = [machine.cargo(), "metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest]
    described: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (ours,) = (package for package in described["packages"] if package["name"] == _NAME)
    return str(ours["version"])


def sdist() -> Path:
    """The sdist of this tree, made anew."""
    folder = machine.REPOSITORY / "target" / "portable" / "sdist"
    shutil.rmtree(folder, ignore_errors=True)
    _maturin("packing the sdist", ["sdist", "--out", folder], machine.REPOSITORY)
    return _only(folder, "*.tar.gz")


def wheel(sdist: Path, as_version: str | None = None) -> Path:
    """The wheel that an sdist gives; with `as_version` the one that it would give had Cargo.toml that version."""
    folder = machine.REPOSITORY / "target" / "portable" / (as_version or "wheel")
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    source = _only(folder, "*/")
    if as_version is not None:
        _restate_version(source, as_version)
    target = machine.REPOSITORY / "target" / "portable" / "cargo"
    # Both versions leave their library in one place: what is packed was made now, or it may be the other one.
    for ours in (target / TARGET / "release" / ".fingerprint").glob(f"{_NAME}-*"):
        shutil.rmtree(ours)
    _maturin(
        f"building the {COMPATIBILITY} wheel from {sdist.name} (some minutes the first time)",
        [
            *("build", "--release", "--zig", "--target", TARGET, "--compatibility", COMPATIBILITY),
            *("--interpreter", "python3", "--out", folder),
        ],
        source,
        {"CARGO_TARGET_DIR": str(target)},
    )
    return _only(folder, "*.whl")


def _restate_version(source: Path, stated: str) -> None:
    replaced = re.compile(rf'(name = "{_NAME}"\nversion = )"[^"]+"')
    manifest = source / "Cargo.toml"
    text, count = replaced.subn(rf'\1"{stated}"', manifest.read_text())
    if count != 1:
        raise steps.StepFailed(f"Cargo.toml of the sdist states the version {count} times")
    manifest.write_text(text)


def _maturin(title: str, arguments: steps.Command, tree: Path, variables: dict[str, str] | None = None) -> None:
    programs = environments.wheels_environment() / "bin"
    search_path = artifacts.search_path_with(programs)
    steps.run(
        title, [programs / "maturin", *arguments], cwd=tree, environment={"PATH": search_path, **(variables or {})}
    )


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise steps.StepFailed(f"expected one {pattern} in {folder}, found {[path.name for path in found]}")
    return found[0]


def check(copy_to: Path) -> int:
    """Builds sdist and wheel, tests both, and copies them to `copy_to`; returns pytest's exit status."""
    packed = sdist()
    built = wheel(packed)
    older = wheel(packed, OLDER)
    variables = {
        "BULKSINK_TEST_PORTABLE_SDIST": str(packed),
        "BULKSINK_TEST_PORTABLE_WHEEL": str(built),
        "BULKSINK_TEST_OLDER_WHEEL": str(older),
        "BULKSINK_TEST_ORDINARY_WHEEL": str(artifacts.wheel()),
        "BULKSINK_TEST_UPSTREAM": str(environments.upstream_environment(environments.UPSTREAM_VERSIONS[-1])),
        "BULKSINK_TEST_SERVER": str(artifacts.reference_server()),
        "BULKSINK_TEST_UV": str(environments.uv()),
        "BULKSINK_TEST_STATED_VERSION": version(),
    }
    python = environments.python_of(environments.wheels_environment())
    status = steps.replace_process([python, "-m", "pytest", "-p", "no:cacheprovider", "tests/wheels"], variables)
    if status == 0:
        copy_to.mkdir(parents=True, exist_ok=True)
        for made in (packed, built):
            shutil.copy2(made, copy_to)
            print(copy_to / made.name)
    return status
