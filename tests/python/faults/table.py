"""The fault table of docs/reliability.md: made from measurements, and read again by the test that guards it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.python.faults.matrix import FAULTS, OFTEN, TABLES, Case, cases
from tests.python.faults.streams import Fed

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
BEGIN = "<!-- fault table: written by `make reliability` -->"
END = "<!-- end of the fault table -->"


class Measured(NamedTuple):
    """What came of one case.

    there: tables that the server has. lost: those that it does not have. named: the lost ones among the failures by
    their
    names. wrong: failures that name a table which is there, without saying that it may be. seconds: how long the
    caller was
    held up.
    """

    there: int
    lost: int
    named: int
    wrong: int
    entries: int
    seconds: float


def measured(fed: Fed) -> Measured:
    """The numbers of one stream."""
    lost = fed.lost(TABLES)
    # Wherever a name stands in a failure, it counts.
    told = " ".join(f"{failure['name']} {failure['error']}" for failure in fed.failures)
    named = {name for name in lost if re.search(rf"{re.escape(name)}\b", told)}
    wrong = fed.wrongly_called_lost()
    return Measured(TABLES - len(lost), len(lost), len(named), len(wrong), len(fed.failures), fed.seconds)


def cell(one: Measured) -> str:
    """A cell for people."""
    if one.lost == 0 and one.entries == 0:
        return "all written"
    if one.lost == 0:
        return f"all written, {one.entries} called lost"
    how = "all named" if one.named == one.lost else f"{one.named} named" if one.named else "none named"
    if one.named == 0 and one.entries == 0:
        how = "**nothing said**"
    return f"{one.lost} lost, {how}"


def rows(measured_by: Mapping[str, Mapping[str, Measured]]) -> list[str]:
    """The table's lines."""
    by_fault: dict[str, dict[str, Case]] = {}
    for case in cases():
        by_fault.setdefault(case.fault.name, {})[case.often] = case
    lines = [
        "| fault | sink | " + " | ".join(OFTEN.values()) + " | test |",
        "|---|---|" + "---|" * len(OFTEN) + "---|",
    ]
    for fault in FAULTS:
        for who, title in (("upstream", fault.title), ("ours", "")):
            cells = [cell(measured_by[who][by_fault[fault.name][often].name]) for often in OFTEN]
            test = f"`test_fault[{fault.name}-*]`" if who == "ours" else ""
            lines.append(f"| {title} | {who} | {' | '.join(cells)} | {test} |")
    return lines


def write(measured_by: Mapping[str, Mapping[str, Measured]]) -> None:
    """Puts the table into the page."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text("\n".join([before + BEGIN, "", *rows(measured_by), "", END]) + after)


def written_rows() -> list[list[str]]:
    """The cells of the table as it is in the page, without its head."""
    page = PAGE.read_text()
    lines = page.split(BEGIN)[1].split(END)[0].strip().splitlines()
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines[2:]]
