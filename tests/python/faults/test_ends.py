"""Signals, early ends and forks with the real sink class: out of each wait, nothing lost that was given, nothing twice.

What a program is to leave would last an hour, so that leaving it at all is leaving it because of the signal. How soon
after it, `make bench-native` measures.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer, Session, workflow
from tests.ingest.ctrl_c import interrupt, until_it_waits
from tests.ingest.reference_server import AN_HOUR
from tests.ingest.sources import sqlite_file, sqlite_source
from tests.python.faults.streams import own_server, prepare

pytestmark = [pytest.mark.wheel]

PROGRAM = Path(__file__).resolve().parent / "ending.py"
WAITS = ["budget", "fence", "barrier", "state", "close"]

NO_ANSWER = [{"match": {"class": "bulk"}, "do": {"kind": "stall"}}]


@dataclass(frozen=True)
class Job:
    """What a program is told to do, and how its server is."""

    do: dict[str, Any]
    bulk_ms: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """What came of a program."""

    done: subprocess.CompletedProcess[str]
    stored: dict[str, Any]
    rows_sent: int

    @property
    def printed(self) -> str:
        return self.done.stdout + self.done.stderr

    @property
    def told(self) -> dict[str, Any]:
        """What it says itself, where it ended as it should."""
        assert self.done.returncode == 0, self.done.stderr[-3_000:]
        result: dict[str, Any] = json.loads(self.done.stdout.splitlines()[-1])
        return result


JOBS = {
    **{
        by: Job({"do": "interrupted", "by": by, "waits": WAITS}, bulk_ms=AN_HOUR)
        for by in ("KeyboardInterrupt", "Terminated", "TerminatedAsError")
    },
    **{how: Job({"do": "leave", "how": how}, faults=NO_ANSWER) for how in ("twice", "forgotten", "exception", "exit")},
    "client closed first": Job({"do": "leave", "how": "client closed first"}),
    "tasks": Job({"do": "tasks", "tasks": 4}, bulk_ms=200),
}


@pytest.fixture(scope="module")
def ended(sink_environment: Path, server_program: Path, server_profile: str) -> Iterator[dict[str, Future[Ended]]]:
    """All programs, some at once and each with a server of its own: they spend their time starting and waiting."""

    def play(job: Job) -> Ended:
        with own_server(server_program, profile=server_profile) as server:
            prepare(server, job.faults)
            latency = {"bulk": {"request_ms": job.bulk_ms}}
            server.set_latency(latency)
            done = run(sink_environment, server, job, latency)
            bulk = [request for request in server.requests() if request["path"].endswith("/bulk")]
            return Ended(done, server.state().get("tables", {}), sum(request["rows"] for request in bulk))

    with ThreadPoolExecutor(3) as pool:
        yield {name: pool.submit(play, job) for name, job in JOBS.items()}


def run(
    environment: Path, server: ReferenceServer, job: Job, latency: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    told = {"url": server.url, "control": server.control, "token": server.token, "latency": latency, **job.do}
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))}
    return subprocess.run(
        [environment / "bin" / "python", "-P", PROGRAM, json.dumps(told)],
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("by", ["KeyboardInterrupt", "Terminated", "TerminatedAsError"])
def test_a_signal_ends_any_wait_and_costs_nothing(ended: dict[str, Future[Ended]], by: str) -> None:
    program = ended[by].result()
    for wait, found in program.told.items():
        # Upstream's step takes an ordinary exception at a Barrier for a failure of the record.
        swallowed = by == "TerminatedAsError" and wait == "barrier"
        assert found["by"] == (None if swallowed else by), f"{wait}: {found}"
        assert found["pending"] > 0, f"{wait} had nothing to wait for: {found}"
        stats = found["stats"]
        assert stats["failed"] == 0, f"{wait}: {found}"
        assert stats["pending"] == 0, f"{wait}: {found}"
        written = [name for name in program.stored if name.startswith(f"lake.main.public.{wait}")]
        assert len(written) == stats["submitted"] == stats["written"] == found["records"], f"{wait}: {found}"
        # The record whose submit was interrupted is among them.
        least = 41 if wait == "budget" else 15
        assert stats["submitted"] >= least
        assert [failure["name"] for failure in found["failures"]] in ([], ["Unhandled"]), f"{wait}: {found}"


def test_ctrl_c_twice_leaves_at_once_and_says_what_is_left(ended: dict[str, Future[Ended]]) -> None:
    program = ended["twice"].result()
    assert program.done.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in program.done.stderr
    assert "15 failed" in program.printed
    assert "The Table lake.main.public.left7 was not written: not delivered" in program.printed


@pytest.mark.parametrize("how", ["forgotten", "exception", "exit"])
def test_a_program_that_ends_without_close_does_not_hang(ended: dict[str, Future[Ended]], how: str) -> None:
    program = ended[how].result()
    assert program.done.returncode == {"forgotten": 0, "exception": 1, "exit": 3}[how]
    assert "15 records were not delivered" in program.printed
    assert "panic" not in program.done.stderr


def test_the_client_may_be_closed_before_the_sink(ended: dict[str, Future[Ended]]) -> None:
    program = ended["client closed first"].result()
    assert program.told["failures"] == []
    assert program.told["records"] == len(program.stored) == 15


def test_a_runner_that_forks_for_each_task(ended: dict[str, Future[Ended]]) -> None:
    program = ended["tasks"].result()
    told = program.told
    assert told["ends"] == [0, 7, 0, 7]
    assert told["failures"] == []
    assert told["records"] == 30
    assert len(program.stored) == 30 + 4 * 15
    assert program.rows_sent == 30 + 4 * 15, "something was sent twice"


@pytest.mark.upstream
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_ctrl_c_during_a_real_ingestion(
    sink_environment: Path, server_program: Path, server_profile: str, tmp_path: Path, twice: bool
) -> None:
    source = sqlite_source(sqlite_file(tmp_path / "shop.db", tables=1_500, columns=3), service="ctrlc")
    latency = {"bulk": {"request_ms": AN_HOUR if twice else 500}}
    with (
        ReferenceServer(server_program, profile=server_profile, latency=latency) as server,
        Session(sink_environment) as session,
    ):
        output = session.start(workflow(source=source, server_url=server.url, token=server.token))
        server.until_waiting()
        time.sleep(0.3)
        interrupt(session, output)
        if twice:
            # The close behind the first one waits for what the server holds.
            until_it_waits(session.pid)
            os.kill(session.pid, signal.SIGINT)
        run_ended = session.finish(120)
        assert run_ended.exit_code == 130, run_ended.output[-2_000:]
        if twice:
            lost = [failure for failure in run_ended.sink.failures if "not delivered" in failure["error"]]
            assert lost
            assert len(lost) == len(run_ended.sink.failures)
        else:
            # What was given before the interruption is delivered by the close behind it. The one that was being given
            # is named, if it had begun.
            given = [failure for failure in run_ended.sink.failures if "it was interrupted by" not in failure["error"]]
            assert given == []
            assert len(run_ended.sink.failures) <= 1
            assert len(server.state().get("tables", {})) + 2 <= run_ended.sink.records + 1
