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
    assert 20 < signal.getitimer(signal.ITIMER_REAL)[0] < 30
    with pytest.raises(UpstreamsLimit):
        signal.raise_signal(signal.SIGALRM)
    alarm.alarm(0)
    assert signal.getsignal(signal.SIGALRM) is runners
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 50


def test_a_time_that_has_passed_meanwhile_fires_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0])
    monkeypatch.setattr("openmetadata_bulksink.alarm.time", clock)
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 50)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(40)
    passed[0] = 60.0
    with pytest.raises(RunnersLimit):
        _end_and_go_on(alarm)


def _end_and_go_on(alarm: KeepingAlarm) -> None:
    alarm.alarm(0)
    time.sleep(30)


@pytest.mark.parametrize("interval", [0.0, 0.3])
def test_upstreams_alarm_fires_after_a_runners_whose_handler_returns(interval: float) -> None:
    noted = []
    signal.signal(signal.SIGALRM, lambda *_: noted.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.2, interval)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(1)
    with pytest.raises(UpstreamsLimit):
        _wait()
    assert bool(noted[1:]) is bool(interval)
    alarm.alarm(0)
    assert signal.getitimer(signal.ITIMER_REAL)[1] == pytest.approx(interval)


def test_a_runners_alarm_fires_after_one_of_upstreams_that_upstream_swallows() -> None:
    """A step of its connection test that takes too long is a failed step; the next one may hang for ever."""
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 1.3)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(1)
    with pytest.raises(UpstreamsLimit):
        _wait()
    with pytest.raises(RunnersLimit):
        _wait()
    alarm.alarm(0)
    assert signal.getsignal(signal.SIGALRM) is runners
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_a_runners_handler_sets_anew_is_kept() -> None:
    signal.signal(signal.SIGALRM, lambda *_: _set_anew())
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(1)
    with pytest.raises(UpstreamsLimit):
        _wait()
    alarm.alarm(0)
    assert signal.getsignal(signal.SIGALRM) is runners
    assert 40 < signal.getitimer(signal.ITIMER_REAL)[0] < 50


def test_a_limit_within_another_passes_on_what_a_runner_noted() -> None:
    noted = []
    signal.signal(signal.SIGALRM, lambda *_: noted.append("runner"))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    alarm = KeepingAlarm()
    alarm.signal(signal.SIGALRM, upstreams)
    alarm.alarm(1)
    alarm.signal(signal.SIGALRM, lambda *_: noted.append("inner"))
    alarm.alarm(30)
    with pytest.raises(UpstreamsLimit):
        _wait()
    alarm.alarm(0)
    alarm.alarm(0)
    assert noted == ["runner"]


def _set_anew() -> None:
    signal.signal(signal.SIGALRM, runners)
    signal.setitimer(signal.ITIMER_REAL, 50)


def _wait() -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        time.sleep(0.05)


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
