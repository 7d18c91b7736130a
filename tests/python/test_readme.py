"""The README's figures and its picture are those of the committed results of `make bench-real`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import before_after

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def rows_of_the_readme() -> list[tuple[str, str]]:
    table = README.split("| | upstream's sink | ours |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"\| ([\d.]+) s \| ([\d.]+) s \|", table)


@pytest.mark.parametrize("line", range(len(before_after.SHOWN)))
def test_the_readme_says_what_was_measured(line: int) -> None:
    pair = before_after.pairs()[line]
    assert rows_of_the_readme()[line] == (f"{pair.upstream_s:.1f}", f"{pair.ours_s:.1f}")


def test_every_line_is_checked() -> None:
    assert len(rows_of_the_readme()) == len(before_after.SHOWN)


def test_the_picture_shows_what_was_measured() -> None:
    drawn = before_after.RESULTS / before_after.FILE
    assert f"benchmarks/results/{before_after.FILE}" in README
    assert drawn.read_text() == before_after.svg(before_after.pairs())
