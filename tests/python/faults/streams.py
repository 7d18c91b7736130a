"""Streams of records for a sink that runs in another process, and what came of them.

Starts `feeder.py` in an upstream environment and a reference server for each stream, and checks what must hold whatever
goes wrong: each record has exactly one outcome, and what is said to be written is there.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ingest import ReferenceServer

FEEDER = Path(__file__).resolve().parent / "feeder.py"
SCHEMA = "lake.main.public"

Stream = Sequence[Sequence[Any]]
Rules = Sequence[Mapping[str, Any]]

_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Step:
    """One verb of a stream: how long it took, and what it raised."""

    verb: str
    seconds: float
    error: str | None


@dataclass(frozen=True)
class Fed:
    """A stream that has ended: what the sink said (`records`, `failures` ...) and what the server holds (`stored`)."""

    native: bool
    submitted: int
    steps: list[Step]
    records: int
    success: float
    failures: list[dict[str, str]]
    warnings: list[str]
    stats: dict[str, Any]
    log: list[str]
    peak_rss_kb: int
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    violations: list[Any] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the failures."""
        return [failure["name"] for failure in self.failures]

    @property
    def seconds(self) -> float:
        """How long the whole stream took."""
        return sum(step.seconds for step in self.steps)

    def took(self, verb: str) -> float:
        """How long the steps of one verb took."""
        return sum(step.seconds for step in self.steps if step.verb == verb)

    def lost(self, tables: int) -> set[str]:
        """The tables of t0 ... that the server does not have."""
        return {f"{SCHEMA}.t{number}" for number in range(tables)} - set(self.stored)

    def without_life_cycle(self, life_cycles: int) -> set[str]:
        """Those of the first tables that have no life cycle at the server."""
        names = {f"{SCHEMA}.t{number}" for number in range(life_cycles)}
        return {name for name in names if not self.stored.get(name, {}).get("lifeCycle")}

    def require_accounted_for(self, tables: int, *, life_cycles: int = 0) -> Fed:
        """Itself. AssertionError unless each record has one outcome, and each loss its name."""
        told = f"{self.records} records, {len(self.failures)} failures {self.failures[:3]}, log {self.log[-5:]}"
        assert self.native, told
        broken = [step for step in self.steps if step.error is not None]
        assert not broken, f"{broken} {told}"
        assert self.submitted == tables + life_cycles
        duplicates = [name for name in set(self.names) if self.names.count(name) > (2 if life_cycles else 1)]
        assert not duplicates, f"named twice: {duplicates[:5]}"
        counts = self.stats
        assert counts["submitted"] == counts["written"] + counts["failed"] + counts["warned"], counts
        assert counts["pending"] == 0, counts
        assert counts["submitted"] == tables + life_cycles, counts
        assert counts["failed"] == len(self.failures), f"{counts} {told}"
        unnamed = self.lost(tables) - set(self.names)
        assert not unnamed, f"lost without a name: {sorted(unnamed)[:5]} of {len(unnamed)}; {told}"
        patches = {failure["name"] for failure in self.failures if failure["error"].startswith("The life cycle")}
        unnamed = self.without_life_cycle(life_cycles) - patches
        assert not unnamed, f"life cycles lost without a name: {sorted(unnamed)[:5]} of {len(unnamed)}; {told}"
        wrongly = self.wrongly_called_lost()
        assert not wrongly, f"{len(wrongly)} are there and called lost: {wrongly[:3]}"
        assert self.misorders() == [], self.misorders()[:3]
        return self

    def wrongly_called_lost(self) -> list[dict[str, str]]:
        """Failures that name something which is there, and do not say that it may be."""

        def is_there(failure: dict[str, str]) -> bool:
            entity = self.stored.get(failure["name"])
            return entity is not None and ("life cycle" not in failure["error"] or bool(entity.get("lifeCycle")))

        return [one for one in self.failures if is_there(one) and "may have written" not in one["error"]]

    def misorders(self) -> list[Any]:
        """What the order checker saw, without second attempts that met a first one which a fault had kept at the
        server.
        """
        # What stalls is not in the log yet.
        clean = {request["n"] for request in self.requests if not request["fault"]}
        return [seen for seen in self.violations if seen["rule"] == "older_after_newer" or seen["other"] in clean]

    def require_written_names(self, tables: int) -> Fed:
        """Itself. AssertionError unless the tables t0 ... were written by a sink that wrote other records, too."""
        assert not self.failures, f"{len(self.failures)} failures: {self.failures[:3]}"
        assert not self.lost(tables)
        return self

    def require_all_written(self, tables: int, *, life_cycles: int = 0) -> Fed:
        """Itself. AssertionError unless every record was written."""
        self.require_accounted_for(tables, life_cycles=life_cycles)
        assert not self.failures, f"{len(self.failures)} failures: {self.failures[:3]}"
        assert self.records == tables
        return self


class Feeder:
    """A process of an upstream environment that feeds any number of streams at once.

    variables: environment variables of the whole process, `OM_BULKSINK=0` among them as in a user's shell.
    """

    def __init__(self, environment: Path, variables: Mapping[str, str] | None = None) -> None:
        reader, writer = os.pipe()
        self._answers = os.fdopen(reader, encoding="utf-8")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        inherited = {name: value for name, value in inherited.items() if not name.startswith("OM_BULKSINK")}
        try:
            self._process = subprocess.Popen(
                [environment / "bin" / "python", "-P", FEEDER, str(writer)],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[writer],
                env={**inherited, **(variables or {})},
                text=True,
            )
        finally:
            os.close(writer)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def _listen(self) -> None:
        for line in self._answers:
            report = json.loads(line)
            self._waiting.pop(report.pop("id")).set_result(report)
        for future in list(self._waiting.values()):
            future.set_exception(
                RuntimeError(f"the feeder ended with {self._process.wait()}\n{self.printed()[-5000:]}")
            )

    def printed(self) -> str:
        """Everything that the process has printed."""
        return os.pread(self._log.fileno(), 50_000_000, 0).decode(errors="replace")

    def start(self, job: Mapping[str, Any]) -> Future[dict[str, Any]]:
        """Starts a job; see feeder.py for its keys."""
        number = next(self._numbers)
        future: Future[dict[str, Any]] = Future()
        self._waiting[number] = future
        stdin = self._process.stdin
        assert stdin is not None
        with self._sending:
            stdin.write(json.dumps({**job, "id": number}) + "\n")
            stdin.flush()
        return future

    def feed(
        self,
        server: ReferenceServer,
        stream: Stream,
        *,
        url: str | None = None,
        timeout: float = 280.0,
        **more: Any,
    ) -> Fed:
        """One stream from start to end; `more` are keys of the job. url: where the sink finds the server, if not
        there itself.
        """
        job = {
            "url": url or server.url,
            "token": server.token,
            "control": server.control,
            "stream": [list(step) for step in stream],
            **more,
        }
        report = self.start(job).result(timeout)
        if "broken" in report:
            raise AssertionError(report["broken"])
        report["steps"] = [Step(**step) for step in report["steps"]]
        server.wait_until_idle(0.3)
        return Fed(
            **report,
            stored=server.state().get("tables", {}),
            violations=server.violations(),
            requests=server.requests(),
        )

    def close(self) -> None:
        """Ends the process."""
        stdin = self._process.stdin
        if stdin is not None:
            stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(5)
        self._log.close()

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_starting = threading.Lock()


def own_server(program: Path, **settings: Any) -> ReferenceServer:
    """A server for one thread among others: programs are started one at a time, since a fork beside a fork may fail."""
    with _starting:
        return ReferenceServer(program, **settings)


def prepare(server: ReferenceServer, rules: Rules = ()) -> None:
    """An empty server with a service, a database and a schema for the tables of a stream, then the fault plan."""
    server.reset()
    for path, body in (
        ("/services/databaseServices", {"name": "lake", "serviceType": "Postgres"}),
        ("/databases", {"name": "main", "service": "lake"}),
        ("/databaseSchemas", {"name": "public", "database": "lake.main"}),
    ):
        send(server, "PUT", path, body)
    if rules:
        server.set_faults(rules)


def send(server: ReferenceServer, method: str, path: str, body: object = None) -> Any:
    """One request of our own to the server, past every sink."""
    request = urllib.request.Request(
        f"{server.url}/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
    )
    with _DIRECT.open(request, timeout=20) as answer:
        text = answer.read()
    return json.loads(text) if text else None
