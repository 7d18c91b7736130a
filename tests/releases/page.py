"""docs/releases.md: one line for each release that was tried, and why an accelerator steps aside where one does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.releases.trial import Result

#: Reasons for stepping aside that are known and meant: beginning of the line of the doctor, and why.
REASONS: dict[str, str] = {}

#: What the issue of each variant was learned for: these never step aside.
NEVER = ("source_hash", "name_walk", "foreign_keys")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "releases.md"
_BEGIN, _END = "<!-- written by `make releases` -->", "<!-- end -->"


def unexplained(result: Result) -> list[str]:
    """Lines about accelerators that step aside although they must not, or without a reason on the page."""
    return [
        line for line in result.aside if line.startswith(NEVER) or not any(line.startswith(known) for known in REASONS)
    ]


def write(results: Sequence[Result], wanted: int) -> None:
    """Put the table into the page. wanted: how many releases there are."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    table = "\n".join(_lines(results, wanted))
    PAGE.write_text(f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}")


def _lines(results: Sequence[Result], wanted: int) -> Iterable[str]:
    yield f"{len(results)} of {wanted} releases have a result."
    yield ""
    yield "| release | SQLAlchemy | tables written, SQLite and PostgreSQL | catalogues | accelerators | step aside |"
    yield "|---|---|---|---|---|---|"
    for one in results:
        tables = ", ".join(str(count) for count in one.tables.values())
        state = "; ".join(problem.splitlines()[0][:120] for problem in one.problems) or "equal"
        aside = "; ".join(one.aside) or ""
        yield f"| {one.version} | {one.sqlalchemy} | {tables} | {state} | {len(one.active)} | {aside} |"
