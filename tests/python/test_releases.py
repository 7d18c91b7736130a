"""The tools around releases of upstream: pinned requirements, what counts as a problem, the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.releases import SPREAD, page
from tests.releases.trial import Result, read
from tools import environments


def test_every_release_has_requirements_of_its_own() -> None:
    known = environments.releases()
    assert set(SPREAD) | set(environments.UPSTREAM_VERSIONS) <= set(known)
    assert known.index("1.11.9.0") < known.index("1.11.12.0") < known.index("2.0.0.0")
    for version in known:
        lines = environments.requirements_of(version).read_text().splitlines()
        assert f"openmetadata-ingestion=={version}" in lines


def test_a_release_without_requirements_is_told_how_to_get_them() -> None:
    with pytest.raises(ValueError, match=r"add-release 0\.1\.2\.3"):
        environments.requirements_of("0.1.2.3")


def test_an_accelerator_may_step_aside_for_a_reason_on_the_page_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "REASONS", {"proxies, not on this system": "it asks the system"})
    result = Result("9.9.9.9", aside=["proxies, not on this system"])
    assert page.unexplained(result) == []
    result.aside += ["name_walk, upstream has changed", "statements, upstream has changed"]
    assert page.unexplained(result) == result.aside[1:]


def test_the_table_goes_into_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "releases.md"
    file.write_text("before\n<!-- written by `make releases` -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(page, "PAGE", file)
    good = Result("9.9.9.8", sqlalchemy="2.0.58", active=["version"], tables={"sqlite": 42, "postgres": 26})
    page.write([good, Result("9.9.9.9", problems=["postgres: 2 differences, as tables x\nmore"])], 94)
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "2 of 94 releases" in text
    assert "| 9.9.9.8 | 2.0.58 | 42, 26 | equal | 1 |  |" in text
    assert "| 9.9.9.9 |  |  | postgres: 2 differences, as tables x | 0 |  |" in text
    assert "old" not in text


def test_a_result_comes_back_as_it_was_written(tmp_path: Path) -> None:
    result = Result("9.9.9.9", active=["version"], problems=["one"])
    result.write(tmp_path)
    assert read(tmp_path / "9.9.9.9.json") == result
    assert [path.name for path in tmp_path.iterdir()] == ["9.9.9.9.json"]
