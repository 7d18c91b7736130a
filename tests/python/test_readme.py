"""The figures of the README are those of the page that `make bench` writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: What a line of the README's table of real ingestions stands for on the page of figures, line by line.
_ON_THE_PAGE = (
    "Redshift connector, 1,000 tables, 1,000 life cycles, no latency: workflow",
    "Redshift connector, 1,000 tables, 1,000 life cycles, the report's server: workflow",
    "PostgreSQL, 1,000 tables, no latency: workflow",
    "PostgreSQL, 1,000 tables, the report's server: workflow",
    "SQLite, 500 tables, the report's server: workflow",
)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def figures_of_the_page() -> dict[str, tuple[float, float]]:
    """Upstream's seconds and ours, by the name of the figure."""
    page = (ROOT / "benchmarks" / "results" / "picture.md").read_text()
    found = {}
    for line in page.splitlines():
        row = cells(line)
        if len(row) == 6 and row[3].endswith(" s") and row[4].endswith(" s"):
            found[row[1].split(" <= ")[0]] = (float(row[4].removesuffix(" s")), float(row[3].removesuffix(" s")))
    return found


def rows_of_the_readme() -> list[tuple[float, float]]:
    readme = (ROOT / "README.md").read_text()
    table = readme.split("| | upstream's sink | ours |", 1)[1].split("\n\n", 1)[0]
    return [(float(upstream), float(ours)) for upstream, ours in re.findall(r"\| ([\d.]+) s \| ([\d.]+) s \|", table)]


@pytest.mark.parametrize(("line", "name"), list(enumerate(_ON_THE_PAGE)))
def test_the_readme_says_what_was_measured(line: int, name: str) -> None:
    upstream, ours = figures_of_the_page()[name]
    assert rows_of_the_readme()[line] == (round(upstream, 1), round(ours, 1))


def test_every_line_is_checked() -> None:
    assert len(rows_of_the_readme()) == len(_ON_THE_PAGE)
