"""Command lines of ours and of upstream's in an environment, without half a minute of imports for each of them.

One process imports upstream and forks for each command, so that each has a process of its own, as a user's has.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.ingest.runs import inherited_variables

CHILD = Path(__file__).resolve().parent / "commands_child.py"


@dataclass(frozen=True)
class Ended:
    """A command that has ended. exit_code: minus the signal's number where one killed it."""

    exit_code: int
    output: str
    errors: str

    def require_success(self) -> Ended:
        """Itself; AssertionError with the end of what it said otherwise."""
        if self.exit_code != 0:
            raise AssertionError(f"exit code {self.exit_code}\n{self.output[-2_000:]}\n{self.errors[-6_000:]}")
        return self


class Command:
    """A command that runs."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self._folder = folder

    def wait(self, timeout: float = 600.0) -> Ended:
        """Until it ends."""
        until = time.monotonic() + timeout
        status = self._folder / "status"
        while not status.exists():
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"the command did not end within {timeout:.0f} s\n{self.errors()[-6_000:]}")
            time.sleep(0.05)
        output = (self._folder / "output").read_text(errors="replace")
        return Ended(int(status.read_text()), output, self.errors())

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return not (self._folder / "status").exists()

    def errors(self) -> str:
        """What it has said on standard error so far."""
        return (self._folder / "errors").read_text(errors="replace")

    def kill(self, number: int = signal.SIGKILL, *, children: bool = False) -> None:
        """A signal for it; children: for its own children instead."""
        pids = _children_of(self.pid) if children else [self.pid]
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class Commands:
    """The process of an environment that runs commands; each may name variables of its own."""

    def __init__(
        self, environment: Path, modules: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        """modules: imported before the first command. variables: there from the start of the process on."""
        self._folder = tempfile.TemporaryDirectory(prefix="bulksink-commands-")
        self._number = 0
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [environment / "bin" / "python", "-P", CHILD, *modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder.name,
                env={**inherited_variables(), "PYTHONHASHSEED": "0", **(variables or {})},
                text=True,
            )

    def start(
        self, arguments: Sequence[str], *, folder: Path | None = None, variables: Mapping[str, str] | None = None
    ) -> Command:
        """`openmetadata-bulksink ARGUMENTS`, or `metadata ARGUMENTS` where the first is `metadata`.

        variables: COMMAND_ALARM sets a runner's alarm to so many seconds, which raises TimeoutError.
        """
        self._number += 1
        kept = Path(self._folder.name) / f"command-{self._number}"
        kept.mkdir()
        for name in ("output", "errors"):
            (kept / name).touch()
        job = {
            "arguments": list(arguments),
            "folder": str(folder or kept),
            "kept": str(kept),
            "variables": dict(variables or {}),
        }
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("the process has no pipes")
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the process of the commands ended\n{self._log.read_text()[-4_000:]}")
        return Command(int(line), kept)

    def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
        timeout: float = 600.0,
    ) -> Ended:
        """One command from start to end."""
        return self.start(arguments, folder=folder, variables=variables).wait(timeout)

    def close(self) -> None:
        """Ends the process, not what it forked."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def __enter__(self) -> Commands:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
