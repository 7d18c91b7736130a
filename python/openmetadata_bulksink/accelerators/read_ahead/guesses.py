"""Guesses on their way from a connection of ours to the source: who asks, who waits, who has asked in vain.

A guess is asked once: by a connection of ours, or, where none has begun, by the source itself in its turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from openmetadata_bulksink.accelerators.read_ahead.templates import Place, Quoting, Row, Step, filled
from openmetadata_bulksink.accelerators.read_ahead.texts import Key, Statement, key_of


class State(Enum):
    """Of a guess."""

    WAITING = "nobody has asked"
    SENT = "on its way"
    ANSWERED = "the rows are here"
    OVER = "used, failed, or not wanted any more"


class Guess:
    """A statement that the source is expected to send."""

    def __init__(self, statement: Statement, key: Key) -> None:
        self.statement, self.key = statement, key
        self.state = State.WAITING
        self.was_sent = False
        self.description: Any = None
        self.rows: Sequence[Row] = ()
        self.done = threading.Event()


class Job:
    """What is asked ahead for one table, in the order of its steps."""

    def __init__(self, place: Place, steps: list[Step]) -> None:
        self.place, self.steps = place, steps
        self.guesses: dict[int, Guess] = {}
        self.answers: dict[int, Sequence[Row]] = {}
        self.is_over = False


class Guesses:
    """Those of one source."""

    def __init__(self, quoting: Quoting) -> None:
        self._quoting = quoting
        self._lock = threading.Lock()
        self._by_key: dict[Key, deque[Guess]] = {}

    def announce(self, job: Job) -> None:
        """Make guesses of the steps whose answers are there; the source finds them from now on."""
        with self._lock:
            if job.is_over:
                return
            for step in job.steps:
                if step.number in job.guesses or not step.needs <= job.answers.keys():
                    continue
                statement = filled(step, job.place, self._quoting, job.answers)
                key = None if statement is None else key_of(statement)
                if statement is not None and key is not None:
                    guess = job.guesses[step.number] = Guess(statement, key)
                    self._by_key.setdefault(key, deque()).append(guess)

    # --- the source's thread ---

    def take(self, key: Key) -> Guess | None:
        """The guess for a statement that is sent now, if a connection of ours has begun with it; None: the source asks
        by itself.
        """
        with self._lock:
            waiting = self._by_key.get(key)
            if not waiting:
                return None
            guess = waiting.popleft()
            if not waiting:
                del self._by_key[key]
            if guess.state is State.WAITING:
                guess.state = State.OVER
            return guess if guess.state in (State.SENT, State.ANSWERED) else None

    def wait(self, guess: Guess, patience: float) -> bool:
        """Whether the rows are here, or came in so many seconds."""
        came = guess.done.wait(patience)
        with self._lock:
            is_here = guess.state is State.ANSWERED
            guess.state = State.OVER
        return came and is_here

    def is_announced(self, key: Key) -> bool:
        """Whether somebody has guessed this statement."""
        return key in self._by_key

    def drop(self, jobs: Iterable[Job]) -> int:
        """Forget what was guessed for tables; how much of it was sent for nothing."""
        unused = 0
        with self._lock:
            for job in jobs:
                job.is_over = True
                for guess in job.guesses.values():
                    if guess.state is not State.OVER:
                        unused += guess.was_sent
                        guess.state = State.OVER
                    self._forget(guess)
        return unused

    def _forget(self, guess: Guess) -> None:
        waiting = self._by_key.get(guess.key)
        if waiting and guess in waiting:
            waiting.remove(guess)
            if not waiting:
                del self._by_key[guess.key]

    # --- connections of ours ---

    def begin(self, guess: Guess) -> bool:
        """Whether it is still to be asked; it is on its way then."""
        with self._lock:
            if guess.state is not State.WAITING:
                return False
            guess.state, guess.was_sent = State.SENT, True
            return True

    def answered(self, job: Job, step: int, rows: Sequence[Row], description: Any) -> None:
        """The rows for a step of a table. What they make possible is announced before the source hears of them."""
        guess = job.guesses[step]
        job.answers[step] = guess.rows = rows
        guess.description = description
        self.announce(job)
        with self._lock:
            if guess.state is State.SENT:
                guess.state = State.ANSWERED
        guess.done.set()

    def failed(self, guess: Guess) -> None:
        """An error, or too many rows: the source asks by itself."""
        guess.done.set()
