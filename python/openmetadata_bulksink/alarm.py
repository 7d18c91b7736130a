"""`OM_BULKSINK_KEEP_ALARM=1`: a runner's alarm survives upstream's own (Airflow's `execution_timeout`).

Upstream limits its test connection and its SQL parsers with SIGALRM: it takes the handler's place, sets the one alarm
that a process has, and clears it at the end. A runner's alarm that was set before is gone then, and its limit with it.
Here that alarm goes on: the earlier of the two fires, and when upstream is done, the runner's handler and the rest of
its time are put back.
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


class _Earlier(NamedTuple):
    """What was set before upstream's alarm; ends: by the monotonic clock, None where no alarm was set."""

    handler: Any
    ends: float | None
    interval: float


class KeepingAlarm:
    """Stands for the module `signal` in upstream's module; all but two functions are that module's own.

    Upstream calls `signal(SIGALRM, handler)`, `alarm(seconds)` and, at the end, `alarm(0)`, on the main thread; it may
    do so within itself.
    """

    def __init__(self) -> None:
        #: The innermost last; None where the earlier alarm has been put back already, since it fires first.
        self._earlier: list[_Earlier | None] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(signal, name)

    def signal(self, number: int, handler: Callable[..., Any]) -> Any:
        """As `signal.signal`; the handler of an alarm that was set before is kept."""
        if number != signal.SIGALRM:
            return signal.signal(number, handler)
        left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        before = signal.signal(number, handler)
        self._earlier.append(_Earlier(before, time.monotonic() + left if left else None, interval))
        return before

    def alarm(self, seconds: int) -> int:
        """As `signal.alarm`, for the alarm of the innermost `signal`."""
        if not self._earlier:
            return signal.alarm(seconds)
        if not seconds:
            earlier = self._earlier.pop()
            if earlier is not None:
                _put_back(earlier)
            return 0
        earlier = self._earlier[-1]
        if earlier is not None and earlier.ends is not None and earlier.ends - time.monotonic() <= seconds:
            self._earlier[-1] = None
            _put_back(earlier)
        else:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        return 0


def _put_back(earlier: _Earlier) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    if earlier.handler is not None:  # a handler that is not Python's cannot be put back
        signal.signal(signal.SIGALRM, earlier.handler)
    if earlier.ends is not None:
        signal.setitimer(signal.ITIMER_REAL, max(earlier.ends - time.monotonic(), _AT_ONCE), earlier.interval)


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
