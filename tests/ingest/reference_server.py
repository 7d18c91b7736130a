"""Starts the reference server's program and talks to its control port (tests/server/README.md describes both)."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.ingest.stopped import StoppedAtTheEnd

# Any text in the form of a JSON web token; the server is started with it.
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJpbmdlc3Rpb24tYm90In0.c2lnbmF0dXJl"

#: In milliseconds: longer than any test.
AN_HOUR = 3_600_000
#: Seconds after which something that never happens is given up; anything here takes a hundredth of it.
PATIENCE = 240.0

State = dict[str, dict[str, dict[str, Any]]]

# Control requests never go through a proxy of the machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerFailed(Exception):
    """The program did not start, or its control port refused something."""


class ReferenceServer(StoppedAtTheEnd):
    """One running server; ends with the block, or with this process.

    profile: the server's line, "1.11" to "2.0". latency: a latency model as the control port takes it.
    """

    def __init__(
        self,
        program: Path,
        *,
        profile: str = "2.0",
        latency: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.token = TOKEN
        command = [str(program), "--profile", profile, "--token", self.token, "--exit-with-stdin", *arguments]
        if latency is not None:
            command += ["--latency", json.dumps(latency)]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        greeting = self._greeting()
        self.url: str = greeting["url"]
        self.control: str = greeting["control"]

    def _greeting(self) -> dict[str, Any]:
        stdout = self._process.stdout
        ready = stdout is not None and select.select([stdout], [], [], 20)[0]
        line = stdout.readline() if ready and stdout is not None else ""
        try:
            greeting: dict[str, Any] = json.loads(line)
        except ValueError:
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            complaint = self._errors.read().decode(errors="replace")[-2_000:]
            raise ServerFailed(f"the reference server did not start: {line!r}\n{complaint}") from None
        return greeting

    def ask(self, method: str, path: str, body: object = None, *, timeout: float = 60.0) -> Any:
        """One request to the control port; its JSON answer, or None where it has none."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.control + path, data=data, method=method, headers=headers)
        try:
            with _OPENER.open(request, timeout=timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise ServerFailed(f"{method} {path}: {error.code} {said}") from None
        return json.loads(text) if text else None

    def state(self, *, normalized: bool = True) -> State:
        """All entities, by collection and FQN; normalized: without what differs between any two runs."""
        state: State = self.ask("GET", "/state?normalized=1" if normalized else "/state", timeout=300)
        return state

    def summary(self) -> dict[str, Any]:
        """Counts of requests, rows, connections, unknown routes, faults, order violations."""
        summary: dict[str, Any] = self.ask("GET", "/summary")
        return summary

    def requests(self, *, since: int = 0, bodies: bool = False) -> list[dict[str, Any]]:
        """The log of requests, one dictionary each."""
        query = urllib.parse.urlencode({"since": since, **({"bodies": 1} if bodies else {})})
        answer = self.ask("GET", f"/requests?{query}", timeout=300)
        log: list[dict[str, Any]] = answer["requests"] if isinstance(answer, dict) else answer
        return log

    def violations(self) -> list[Any]:
        """What the order checker has seen."""
        answer = self.ask("GET", "/violations")
        found: list[Any] = answer["violations"] if isinstance(answer, dict) else answer
        return found

    def set_latency(self, model: Mapping[str, Any]) -> None:
        """Replaces the latency model."""
        self.ask("PUT", "/latency", dict(model))

    @contextlib.contextmanager
    def holding(self, *classes: str) -> Iterator[None]:
        """Requests of these classes are in work until the block ends: what ends in it has not waited for them."""
        self.set_latency({name: {"request_ms": AN_HOUR} for name in classes})
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Ends what requests wait for, and the latency model with it; returns when none is in work."""
        self.set_latency({})
        self.ask("POST", "/release")
        self.until("nothing is in work", lambda: not self.summary()["in_flight"])

    def until_waiting(self, count: int = 1) -> None:
        """Returns when so many requests or rows have been read and take their time."""
        self.until(f"{count} in work", lambda: self.waiting() >= count)

    def waiting(self) -> int:
        """How many requests or rows take their time now."""
        going_on: int = self.ask("GET", "/waits")["going_on"]
        return going_on

    def until(self, what: str, holds: Callable[[], object], patience: float = PATIENCE) -> None:
        """Looks until it holds. Raises AssertionError where it never does."""
        give_up = time.monotonic() + patience
        while not holds():
            assert time.monotonic() < give_up, f"it never came to it: {what}"
            time.sleep(0.02)

    def set_faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replaces the fault plan."""
        self.ask("PUT", "/faults", [dict(rule) for rule in rules])

    def reset(self) -> None:
        """Empties state, log, faults and latency."""
        self.ask("POST", "/reset")

    def stop(self) -> None:
        """Ends the program."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def wait_until_idle(self, seconds: float = 0.2) -> None:
        """Returns when no request came for a while."""
        seen = -1
        while (now := len(self.requests())) != seen:
            seen = now
            time.sleep(seconds)
