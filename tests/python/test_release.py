"""The release recipe names only what is there, and a release is made only where tag, version and changelog agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import licences, machine, portable, release
from tools.__main__ import main as tools

ROOT = machine.REPOSITORY
CHANGELOG = "# Changelog\n\n## 1.3.0 (2026-02-01)\n\nNew.\n\n- more\n\n## 1.2.0 (2026-01-31)\n\nOld.\n"


def jobs() -> dict[str, dict[str, Any]]:
    recipe: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    found: dict[str, dict[str, Any]] = recipe["jobs"]
    return found


def commands() -> Iterator[str]:
    """Each line that a job runs."""
    for job in jobs().values():
        for step in job["steps"]:
            yield from (line.strip() for line in step.get("run", "").splitlines())


def needed(job: str) -> set[str]:
    """The jobs that come before a job."""
    of_job = jobs()[job].get("needs", [])
    direct = {of_job} if isinstance(of_job, str) else set(of_job)
    return direct.union(*(needed(one) for one in direct))


def test_the_jobs_come_one_after_the_other() -> None:
    assert needed("publish") == {"ready", "sdist", "wheel"}
    assert needed("wheel") == {"ready", "sdist"}


def test_every_file_that_a_job_names_is_there() -> None:
    words = (word.removeprefix("/tree/") for line in commands() for word in re.split(r"[\s\"':]+", line))
    named = {word for word in words if word.startswith(("tools/", "tests/", "fuzz/")) and "*" not in word}
    assert {"tools/requirements/wheels.txt", "tests/wheels/smoke.py"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_command_of_ours_that_a_job_runs_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tools(["--help"])
    known = set(re.findall(r"^ {4}([a-z-]+) ", capsys.readouterr().out, re.MULTILINE))
    run = {found for line in commands() for found in re.findall(r"python -m tools (\S+)", line)}
    assert run == {"release-notes", "check-locks"}
    assert run <= known


@pytest.mark.parametrize("program", ["maturin", "abi3audit", "auditwheel"])
def test_every_program_of_a_wheel_is_pinned(program: str) -> None:
    assert any(program in line.split() for line in commands())
    assert f"\n{program}==" in "\n" + (ROOT / "tools" / "requirements" / "wheels.txt").read_text()


def test_every_lock_file_is_looked_up() -> None:
    audited = {line.split()[-1] for line in commands() if line.startswith("pip-audit ")}
    assert audited == {"tools/requirements/build.txt", "tools/requirements/wheels.txt"}
    audited = {line.split()[-1] for line in commands() if line.startswith("cargo audit ")}
    assert audited == {"Cargo.lock", "fuzz/Cargo.lock"}


def test_what_is_fuzzed_is_what_is_shipped() -> None:
    def locked(lock: str) -> set[tuple[str, str]]:
        return set(re.findall(r'name = "(.+)"\nversion = "(.+)"', (ROOT / lock).read_text()))

    shipped, fuzzed = locked("Cargo.lock"), locked("fuzz/Cargo.lock")
    names = {name for name, _ in shipped}
    assert {"serde_json", "httpdate", "reqwest"} <= {name for name, _ in fuzzed & shipped}
    assert sorted(one for one in fuzzed - shipped if one[0] in names) == []


def test_each_action_is_pinned_by_its_commit() -> None:
    used = [step["uses"] for job in jobs().values() for step in job["steps"] if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name)] == []


def test_what_a_job_takes_another_has_made_before() -> None:
    made = {
        name: {step["with"]["name"] for step in job["steps"] if "/upload-artifact@" in step.get("uses", "")}
        for name, job in jobs().items()
    }
    taken = [
        (name, step["with"].get("name") or step["with"]["pattern"])
        for name, job in jobs().items()
        for step in job["steps"]
        if "/download-artifact@" in step.get("uses", "")
    ]
    assert taken
    for name, artifact in taken:
        before = set().union(*(made[one] for one in needed(name)))
        assert any(Path(one).match(artifact) for one in before), (name, artifact)


def test_the_platforms_are_those_whose_licences_are_carried() -> None:
    matrix = jobs()["wheel"]["strategy"]["matrix"]["include"]
    assert sorted(one["target"] for one in matrix) == sorted(licences.TARGETS)


def test_only_the_last_job_may_write() -> None:
    granted = {name: set(job["permissions"].values()) for name, job in jobs().items()}
    assert granted.pop("publish") == {"write"}
    assert set().union(*granted.values()) == {"read"}


def test_the_changelog_of_this_tree_is_in_order() -> None:
    assert release.disorder(release.changelog(), portable.version()) == []


def test_the_version_stands_in_one_place() -> None:
    project = (ROOT / "pyproject.toml").read_text().split("[project]", 1)[1].split("\n[", 1)[0]
    assert re.findall(r"^(version|dynamic)\b.*$", project, re.MULTILINE) == ["dynamic"]
    packages = (ROOT / "python").rglob("*.py")
    assert [path.name for path in packages if re.search(r"^__version__\s*[:=]", path.read_text(), re.MULTILINE)] == []


def test_the_notes_of_a_release_are_its_part_of_the_changelog() -> None:
    assert release.notes("v1.3.0", "1.3.0", CHANGELOG) == "New.\n\n- more\n"


@pytest.mark.parametrize(
    ("tag", "version", "changed", "said"),
    [
        ("v1.3.1", "1.3.0", ("", ""), "the tag is v1.3.1, and Cargo.toml says 1.3.0"),
        ("v1.4.0", "1.4.0", ("", ""), "CHANGELOG.md begins with 1.3.0, and Cargo.toml says 1.4.0"),
        ("v1.3.0", "1.3.0", ("2026-02-01", "unreleased"), "CHANGELOG.md calls 1.3.0 unreleased: give it its date"),
        (
            "v1.3.0",
            "1.3.0",
            ("2026-01-31", "unreleased"),
            "CHANGELOG.md has an unreleased version below a released one",
        ),
        ("v1.3.0", "1.3.0", ("1.2.0", "1.3.0"), "the versions of CHANGELOG.md do not go down"),
        ("v1.3.0", "1.3.0", ("2026-02-01", "2026-01-01"), "the dates of CHANGELOG.md do not go down"),
        ("v1.3.0", "1.3.0", ("1.2.0 (2026-01-31)", "1.2"), "a heading of CHANGELOG.md is not of the form"),
    ],
)
def test_a_release_that_is_not_ready_says_why(tag: str, version: str, changed: tuple[str, str], said: str) -> None:
    text = CHANGELOG.replace(*changed) if changed[0] else CHANGELOG
    with pytest.raises(release.NotReady) as reason:
        release.notes(tag, version, text)
    assert said in str(reason.value)


def test_the_tests_of_the_wheels_ask_nothing_of_those_that_need_upstream() -> None:
    """They run in an environment of their own, which has little but pytest; `.ci/run` does not run them."""
    for path in (ROOT / "tests" / "wheels").glob("*.py"):
        assert "tests.python" not in path.read_text(), path.name
