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


def test_every_test_that_the_page_names_exists() -> None:
    page = PAGE.read_text()
    known = {f"{case.fault.name}" for case in cases()}
    named = re.findall(r"`(test_[a-z0-9_]+)(?:\[([a-z0-9_]+)(?:-\*)?\])?`", page)
    assert len(named) > len(FAULTS) + 20
    texts = [path.read_text() for folder in ("tests", "src") for path in (ROOT / folder).rglob("*.*") if path.suffix in {".py", ".rs"}]
    defined = {name for text in texts for name in re.findall(r"(?:def|fn) (test_[a-z0-9_]+|[a-z0-9_]+)\(", text)}
    for name, fault in named:
        assert name in defined, f"{name} is named by the page and is nowhere"
        assert not fault or fault in known or fault in defined, f"{fault} is no fault of the table and no scenario"


def test_no_row_is_untested() -> None:
    page = PAGE.read_text().lower()
    assert "not tested" not in page
    for line in page.splitlines():
        if line.startswith("|") and not set(line) <= set("|- "):
            assert line.count("|") >= 4, line
