"""Every check of style, types and stubs, in one go: all of them run, then the failed ones are named."""

from __future__ import annotations

import os
from pathlib import Path

from tools import artifacts, environments, licences, lock_files, machine, steps, tree

_TYPED = ("python", "tools", "tests/ingest", "tests/redshift", "demo", "benchmarks")
# `cargo clippy` needs no Python for the Python face with these two.
_NO_PYTHON = {"PYO3_NO_PYTHON": "1", "PYO3_BUILD_EXTENSION_MODULE": "1"}


def run() -> int:
    """Returns 1 where a check failed."""
    cargo = machine.cargo()
    programs = environments.build_environment() / "bin"
    failed: list[str] = []

    def check(title: str, command: steps.Command, extra: dict[str, str] | None = None) -> None:
        print(f"- {title}", flush=True)
        if steps.replace_process(command, extra) != 0:
            failed.append(title)

    os.chdir(machine.REPOSITORY)
    check("cargo fmt", [cargo, "fmt", "--all", "--check"])
    strict = ["--locked", "--quiet", "--", "--deny", "warnings"]
    check("clippy", [cargo, "clippy", "--workspace", "--all-targets", *strict])
    check("clippy, Python face", [cargo, "clippy", "--all-targets", "--features", "python,panics", *strict], _NO_PYTHON)
    pages = ["--no-deps", "--document-private-items", "--features", "python,panics", "--locked", "--quiet"]
    check("rustdoc", [cargo, "doc", *pages], {**_NO_PYTHON, "RUSTDOCFLAGS": "--deny warnings"})
    check("ruff", [programs / "ruff", "check", "."])
    check("ruff format", [programs / "ruff", "format", "--check", "."])
    check("mypy", [programs / "mypy", *[name for name in _TYPED if Path(name).exists()]])
    print("- stubs against the built wheel", flush=True)
    with_stubs = environments.with_wheel(environments.build_environment(), artifacts.wheel())
    stubtest: steps.Command = [
        environments.python_of(with_stubs),
        "-m",
        "mypy.stubtest",
        "openmetadata_bulksink._native",
    ]
    if steps.replace_process(stubtest, {"MYPYPATH": ""}) != 0:
        failed.append("stubs against the built wheel")
    print("- lock files", flush=True)
    if check_locks() != 0:
        failed.append("lock files")
    names = tree.check()
    for line in names:
        print(line)
    if names:
        failed.append("names that no committed file may hold")
    print(f"lint: {'failed: ' + '; '.join(failed) if failed else 'all checks passed'}", flush=True)
    return 1 if failed else 0


def check_locks() -> int:
    """Returns 1 where something is wrong with what is locked; needs no environment."""
    unwanted = [*lock_files.check(), *licences.check()]
    for line in unwanted:
        print(line)
    return 1 if unwanted else 0


def reformat() -> int:
    """Runs cargo fmt and ruff format, with ruff's safe fixes."""
    programs = environments.build_environment() / "bin"
    os.chdir(machine.REPOSITORY)
    statuses = [
        steps.replace_process([machine.cargo(), "fmt", "--all"]),
        steps.replace_process([programs / "ruff", "check", "--fix", "--quiet", "."]),
        steps.replace_process([programs / "ruff", "format", "."]),
    ]
    return max(statuses)
