"""What `BulkSink.figures` says of waits: each second once, also while one goes on and where a handler waits within."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.native.conftest import SCHEMA, submit_tables

pytestmark = pytest.mark.wheel


class Enough(Exception):
    """What a handler raises to end a wait."""


@contextmanager
def alarms(handler: Callable[[], None]) -> Iterator[None]:
    """Calls it on this thread every tenth of a second, wherever that stands."""
    before = signal.signal(signal.SIGALRM, lambda *_: handler())
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


WAITS: dict[str, Callable[[Any], object]] = {
    "fence": lambda sink: sink.wait(fqn=f"{SCHEMA}.t0"),
    "drain": lambda sink: sink.drain(),
    "room": lambda sink: submit_tables(sink, 200),
}


@pytest.mark.parametrize("what", WAITS)
def test_a_wait_that_goes_on_counts_until_now(lake: ReferenceServer, make_sink: Callable[..., Any], what: str) -> None:
    sink = make_sink(workers=1, batch_size=10)
    seen: list[tuple[float, float, float]] = []

    def look() -> None:
        if len(seen) == 2:
            return
        before, counted = time.monotonic(), sink.figures()["waited"][what]
        if counted:
            seen.append((before, counted, time.monotonic()))
        if len(seen) == 2:
            raise Enough

    with lake.holding("bulk"):
        submit_tables(sink, 1)
        with alarms(look), pytest.raises(Enough):
            WAITS[what](sink)
    (_, first, asked), (asked_again, second, _) = seen
    assert second - first >= asked_again - asked - 1e-6
    figures = sink.figures()
    assert figures["waited"][what] >= second
    # Over time as in all.
    assert sum(figures["waits"][what]) == pytest.approx(figures["waited"][what])


def test_what_a_handler_waits_in_the_middle_of_a_wait_counts_once(
    lake: ReferenceServer, make_sink: Callable[..., Any]
) -> None:
    sink = make_sink()
    drains: list[float] = []

    def drain() -> None:
        if drains or not sink.figures()["waited"]["fence"]:
            return
        drains.append(time.monotonic())
        with pytest.raises(Exception, match="still pending"):
            sink.drain(0.5)
        drains.append(time.monotonic())
        raise Enough

    begun = time.monotonic()
    with lake.holding("bulk"):
        submit_tables(sink, 1)
        with alarms(drain), pytest.raises(Enough):
            sink.wait(fqn=f"{SCHEMA}.t0")
    waited, passed = sink.figures()["waited"], time.monotonic() - begun
    drained_from, drained_until = drains
    assert 0 < waited["drain"] <= drained_until - drained_from + 1e-6
    assert 0 < waited["fence"] <= passed - waited["drain"]
