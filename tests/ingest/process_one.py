"""A command as the first process of a container: the kernel keeps from it every signal that it does not handle."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.ingest.commands import Ended
from tests.ingest.runs import inherited_variables

_UNSHARE = ("unshare", *(() if os.getuid() == 0 else ("--user", "--map-root-user")))
_WORDS = (*_UNSHARE, "--pid", "--fork", "--mount-proc", "--kill-child")


class ProcessOne:
    """One that runs. Skips the test where this machine makes no such namespace."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        if subprocess.run([*_WORDS, "true"], capture_output=True).returncode != 0:
            pytest.skip("no namespace of processes can be made here")
        self._outside = subprocess.Popen(
            [*_WORDS, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**inherited_variables(), **(variables or {})},
            text=True,
        )

    def signal(self, number: int) -> None:
        """From outside of the container, as its runtime sends it."""
        children = Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children")
        until = time.monotonic() + 60
        while not children.read_text().split() and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(int(children.read_text().split()[0]), number)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._outside.poll() is None

    def wait(self, timeout: float) -> Ended:
        """Until it ends; killed after so many seconds, which is an AssertionError."""
        try:
            output, errors = self._outside.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._outside.kill()
            output, errors = self._outside.communicate()
            raise AssertionError(f"it did not end within {timeout:.0f} s\n{errors[-6_000:]}") from None
        return Ended(self._outside.returncode, output, errors)
