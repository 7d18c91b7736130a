"""When reading ahead pays, and when it ends. Pure: it is told how long statements took and what became of guesses."""

from __future__ import annotations

from collections import deque
from statistics import median

#: A statement that takes less is not worth a connection of its own, in seconds.
_LEAST = 0.002
#: How many statements are looked at, and how many must be there.
_LOOKED_AT, _AT_LEAST = 9, 5

#: Guesses that must have been sent before they are judged.
_JUDGED_FROM = 20

#: How long the source waits for a statement that is on its way, in usual statements and in seconds.
_PATIENCE, _LEAST_PATIENCE = 20, 3.0
#: Statements that did not come back in that time.
_MOST_STUCK = 2

#: How many tables each connection is ahead.
_TABLES_EACH = 3


class Worth:
    """Of one source. connections: how many are granted."""

    def __init__(self, connections: int) -> None:
        self.window = _TABLES_EACH * connections + 1
        self.used = self.unused = 0
        self._stuck = 0
        self._took: deque[float] = deque(maxlen=_LOOKED_AT)
        self._pays = False
        self._no_connection: str | None = None

    def took(self, seconds: float) -> None:
        """A statement of the source's own."""
        self._took.append(seconds)
        if len(self._took) >= _AT_LEAST and median(self._took) >= _LEAST:
            self._pays = True

    @property
    def pays(self) -> bool:
        """Whether statements are slow enough; once they were, they are."""
        return self._pays

    @property
    def patience(self) -> float:
        """Seconds to wait for a statement that is on its way."""
        return max(_LEAST_PATIENCE, _PATIENCE * median(self._took)) if self._took else _LEAST_PATIENCE

    def was_used(self) -> None:
        """An answer that came ahead was given to the source."""
        self.used += 1

    def was_for_nothing(self, count: int = 1) -> None:
        """Statements that were sent and not used."""
        self.unused += count

    def was_stuck(self) -> None:
        """A statement that did not come back while the source had patience."""
        self._stuck += 1
        self.was_for_nothing()

    def all_refused(self) -> None:
        """There is no connection left."""
        self._no_connection = "the database gave it no connection"

    def stood_in_the_way(self) -> None:
        """Upstream got no connection while ours were open."""
        self._no_connection = "upstream needs its connections"

    @property
    def end(self) -> str | None:
        """Why no more is asked ahead; None: it goes on."""
        if self._no_connection is not None:
            return self._no_connection
        if self._stuck >= _MOST_STUCK:
            return "its connections do not answer"
        if self.used + self.unused >= _JUDGED_FROM and self.unused >= self.used:
            return "half of what was asked ahead was not used"
        return None
