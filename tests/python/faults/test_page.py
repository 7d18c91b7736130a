"""The tables of docs/reliability.md name tests that exist, and leave nothing untested."""

from __future__ import annotations

import re

from tests.python.faults.matrix import FAULTS, cases
from tests.python.faults.table import PAGE, written_rows

ROOT = PAGE.parent.parent


def test_the_fault_table_has_two_lines_for_each_fault() -> None:
    rows = written_rows()
    assert [row[1] for row in rows] == ["upstream", "ours"] * len(FAULTS)
    assert [row[0] for row in rows[::2]] == [fault.title for fault in FAULTS], "run `make reliability` again"
    for fault, row in zip(FAULTS, rows[1::2], strict=True):
        assert row[-1] == f"`test_fault[{fault.name}-*]`"
        assert all(row[2:]), row
    for row in rows:
        assert all(re.match(r"all written|\d+ lost", cell) for cell in row[2:6]), row


#: A name of a test between backticks, with the fault or the scenario that is meant.
NAMED = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+)+)(?:\[([a-z0-9_]+)(?:-\*)?\])?`")


def test_every_test_that_the_page_names_exists() -> None:
    known = {case.fault.name for case in cases()}
    files = [
        path for folder in ("tests", "src") for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".rs"}
    ]
    defined = {name for path in files for name in re.findall(r"(?:def|fn) ([a-z0-9_]+)\(", path.read_text())}
    named = [found for found in NAMED.findall(PAGE.read_text()) if found[0].count("_") > 2 or found[1]]
    assert len(named) > len(FAULTS) + 60
    for name, fault in named:
        assert name in defined, f"{name} is named by the page and is nowhere"
        assert not fault or fault in known or fault in defined, f"{fault} is no fault of the table and no scenario"


def test_no_row_is_untested() -> None:
    page = PAGE.read_text()
    assert "not tested" not in page.lower()
    lines = page.splitlines()
    rows = 0
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        is_title = below.startswith("|---")
        if line.startswith("|") and not line.startswith("|---") and not is_title:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells[1] != "upstream":
                assert NAMED.search(cells[-1]) or "make " in cells[-1], line
                rows += 1
    assert rows > len(FAULTS) + 40
