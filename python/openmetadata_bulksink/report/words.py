"""How a report speaks: numbers, times, and the causes for which records were sent again."""

from __future__ import annotations

_CAUSES = {
    "not-reached": "the server was not reached",
    "not-sent": "the connection was gone before the request was out",
    "closed": "the server had closed an idle connection",
    "broken": "the connection broke before the answer was complete",
    "no-answer": "no answer within the read time-out",
    "overload": "the server, or something in front of it, asked for less",
    "unavailable": "the server was unavailable",
    "no-endpoint": "the endpoint was not there",
    "unreadable": "the answer could not be read",
    "unbuildable": "no request could be made of a record",
    "too-large": "the request was too large",
    "turned-away": "the token or the address was not accepted",
    "refused": "the request was refused as a whole",
    "rows-overload": "the server had no room for some records",
    "rows-failed": "the server failed on some records",
    "rows-unanswered": "the answer said nothing about some records",
    "missing": "what a record names was not there yet",
    "last-attempt": "the last attempt of records at the end of their time",
}


def cause(name: str) -> str:
    """Words for a cause."""
    if name.startswith("status-"):
        return f"the answer was {name.removeprefix('status-')}"
    return _CAUSES.get(name, name)


def seconds(value: float) -> str:
    """A time, with as many digits as it deserves."""
    if value >= 7200:
        return f"{value / 3600:.1f} h"
    if value >= 600:
        return f"{value / 60:.0f} min"
    if value >= 100:
        return f"{value:.0f} s"
    if value >= 1:
        return f"{value:.1f} s"
    return "0 s" if value == 0 else f"{1000 * value:.0f} ms" if value >= 0.001 else "under 1 ms"


def number(value: float) -> str:
    """A count, or an average."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def share(part: float, whole: float) -> str:
    """Percent."""
    percent = 100 * part / whole if whole > 0 else 0.0
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"


def several(count: float, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"
