"""The drawings of the page: plain SVG in the colours of `style.css`, made when the page is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from openmetadata_bulksink.report import words
from openmetadata_bulksink.report.figures import Line

#: The drawing's own units; the page stretches it.
_WIDTH, _LEFT, _RIGHT = 960.0, 56.0, 12.0
_PANEL, _GAP, _TOP, _AXIS = 92.0, 34.0, 24.0, 26.0

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 172800)

#: What the source's thread waited for, as it stands in the timeline: name, colour.
WAITS = (("room", "room"), ("answer", "answer"), ("fence", "fence"), ("drain", "drain"))


def timeline(line: Line, stalls: Sequence[tuple[float, float]], workers: int) -> str:
    """Three panels over one axis of time: records taken, requests in flight, waits of the source's thread."""
    count = max(len(line.taken), len(line.in_flight), 1)
    end = count * line.width
    rates = [amount / line.width for amount in line.taken]
    panels = (
        ("records taken a second", rates, max([*rates, 1.0])),
        (f"requests in flight (at most {workers})", line.in_flight, max([*line.in_flight, float(workers)])),
        ("share of the time in which the source was held up", None, 1.0),
    )
    height = _TOP + len(panels) * _PANEL + (len(panels) - 1) * _GAP + _AXIS
    parts = []
    for number, (title, values, most) in enumerate(panels):
        top = _TOP + number * (_PANEL + _GAP)
        parts.append(_frame(top, title, most))
        parts += [_band(top, start, until, end) for start, until in stalls]
        if values is not None:
            colour = "taken" if number == 0 else "flight"
            parts.append(_area(values, [0.0] * len(values), most, top, count, colour))
        else:
            parts += _stack([line.waits.get(name, []) for name, _ in WAITS], top, count)
        if number == 1:
            parts.append(_marks(line.not_served, top, count))
    parts.append(_axis(end, height - _AXIS))
    return _svg(height, "Records taken, requests in flight, and waits over the time of the run", parts)


def bar(parts: Sequence[tuple[str, str, float]]) -> str:
    """One bar made of parts: (title, colour, amount)."""
    whole = sum(amount for _, _, amount in parts) or 1.0
    drawn, left = [], 0.0
    for title, colour, amount in parts:
        width = _WIDTH * amount / whole
        if width > 0:
            drawn.append(
                f'<rect x="{left:.1f}" y="0" width="{max(0.5, width - 2):.1f}" height="30" rx="3" '
                f'style="fill:var(--{colour})"><title>{escape(title)}</title></rect>'
            )
        left += width
    return _svg(30.0, "Where the time of the source's thread went", drawn, kind="bar")


def range_bar(p50: float, p95: float, longest: float) -> str:
    """A request's time in a table: half of the requests took the dark bar at most, 95 % also the light one."""
    scale = 160.0 / longest if longest > 0 else 0.0
    return (
        '<svg viewBox="0 0 160 10" class="range" role="img" aria-label="p50 and p95">'
        f'<rect x="0" y="0" width="{min(160.0, scale * p95):.1f}" height="10" rx="2" '
        'style="fill:var(--client);opacity:.35"/>'
        f'<rect x="0" y="0" width="{min(160.0, scale * p50):.1f}" height="10" rx="2" style="fill:var(--client)"/></svg>'
    )


def _svg(height: float, label: str, parts: Sequence[str], kind: str = "chart") -> str:
    inside = "".join(parts)
    stretched = ' preserveAspectRatio="none"' if kind == "bar" else ""
    return (
        f'<svg class="{kind}" viewBox="0 0 {_WIDTH:.0f} {height:.0f}"{stretched} role="img" '
        f'aria-label="{escape(label)}" xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
    )


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share


def _frame(top: float, title: str, most: float) -> str:
    bottom, middle = top + _PANEL, top + _PANEL / 2
    label = "100 %" if most == 1.0 and "share" in title else words.number(most)
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" style="stroke:var(--rule)"/>'
        for y in (top, middle, bottom)
    )
    return (
        f'<text class="title" x="{_LEFT}" y="{top - 8:.1f}">{escape(title)}</text>{grid}'
        f'<text x="{_LEFT - 6}" y="{top + 4:.1f}" text-anchor="end">{label}</text>'
        f'<text x="{_LEFT - 6}" y="{bottom + 4:.1f}" text-anchor="end">0</text>'
    )


def _area(upper: Sequence[float], lower: Sequence[float], most: float, top: float, count: int, colour: str) -> str:
    """Steps, one for each bucket, between two curves."""
    bottom = top + _PANEL

    def y(value: float) -> float:
        return bottom - _PANEL * min(1.0, value / most)

    there = " ".join(
        f"{_x(number / count):.1f},{y(value):.1f} {_x((number + 1) / count):.1f},{y(value):.1f}"
        for number, value in enumerate(upper)
    )
    back = " ".join(
        f"{_x((number + 1) / count):.1f},{y(lower[number]):.1f} {_x(number / count):.1f},{y(lower[number]):.1f}"
        for number in range(len(upper) - 1, -1, -1)
    )
    return f'<polygon points="{there} {back}" style="fill:var(--{colour})"/>' if there else ""


def _stack(series: Sequence[Sequence[float]], top: float, count: int) -> list[str]:
    lower = [0.0] * count
    drawn = []
    for (_, colour), values in zip(WAITS, series, strict=True):
        if not any(values):
            continue
        padded = [*values, *([0.0] * (count - len(values)))]
        upper = [below + value for below, value in zip(lower, padded, strict=False)]
        drawn.append(_area(upper, lower, 1.0, top, count, colour))
        lower = upper
    return drawn


def _band(top: float, start: float, until: float, end: float) -> str:
    left, right = _x(min(1.0, start / end)), _x(min(1.0, until / end))
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(1.0, right - left):.1f}" height="{_PANEL}" '
        f'style="fill:var(--stall)"><title>nothing served</title></rect>'
    )


def _marks(not_served: Sequence[float], top: float, count: int) -> str:
    """A tick above the panel for each bucket in which requests were not served."""
    return "".join(
        f'<rect x="{_x(number / count):.1f}" y="{top - 5:.1f}" width="{max(2.0, 880 / count - 1):.1f}" height="4" '
        f'style="fill:var(--bad)"><title>{words.several(amount, "request")} not served</title></rect>'
        for number, amount in enumerate(not_served)
        if amount >= 0.5
    )


def _axis(end: float, y: float) -> str:
    step = next((step for step in _STEPS if end / step <= 9), _STEPS[-1])
    ticks = range(math.floor(end / step) + 1)
    return "".join(
        f'<text x="{_x(number * step / end):.1f}" y="{y + 16:.1f}" text-anchor="{_anchor(number * step / end)}">'
        f"{_clock(number * step, step)}</text>"
        for number in ticks
    )


def _anchor(share: float) -> str:
    return "end" if share > 0.97 else "middle"


def _clock(moment: float, step: float) -> str:
    if step >= 3600:
        return f"{moment / 3600:g} h"
    return f"{moment / 60:g} min" if step >= 60 else f"{moment:.3g} s"
