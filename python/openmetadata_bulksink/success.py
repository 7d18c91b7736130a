"""The success percentage of a sink with failures (docs/deviations.md, *Counting*).

Upstream rounds it to two places, so that one lost entity of 20,000 is 100 %, and the run a success. Sources take the
last successful run as the point from which they go on: what was lost in it would never be read again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

#: The most that a sink with a failure reports.
_MOST_WITH_FAILURES = 99.99


def at_most(percentage: float, *, failed: bool) -> float:
    """What upstream has rounded, as a sink reports it."""
    return min(percentage, _MOST_WITH_FAILURES) if failed else percentage


def never_whole_with_failures(status: Any) -> None:
    """Let a status of upstream's that would be whole in spite of failures count so from now on. It stays the object
    that others may hold, and all others stay of upstream's class.
    """
    if status.failures and status.calculate_success() > _MOST_WITH_FAILURES:
        cls: Any = type(status)
        status.__class__ = _counting(cls)


@cache
def _counting(cls: Any) -> Any:
    def calculate_success(self: Any) -> float:
        return at_most(cls.calculate_success(self), failed=bool(self.failures))

    def as_upstreams(self: Any) -> Any:
        made = cls.model_construct()
        made.__setstate__(self.__getstate__())
        return made

    def equal(self: Any, other: object) -> Any:
        return cls.__eq__(as_upstreams(self), as_upstreams(other) if type(other) is type(self) else other)

    def reduced(self: Any, _: Any) -> Any:
        return cls.model_construct, (), self.__getstate__()

    members = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "calculate_success": calculate_success,
        "__eq__": equal,
        "__hash__": cls.__hash__,
        "__reduce_ex__": reduced,  # another process has no class of this name but upstream's
    }
    return type(cls)(cls.__name__, (cls,), members)
