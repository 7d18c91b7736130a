"""What a release must agree on: the tag, Cargo.toml's version, and a dated heading of CHANGELOG.md."""

from __future__ import annotations

import re
from pathlib import Path

from tools import machine

_HEADING = re.compile(r"^## (?P<version>\d+\.\d+\.\d+) \((?P<date>unreleased|\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)


class NotReady(ValueError):
    """The release may not be made; the text says what to change."""


def headings(changelog: str) -> list[tuple[str, str]]:
    """(version, date) of each heading, from the top; the date of the first may be `unreleased`."""
    return [(found["version"], found["date"]) for found in _HEADING.finditer(changelog)]


def disorder(changelog: str, version: str) -> list[str]:
    """What is wrong with a changelog of a tree that has this version, in words."""
    found = headings(changelog)
    if not found or len(found) != changelog.count("\n## "):
        return ["a heading of CHANGELOG.md is not of the form `## 1.2.3 (2026-01-31)`, or `(unreleased)`"]
    wrong = []
    if found[0][0] != version:
        wrong.append(f"CHANGELOG.md begins with {found[0][0]}, and Cargo.toml says {version}")
    numbers = [tuple(map(int, one.split("."))) for one, _ in found]
    if numbers != sorted(set(numbers), reverse=True):
        wrong.append("the versions of CHANGELOG.md do not go down")
    dates = [date for _, date in found]
    if "unreleased" in dates[1:]:
        wrong.append("CHANGELOG.md has an unreleased version below a released one")
    released = [date for date in dates if date != "unreleased"]
    if released != sorted(released, reverse=True):
        wrong.append("the dates of CHANGELOG.md do not go down")
    return wrong


def notes(tag: str, version: str, changelog: str) -> str:
    """The changelog's text for the release of a tag such as `v1.2.3`. Raises NotReady."""
    wrong = disorder(changelog, version)
    if tag != f"v{version}":
        wrong.append(f"the tag is {tag}, and Cargo.toml says {version}")
    if (version, "unreleased") in headings(changelog):
        wrong.append(f"CHANGELOG.md calls {version} unreleased: give it its date")
    if wrong:
        raise NotReady("; ".join(wrong))
    return changelog.split(f"\n## {version} ", 1)[1].split("\n", 1)[1].split("\n## ", 1)[0].strip() + "\n"


def changelog(tree: Path = machine.REPOSITORY) -> str:
    """CHANGELOG.md of a tree."""
    return (tree / "CHANGELOG.md").read_text()
