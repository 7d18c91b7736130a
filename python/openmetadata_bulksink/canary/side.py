"""One sink at work, seen from outside: a fresh process that runs one workflow after another, each in a fork of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from openmetadata_bulksink import settings
from openmetadata_bulksink.canary.expected import Sent

#: Settings that name a file of the user's: what the canary loses on purpose is nothing to keep there.
_FILES = frozenset({f"{settings.PREFIX}_DEAD_LETTERS", f"{settings.PREFIX}_REPORT"})

#: What a side's process is started with, by the sink's name.
SINKS: dict[str, dict[str, str]] = {"upstream": {settings.PREFIX: "0"}, "ours": {settings.PREFIX: "1"}}


@contextlib.contextmanager
def both_sides() -> Iterator[dict[str, Side]]:
    """The processes of both sinks, by the sink's name. They end with the block."""
    made: dict[str, Side] = {}
    try:
        for sink in SINKS:
            made[sink] = Side(sink)
        yield made
    finally:
        for side in made.values():
            side.kill()


class SideFailed(Exception):
    """A side has no answer; the text says why, and is not masked."""


@dataclass(frozen=True)
class Ran:
    """One workflow that has ended.

    why: what ended it badly, or nothing. native: whether our sink wrote. failures: name and text of what the workflow
    counts as lost.
    """

    why: str
    seconds: float = 0.0
    native: bool = False
    sent: list[Sent] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


class Side:
    """The process of one sink. The secrets of a workflow reach it on a pipe, never in its arguments."""

    def __init__(self, sink: str) -> None:
        """sink: a key of `SINKS`. Returns at once; the import of upstream goes on."""
        reader, writer = os.pipe()
        self._answers = os.fdopen(reader, encoding="utf-8")
        self._ready = False
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `kill`
        try:
            # A session of its own: Ctrl-C is for the command, which ends its sides itself.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "openmetadata_bulksink.canary.side_child", str(writer)],
                stdin=subprocess.PIPE,
                stdout=self._printed,
                stderr=self._printed,
                pass_fds=[writer],
                env={name: value for name, value in {**os.environ, **SINKS[sink]}.items() if name not in _FILES},
                start_new_session=True,
                text=True,
            )
        finally:
            os.close(writer)

    def run(self, config: Mapping[str, Any]) -> Ran:
        """One workflow to its end. Raises SideFailed."""
        if not self._ready:
            self._answer()
            self._ready = True
        if self._process.stdin is None:
            raise SideFailed("its process has no input")
        try:
            self._process.stdin.write(json.dumps(config) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise SideFailed(self._ended()) from None
        return Ran(**self._answer())

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise SideFailed(self._ended())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _ended(self) -> str:
        status = self._process.wait()
        self._printed.seek(0)
        lines = self._printed.read().decode(errors="replace").strip().splitlines()
        return f"a sink's process ended with status {status}" + (f": {lines[-1]}" if lines else "")

    def kill(self) -> None:
        """Ends the process and what it has forked, at once; once more does no harm. Afterwards nothing of it sends a
        request.
        """
        if self._answers.closed:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.read()  # ends when nobody holds the other end any more: its fork has ended, too
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._answers.close()
        self._printed.close()
