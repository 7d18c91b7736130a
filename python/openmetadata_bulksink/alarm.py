"""`OM_BULKSINK_KEEP_ALARM=1`: a runner's alarm survives upstream's own (Airflow's `execution_timeout`).

Upstream limits its test connection and its SQL parsers with SIGALRM: it takes the handler's place, sets the one alarm
that a process has, and clears it at the end. A runner's alarm that was set before is gone then, and its limit with it.
Here that alarm goes on: the nearer of the two fires, then the other one, and when upstream is done, the runner's
handler and the rest of its time are put back.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from openmetadata_bulksink import settings
from openmetadata_bulksink.accelerators import StepsAside, recognised
from openmetadata_bulksink.log import log

MODULE = "metadata.utils.timeout"
VARIABLE = "OM_BULKSINK_KEEP_ALARM"

#: `timeout` of 1.11 to 1.13; of 2.0.
_KNOWN = frozenset({"d5bed6e52a82846b", "7117b66d6534df2a"})

#: An alarm whose time has passed meanwhile fires as soon as it can.
_AT_ONCE = 0.001


class _Alarm(NamedTuple):
    """What is set of a process. ends: by the monotonic clock, None where no alarm is set."""

    handler: Any
    ends: float | None
    interval: float


class _Limit:
    """One of upstream's alarms, and what was set before it. Of two that are still to come the nearer one is set; the
    other one is set as soon as that one has fired, whatever its handler does: a runner's may only note the time, and
    upstream's connection tests go on after their own.
    """

    def __init__(self, handler: Callable[..., Any]) -> None:
        self._handler = handler
        self._ends: float | None = None
        #: None while the handler of the earlier one is called, which may change what is set.
        self.earlier: _Alarm | None = _take(handler)

    def start(self, seconds: float) -> None:
        """It ends in so many seconds."""
        self._ends = time.monotonic() + seconds
        self._set()

    def end(self) -> None:
        """What was set before is set again."""
        if self.earlier is not None:
            _put_back(self.earlier)

    def _set(self) -> None:
        ends = self.earlier.ends if self.earlier else None
        if ends is not None and (self._ends is None or ends <= self._ends):
            _fire_at(ends, self._fire_earlier)
        elif self._ends is not None:
            _fire_at(self._ends, self._fire)

    def _fire(self, number: int, frame: Any) -> None:
        self._ends = None
        self._set()
        self._handler(number, frame)

    def _fire_earlier(self, number: int, frame: Any) -> None:
        fired = self.earlier
        if fired is None:
            return
        self.earlier = None
        _put_back(fired._replace(ends=time.monotonic() + fired.interval if fired.interval else None))
        if callable(fired.handler):
            fired.handler(number, frame)
        elif fired.handler == signal.SIG_DFL:
            signal.raise_signal(number)
        self.earlier = _take(self._handler)
        self._set()


class KeepingAlarm:
    """Stands for the module `signal` in upstream's module; all but two functions are that module's own.

    Upstream calls `signal(SIGALRM, handler)`, `alarm(seconds)` and, at the end, `alarm(0)`, on the main thread; it may
    do so within itself.
    """

    def __init__(self) -> None:
        #: The innermost last.
        self._limits: list[_Limit] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def signal(self, number: int, handler: Callable[..., Any]) -> Any:
        """As `signal.signal`; the alarm that was set before is kept."""
        if number != signal.SIGALRM:
            return signal.signal(number, handler)
        before = signal.getsignal(number)
        self._limits.append(_Limit(handler))
        return before

    def alarm(self, seconds: int) -> int:
        """As `signal.alarm`, for the alarm of the innermost `signal`."""
        if not self._limits:
            return signal.alarm(seconds)
        if seconds:
            self._limits[-1].start(seconds)
        else:
            self._limits.pop().end()
        return 0


def _take(handler: Callable[..., Any]) -> _Alarm:
    """What is set now; nothing is afterwards, and `handler` is there."""
    left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
    before = signal.signal(signal.SIGALRM, handler)
    return _Alarm(before, time.monotonic() + left if left else None, interval)


def _fire_at(ends: float, handler: Callable[..., Any]) -> None:
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, max(ends - time.monotonic(), _AT_ONCE))


def _put_back(alarm: _Alarm) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    if alarm.handler is not None:  # a handler that is not Python's cannot be put back
        signal.signal(signal.SIGALRM, alarm.handler)
    if alarm.ends is not None:
        signal.setitimer(signal.ITIMER_REAL, max(alarm.ends - time.monotonic(), _AT_ONCE), alarm.interval)


def keep(module: Any) -> bool:
    """Put it into upstream's module, where the variable asks for it and upstream is as we know it."""
    if not settings.tuning(_only_ours(os.environ)).keep_alarm or not hasattr(signal, "setitimer"):
        return False
    try:
        recognised(_KNOWN, "upstream's alarm", getattr(module, "timeout", None))
    except StepsAside as reason:
        log.warning("%s has no effect: %s", VARIABLE, reason)
        return False
    module.signal = KeepingAlarm()
    return True


def _only_ours(environ: Any) -> dict[str, str]:
    """Other variables of ours are read, and refused, when a sink is made."""
    return {name: value for name, value in environ.items() if name == VARIABLE}
