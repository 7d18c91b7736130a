"""The commands behind the Makefile: `python3 -m tools help`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools import (
    artifacts,
    environments,
    fuzzing,
    licences,
    lint,
    locks,
    machine,
    mariadb,
    portable,
    postgresql,
    release,
    steps,
    test_runs,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tools", description="Prepares what this project needs.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    command("check-machine", "say what the machine lacks, one line each", _check_machine)
    command(
        "build-environment", "print the path of the environment with maturin, ruff, mypy, pytest", _build_environment
    )
    upstream = command("upstream", "print the path of an environment with openmetadata-ingestion", _upstream)
    upstream.add_argument("version", choices=environments.releases(), metavar="VERSION")
    upstream.add_argument("--with-sink", action="store_true", help="with this tree's wheel installed into it")
    wheel = command("wheel", "build this tree's wheel and print its path", _wheel)
    wheel.add_argument("--copy-to", type=Path, help="a directory that gets a copy")
    wheels = command(
        "wheels", "build sdist and portable wheel, test them", lambda chosen: portable.check(chosen.copy_to)
    )
    wheels.add_argument("--copy-to", type=Path, default=Path("dist"), help="a directory that gets a copy")
    tagged = command(
        "release-notes", "print the changelog's text for a tag, if the tree is ready for it", _release_notes
    )
    tagged.add_argument("tag", help="such as v1.2.3")
    command("server", "build the reference server and print its path", _server)
    command("postgresql", "print the directory of PostgreSQL's programs", _postgresql)
    command("mariadb", "print the paths of MariaDB's programs", _mariadb)
    command("lint", "all checks of style, types and stubs", lambda _: lint.run())
    command("fmt", "format Rust and Python", lambda _: lint.reformat())
    command("licences", "write THIRD-PARTY-LICENSES again", lambda _: licences.write())
    command("lock", "resolve the pinned requirements again", lambda _: locks.resolve())
    command("check-locks", "origins, licences and pins of what is locked", lambda _: lint.check_locks())
    upstreams = command("add-release", "resolve the pinned requirements of releases of upstream", _add_release)
    upstreams.add_argument("versions", nargs="+", metavar="VERSION")
    fuzz = command("fuzz", "search for input that breaks what must hold for any", _fuzz)
    fuzz.add_argument("--seconds", type=int, help="for each target (default: 60; 300 with --planted)")
    fuzz.add_argument("--planted", action="store_true", help="with a panic that must be found")
    test = command("pytest", "run pytest inside an upstream environment with this tree's wheel", _pytest)
    newest = environments.UPSTREAM_VERSIONS[-1]
    test.add_argument("--upstream", default=newest, choices=environments.releases(), metavar="VERSION")
    test.add_argument("--plain", action="store_true", help="without our wheel: only what runs upstream alone")
    test.add_argument(
        "--beside", choices=sorted(environments.RUNNERS), help="with a runner and the newest upstream instead"
    )
    test.add_argument("rest", nargs=argparse.REMAINDER, help="arguments for pytest, after --")

    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return int(chosen.run(chosen))
    except machine.Missing as missing:
        print(f"missing: {missing}", file=sys.stderr)
    except steps.StepFailed as failure:
        print(f"failed: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _check_machine(_: argparse.Namespace) -> int:
    lines = machine.everything_missing()
    for line in lines:
        print(f"missing: {line}", file=sys.stderr)
    return 1 if lines else 0


def _build_environment(_: argparse.Namespace) -> int:
    print(environments.build_environment())
    return 0


def _upstream(chosen: argparse.Namespace) -> int:
    environment = environments.upstream_environment(chosen.version)
    if chosen.with_sink:
        environment = environments.with_wheel(environment, artifacts.wheel())
    print(environment)
    return 0


def _wheel(chosen: argparse.Namespace) -> int:
    built = artifacts.wheel()
    if chosen.copy_to is not None:
        chosen.copy_to.mkdir(parents=True, exist_ok=True)
        copy = chosen.copy_to / built.name
        copy.write_bytes(built.read_bytes())
        built = copy
    print(built)
    return 0


def _release_notes(chosen: argparse.Namespace) -> int:
    try:
        print(release.notes(chosen.tag, portable.version(), release.changelog()), end="")
    except release.NotReady as reason:
        print(f"not ready: {reason}", file=sys.stderr)
        return 1
    return 0


def _fuzz(chosen: argparse.Namespace) -> int:
    return fuzzing.run(chosen.seconds, planted=chosen.planted)


def _server(_: argparse.Namespace) -> int:
    print(artifacts.reference_server())
    return 0


def _postgresql(_: argparse.Namespace) -> int:
    print(postgresql.programs())
    return 0


def _mariadb(_: argparse.Namespace) -> int:
    print(*mariadb.programs(), sep="\n")
    return 0


def _add_release(chosen: argparse.Namespace) -> int:
    for version in chosen.versions:
        print(locks.add_release(version))
    return 0


def _pytest(chosen: argparse.Namespace) -> int:
    if chosen.beside:
        return test_runs.pytest_beside(chosen.beside, [word for word in chosen.rest if word != "--"])
    return test_runs.pytest(chosen.upstream, [word for word in chosen.rest if word != "--"], plain=chosen.plain)


if __name__ == "__main__":
    os.chdir(machine.REPOSITORY)
    sys.exit(main())
