"""The ways in which a database is ingested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UPSTREAM = "upstream"
UPSTREAM_THREADS = "upstream, threads: 4"
OURS = "ours"
ONE_BY_ONE = "ours, table by table"
AHEAD, AHEAD_8 = "ours, 4 ahead", "ours, 8 ahead"
ONE_BY_ONE_AHEAD, ONE_BY_ONE_AHEAD_8 = "ours, table by table, 4 ahead", "ours, table by table, 8 ahead"
THREADS, UPSTREAMS_THREADS = "ours, threads: 4", "ours, upstream's threads: 4"
HELPERS_FAIL = "ours, threads: 4, connections fail half way"


@dataclass(frozen=True)
class Way:
    """variables, options: of the process, of the source. loses: its catalogue may differ, since upstream's threads lose
    comments and keys (docs/accelerators.md). once: in the first round only, because it is slow and no bound is on it.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    loses: bool = False
    once: bool = False


_THREADS = {"threads": 4}
_WITHOUT_US = (
    Way(UPSTREAM, {"OM_BULKSINK": "0"}, once=True),
    Way(UPSTREAM_THREADS, {"OM_BULKSINK": "0"}, _THREADS, loses=True, once=True),
)


def _ahead(connections: int) -> dict[str, str]:
    return {"OM_BULKSINK_READ_AHEAD": str(connections)}


def of_postgres(accelerators: Sequence[str]) -> list[Way]:
    """In chunks, and without them. accelerators: the names of all."""
    without = {"OM_BULKSINK_ACCELERATE": ",".join(name for name in accelerators if name != "postgres_bulk")}
    return [
        *_WITHOUT_US,
        Way(OURS, _ahead(0)),
        Way(ONE_BY_ONE, {**without, **_ahead(0)}),
        Way(ONE_BY_ONE_AHEAD, {**without, **_ahead(4)}),
        Way(ONE_BY_ONE_AHEAD_8, {**without, **_ahead(8)}),
    ]


def of_mariadb() -> list[Way]:
    """With connections that are granted by number, and by `threads: 4`."""
    return [
        *_WITHOUT_US,
        Way(OURS, _ahead(0)),
        Way(AHEAD, _ahead(4)),
        Way(AHEAD_8, _ahead(8)),
        Way(UPSTREAMS_THREADS, _ahead(0), _THREADS, loses=True),
        Way(THREADS, {}, _THREADS),
        Way(HELPERS_FAIL, {}, _THREADS),
    ]


def of_redshift() -> list[Way]:
    """It has few statements, for whole schemas: upstream's threads overlap them."""
    return [*_WITHOUT_US, Way(OURS), Way(THREADS, {}, _THREADS)]


def without_latency() -> list[Way]:
    """Upstream and ours."""
    return [Way(UPSTREAM, {"OM_BULKSINK": "0"}), Way(OURS)]
