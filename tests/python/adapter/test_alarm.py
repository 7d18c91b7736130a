"""Upstream's alarm within a runner's: the earlier fires, and afterwards everything is as it was."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from types import FrameType, SimpleNamespace

import pytest

from openmetadata_bulksink.alarm import KeepingAlarm, keep


class RunnersLimit(Exception):
    """What the runner's handler raises."""


class UpstreamsLimit(Exception):
    """What upstream's handler raises."""


def runners(_number: int, _frame: FrameType | None) -> None:
    raise RunnersLimit


def upstreams(_number: int, _frame: FrameType | None) -> None:
    raise UpstreamsLimit


@pytest.fixture(autouse=True)
def _no_alarm_is_left() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def limited(alarm: KeepingAlarm, seconds: int, work: float) -> None:
    """As upstream limits a function."""
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(seconds)
    try:
        time.sleep(work)
    finally:
        alarm.alarm(0)


def test_the_runners_alarm_goes_on_behind_upstreams() -> None:
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 50, 7)
    limited(KeepingAlarm(), 5, 0.2)
    assert signal.getsignal(signal.SIGALRM) is runners
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    assert 40 < left < 49.85
    assert interval == pytest.approx(7)


def test_the_runners_alarm_fires_within_upstreams_where_it_is_earlier() -> None:
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(RunnersLimit):
        limited(KeepingAlarm(), 60, 30)
    assert signal.getsignal(signal.SIGALRM) is runners
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_upstreams_alarm_fires_where_it_is_earlier_and_the_runners_goes_on() -> None:
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 60)
    with pytest.raises(UpstreamsLimit):
        limited(KeepingAlarm(), 1, 30)
    assert signal.getsignal(signal.SIGALRM) is runners
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 30


def test_without_a_runner_nothing_is_left() -> None:
    before = signal.getsignal(signal.SIGALRM)
    limited(KeepingAlarm(), 5, 0)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_one_limit_within_another() -> None:
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 60)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(30)
    limited(alarm, 5, 0.1)
    assert signal.getsignal(signal.SIGALRM) is upstreams
    assert 20 < signal.getitimer(signal.ITIMER_REAL)[0] < 30
    alarm.alarm(0)
    assert signal.getsignal(signal.SIGALRM) is runners
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 50


def test_a_time_that_has_passed_meanwhile_fires_at_once() -> None:
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 1.1)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(1)
    with pytest.raises(UpstreamsLimit):
        time.sleep(30)
    time.sleep(0.3)
    with pytest.raises(RunnersLimit):
        _end_and_go_on(alarm)


def _end_and_go_on(alarm: KeepingAlarm) -> None:
    alarm.alarm(0)
    time.sleep(30)


def test_everything_else_is_the_modules_own() -> None:
    alarm = KeepingAlarm()
    assert alarm.SIGALRM is signal.SIGALRM
    assert alarm.getsignal is signal.getsignal


def test_only_a_function_that_is_known_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(timeout=limited, signal=signal)
    assert not keep(module)
    monkeypatch.setenv("OM_BULKSINK_KEEP_ALARM", "1")
    assert not keep(module)
    assert module.signal is signal
