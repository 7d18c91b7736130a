"""The two charts: where each design's time goes, and how many requests are in flight over time. SVG and PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.report.results import Results, Row

# Told apart by people who see colours differently, too.
EXTRACTION, BLOCKED, TAIL = "#9aa5b1", "#d55e00", "#e69f00"
OURS, UPSTREAM = "#0072b2", "#d55e00"

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    # The same figures make the same file.
    "svg.hashsalt": "openmetadata-bulksink",
    "svg.fonttype": "none",
}


def draw(results: Results, folder: Path, prefix: str = "report") -> list[tuple[str, str]]:
    """Writes the charts; (title, name of the SVG file) of each."""
    with mpl.rc_context(_STYLE):
        charts = [
            ("Where the time goes", f"{prefix}-bars", _bars(results)),
            ("Requests in flight", f"{prefix}-timeline", _timeline(results)),
        ]
        for _, name, figure in charts:
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
    return [(title, f"{name}.svg") for title, name, _ in charts]


def _bars(results: Results) -> Figure:
    rows = [row for row in results.rows if row.contender.kind != "extraction"]
    figure = Figure(figsize=(10, 0.52 * len(rows) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        left = 0.0
        for name, colour in (("extraction_s", EXTRACTION), ("blocked_s", BLOCKED), ("tail_s", TAIL)):
            width = row.of(name).median
            axes.barh(place, width, left=left, color=colour, height=0.62)
            left += width
        axes.text(left, place, f"  {_label(row)}", va="center", fontsize=9)
    axes.axvline(results.extraction_s, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.text(results.extraction_s, -0.62, " extraction alone", fontsize=8, va="bottom")
    axes.set_yticks(range(len(rows)), [row.contender.title for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18 * max(row.of("total_s").median for row in rows))
    axes.set_xlabel(f"seconds for {results.scale.tables:,} tables and {results.scale.life_cycles} life cycles")
    handles = [axes.barh(0, 0, color=colour) for colour in (EXTRACTION, BLOCKED, TAIL)]
    names = ["extraction", "source blocked by the sink", "after the last table"]
    axes.legend(handles, names, loc="lower right", frameon=False, fontsize=9)
    return figure


def _label(row: Row) -> str:
    text = f"{row.of('total_s').median:.1f} s"
    return text if row.success == 1.0 else f"{text}, {1 - row.success:.1%} of the records lost"


def _timeline(results: Results) -> Figure:
    rows = [(results.row("upstream"), UPSTREAM), (results.row("ours-4"), OURS)]
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    axes: list[Axes] = list(figure.subplots(2, 1, sharex=True, sharey=True))
    end = max(row.typical.total_s for row, _ in rows)
    for panel, (row, colour) in zip(axes, rows, strict=True):
        typical = row.typical
        moments = [0.0, *(moment for moment, _ in typical.steps), end]
        numbers = [0, *(number for _, number in typical.steps), 0]
        panel.step(moments, numbers, where="post", color=colour, linewidth=1.0)
        panel.fill_between(moments, numbers, step="post", color=colour, alpha=0.25, linewidth=0)
        extracted = typical.total_s - typical.tail_s
        panel.axvline(extracted, color="black", linewidth=0.8, linestyle=(0, (4, 3)))
        panel.axvline(typical.total_s, color="black", linewidth=0.8)
        panel.set_title(
            f"{row.contender.title}: last table extracted after {extracted:.1f} s, all written after "
            f"{typical.total_s:.1f} s",
            fontsize=10,
            loc="left",
        )
        panel.set_ylabel("in flight")
    axes[0].set_xlim(0, end * 1.01)
    axes[0].set_ylim(0, 0.3 + max(row.typical.most_in_flight for row, _ in rows))
    axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1].set_xlabel("seconds")
    return figure
