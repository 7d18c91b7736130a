"""Resolves the pinned requirements anew; run by hand, the result is committed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tools import environments, steps

_QUIET = ("--quiet", "--no-annotate", "--no-header", "--no-emit-index-url")


def resolve() -> int:
    """Writes build.txt, wheels.txt, an upstream-VERSION.txt for each version of the tests, a file for each runner."""
    here = environments.REQUIREMENTS
    oldest = ["--python-version", "3.10", "--universal"]
    for name in ("build", "wheels"):
        steps.run(
            f"resolving {name}.txt",
            [*_compile(), "--upgrade", *oldest, here / f"{name}.in", "--output-file", here / f"{name}.txt"],
        )
    for version in environments.UPSTREAM_VERSIONS:
        _resolve_upstream(version, here / f"upstream-{version}.txt", "--upgrade")
    for name, runner in environments.RUNNERS.items():
        _resolve_upstream(environments.UPSTREAM_VERSIONS[-1], here / f"{name}.txt", "--upgrade", beside=runner)
    for name in environments.ADDITIONS:
        _resolve_addition(name)
    return 0


def _resolve_addition(name: str) -> None:
    """What an addition needs more than the newest upstream brings along, in versions that go with it."""
    here = environments.REQUIREMENTS
    output, upstreams = here / f"{name}.txt", here / f"upstream-{environments.UPSTREAM_VERSIONS[-1]}.txt"
    chosen: steps.Command = ["--python-version", environments.UPSTREAM_PYTHON, "--constraints", upstreams]
    steps.run(f"resolving {output.name}", [*_compile(), *chosen, here / f"{name}.in", "--output-file", output])
    there = set(upstreams.read_text().splitlines())
    lines = [line for line in output.read_text().splitlines() if line not in there]
    output.write_text("\n".join(lines) + "\n")


def add_release(version: str) -> Path:
    """The pinned requirements of a release; resolved now, if it has none yet. What its line has pinned is preferred, so
    that releases differ in upstream alone where they can.
    """
    path = environments.RELEASES / f"{version}.txt"
    if version in environments.UPSTREAM_VERSIONS or path.exists():
        return environments.requirements_of(version)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_text(environments.requirements_of(_of_its_line(version)).read_text())
        _resolve_upstream(version, draft)
        path.write_text(draft.read_text())
    return path


def _of_its_line(version: str) -> str:
    """The newest version that the tests run with of a release's line, or of all."""
    line = version.split(".")[:2]
    same = [one for one in environments.UPSTREAM_VERSIONS if one.split(".")[:2] == line]
    return (same or environments.UPSTREAM_VERSIONS)[-1]


def _compile() -> steps.Command:
    return [environments.uv(), "pip", "compile", *_QUIET]


def _resolve_upstream(version: str, output: Path, *options: str, beside: str = "") -> None:
    here = environments.REQUIREMENTS
    inputs = [here / "upstream.in"]
    if version.startswith(("1.11.", "1.12.")):
        inputs.append(here / "upstream-1.x.in")
    if version.startswith(tuple(f"1.11.{number}." for number in range(5))):
        inputs.append(here / "upstream-1.11.0-to-4.in")
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.in"
        wanted.write_text(f"openmetadata-ingestion[postgres,redshift]=={version}\n{beside}\n")
        steps.run(
            f"resolving {output.name}",
            [
                *_compile(),
                *options,
                *("--python-version", environments.UPSTREAM_PYTHON),
                *("--constraints", here / "upstream-constraints.txt"),
                *("--overrides", here / "upstream-overrides.txt"),
                wanted,
                *inputs,
                *("--output-file", output),
            ],
        )
