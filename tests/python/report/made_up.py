"""Figures of runs that nobody ran: a healthy one, and what makes it another one."""

from __future__ import annotations

import dataclasses
from typing import Any

from openmetadata_bulksink.report.figures import (
    About,
    Again,
    Counts,
    Failures,
    Figures,
    Lane,
    Line,
    Schema,
    Spent,
    Statements,
)

ABOUT = About(
    ours="1.0",
    upstream="2.0.7.0",
    server="http://om:8585/api/v1",
    server_version="2.0.7",
    workers=4,
    batch_size=100,
    synchronous=False,
    accelerators=("version", "name_walk"),
    read_ahead=0,
)


def lane(collection: str = "tables", **other: Any) -> Lane:
    """A collection whose requests are full and quick."""
    usual: dict[str, Any] = {
        "collection": collection,
        "life_cycles": False,
        "requests": 100,
        "rows": 10_000,
        "not_served": 0,
        "seconds": 12.0,
        "p50": 0.11,
        "p95": 0.2,
        "longest": 0.4,
    }
    return Lane(**{**usual, **other})


def line(buckets: int = 240, width: float = 0.25) -> Line:
    """Records at an even rate, and one request and a half in flight."""
    none = [0.0] * buckets
    return Line(
        width=width,
        taken=[41.7] * buckets,
        in_flight=[1.5] * buckets,
        served=[0.4] * buckets,
        not_served=none,
        waits=dict.fromkeys(("room", "answer", "fence", "drain", "elsewhere"), none),
    )


def healthy(**other: Any) -> Figures:
    """A minute in which the source computed, and 10,004 entities were written."""
    usual: dict[str, Any] = {
        "about": ABOUT,
        "started": "2026-11-29T00:00:00+00:00",
        "ending": "in order",
        "counts": Counts(entities=10_004, requests=105, most_in_flight=3, limit=4),
        "spent": Spent(wall=60.0, database=6.0, computed=52.0, drain=0.3),
        "statements": Statements(2_410, 6.5),
        "line": line(),
        "processor": 0.4,
        "lanes": (lane(), lane("databaseSchemas", requests=1, rows=3, seconds=0.1)),
        "schemas": (Schema("svc.db.shop", 58.0, 0.0, 10_000),),
    }
    return Figures(**{**usual, **other})


def spent(**parts: float) -> Spent:
    """A minute, of which these parts; the source computed for the rest."""
    return dataclasses.replace(Spent(wall=60.0, computed=60.0 - sum(parts.values())), **parts)


def lost(count: int, reason: str = "refused: its name is too long", names: int = 20) -> dict[str, Any]:
    """What a run has that lost so many tables."""
    group = Failures(reason, count, tuple(f"tables svc.db.shop.t{number}" for number in range(min(count, names))))
    return {"counts": Counts(entities=10_000, lost=count, requests=105, most_in_flight=3), "failures": (group,)}


def outage(start: float, end: float, cause: str = "unavailable") -> dict[str, Any]:
    """What a run has whose server served nothing for a while."""
    return {"stalls": ((start, end),), "again": (Again(cause, 12, 1_200),)}
