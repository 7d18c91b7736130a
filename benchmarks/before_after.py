"""The picture at the head of the README: real ingestions with upstream's sink and with ours.

Plain SVG, made of the committed results of `make bench-real` alone, so that a test can make it again:
`python3 -m benchmarks.before_after`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).resolve().parent / "results"
FILE = "before-after.svg"

SLOW = "server of 105 ms a request + 26 ms a row"
# What is shown: the name of the results, the server that was measured, and how it is called.
SHOWN = (
    ("redshift", "fast", "Redshift connector, 1,000 tables, 1,000 life cycles", "server without latency"),
    ("redshift", "slow", "Redshift connector, 1,000 tables, 1,000 life cycles", f"{SLOW}, 39 ms a life cycle"),
    ("postgres", "fast", "PostgreSQL, 1,000 tables", "server without latency"),
    ("postgres", "slow", "PostgreSQL, 1,000 tables", SLOW),
    ("sqlite", "slow", "SQLite, 500 tables", SLOW),
)

WIDTH, BAR, GAP, HEAD = 760, 17, 22, 40
LONGEST_BAR = 600


@dataclass(frozen=True)
class Pair:
    """One ingestion: seconds of the whole workflow, medians."""

    title: str
    server: str
    upstream_s: float
    ours_s: float


def pairs(results: Path = RESULTS) -> list[Pair]:
    """What is shown, from the files of results in that folder."""
    found = []
    for name, speed, title, server in SHOWN:
        runs = json.loads((results / f"real-{name}.json").read_text())["runs"]
        of = {
            who: median(run["workflow_s"] for run in runs if run["setting"] == f"{who}-{speed}")
            for who in ("upstream", "ours")
        }
        found.append(Pair(title, server, of["upstream"], of["ours"]))
    return found


def svg(shown: Sequence[Pair]) -> str:
    """The picture; it follows the reader's light or dark scheme."""
    longest = max(pair.upstream_s for pair in shown)
    one = GAP + 2 * BAR + 22
    height = HEAD + one * len(shown)
    style = (
        "text{font:13px sans-serif;fill:#1f2328}.soft{fill:#59636e}.upstream{fill:#d55e00}.ours{fill:#0072b2}"
        "@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.soft{fill:#9198a1}.ours{fill:#56b4e9}}"
    )
    frame = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    label = "Seconds of whole ingestions, with upstream's sink and with ours"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame} role="img" aria-label="{label}">',
        f"<style>{style}</style>",
        '<rect class="upstream" x="0" y="6" width="13" height="13"/><text x="20" y="17">upstream\'s sink</text>',
        '<rect class="ours" x="150" y="6" width="13" height="13"/><text x="170" y="17">openmetadata-bulksink</text>',
        f'<text class="soft" x="{WIDTH}" y="17" text-anchor="end">seconds of the whole workflow</text>',
    ]
    for number, pair in enumerate(shown):
        top = HEAD + number * one
        lines.append(
            f'<text x="0" y="{top + 13}">{escape(pair.title)}<tspan class="soft">, {escape(pair.server)}</tspan></text>'
        )
        for place, (who, seconds) in enumerate((("upstream", pair.upstream_s), ("ours", pair.ours_s))):
            width = max(2.0, LONGEST_BAR * seconds / longest)
            y = top + GAP + place * (BAR + 2)
            lines.append(f'<rect class="{who}" x="0" y="{y}" width="{width:.1f}" height="{BAR}"/>')
            times = "" if who == "upstream" else f" ({pair.upstream_s / pair.ours_s:.1f} times as fast)"
            lines.append(f'<text x="{width + 7:.1f}" y="{y + 13}">{seconds:.1f} s{times}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def is_measured(results: Path) -> bool:
    """Whether that folder has all that is shown."""
    return all((results / f"real-{name}.json").is_file() for name, *_ in SHOWN)


def draw(results: Path = RESULTS) -> None:
    """Writes the picture beside the results."""
    (results / FILE).write_text(svg(pairs(results)))


if __name__ == "__main__":
    draw()
    sys.exit()
