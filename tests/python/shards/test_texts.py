"""What people are shown: the plan as a table, how far the shards are, why a connector cannot be run in shards."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink.shard import commands, display, listing, workflow
from openmetadata_bulksink.shard.packing import Unit, pack
from openmetadata_bulksink.shard.plan import Plan
from openmetadata_bulksink.shard.workflow import Progress


def test_the_table_says_what_goes_where_what_it_brings_and_what_does_not_pay() -> None:
    units = [Unit("sales", "large", 90), Unit("sales", "small", 9), Unit("hr", "other", 9)]
    shards = tuple(map(tuple, pack(units, 4)))
    plan = Plan("run", 0.0, "print", "svc", ("sales", "hr"), shards, start_up=34.4)
    lines = commands.table_of(plan).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["shard", "databases", "schemas", "tables"],
        ["0", "1", "1", "90"],
        ["1", "1", "1", "9"],
        ["2", "1", "1", "9"],
        ["3", "0", "0", "0"],
    ]
    text = "\n".join(lines[5:])
    assert "The longest shard is 82 % of the whole: at best the work takes 0.82 of one run." in text
    assert "sales.large (90 tables) is larger than an even shard and stays whole." in text
    assert "1 shards are empty: fewer would do." in text
    assert "Start-up took 34 s" in text


class Screen(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Clock:
    """Stands for the module `time` in the display."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(display, "time", made)
    return made


def shards() -> list[Any]:
    """One that has ended, and one that runs."""
    ended = SimpleNamespace(number=0, expected=40, child=None, result=object(), progress=lambda: Progress(40, 1))
    runs = SimpleNamespace(number=1, expected=60, child=object(), result=None, progress=lambda: Progress(10, 2))
    return [ended, runs]


def watched(clock: Clock, monkeypatch: pytest.MonkeyPatch, *, ticks: int, terminal: bool) -> Screen:
    """What somebody sees who looks at it every five seconds."""
    screen = Screen(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    shown = display.Display(2, 100)
    for _ in range(ticks):
        clock.now += 5
        shown.tick(shards())
    shown.end()
    return screen


def test_a_terminal_shows_one_line_for_all_shards_that_is_drawn_over(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = watched(clock, monkeypatch, ticks=2, terminal=True)
    # 50 of 100 tables took 10 s.
    drawn = "1 of 2 shards done, 50 of 100 tables, 3 failures, 10 s left [1: 10/60]"
    assert screen.getvalue().split("\r\x1b[K")[2] == drawn + "\n"
    assert "\n" not in screen.getvalue()[:-1]


def test_a_log_gets_a_line_now_and_then(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = watched(clock, monkeypatch, ticks=8, terminal=False)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("1 of 2 shards done, 50 of 100 tables, 3 failures, ") for line in lines)


def test_a_connector_that_cannot_list_is_refused_by_its_name_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class ApiSource:
        """Lists its databases while it runs."""

    let_go: list[Any] = []
    made = SimpleNamespace(source=ApiSource())
    monkeypatch.setattr(workflow, "create", lambda _: made)
    monkeypatch.setattr(workflow, "close_unstarted", let_go.append)
    config = {
        "source": {
            "type": "api",
            "serviceName": "svc",
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        },
        "sink": {"type": "metadata-rest"},
    }
    with pytest.raises(
        listing.Refused, match=r"the connector ApiSource does not stand on upstream's CommonDbSourceService"
    ):
        listing.list_source(config)
    assert let_go == [made]


def test_a_source_that_breaks_off_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class CommonDbSourceService:
        """Stands for upstream's; may not list its databases."""

        context = SimpleNamespace(get=lambda: SimpleNamespace(upsert=lambda *_: None))

        def get_database_names(self) -> list[str]:
            raise PermissionError("permission denied for pg_database\nand more")

    let_go: list[Any] = []
    CommonDbSourceService.__module__ = "metadata.ingestion.source.database.common_db_source"
    made = SimpleNamespace(source=CommonDbSourceService())
    monkeypatch.setattr(workflow, "create", lambda _: made)
    monkeypatch.setattr(workflow, "close_unstarted", let_go.append)
    config = {
        "source": {"type": "x", "serviceName": "svc", "sourceConfig": {"config": {"type": "DatabaseMetadata"}}},
        "sink": {"type": "metadata-rest"},
    }
    with pytest.raises(
        listing.Refused, match=r"could not be listed: PermissionError: permission denied for pg_database$"
    ):
        listing.list_source(config)
    assert let_go == [made]
