"""Signals, early ends and forks with the real sink class: out at once, nothing lost that was given, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer, Session, workflow
from tests.ingest.sources import sqlite_file, sqlite_source

pytestmark = [pytest.mark.wheel]

PROGRAM = Path(__file__).resolve().parent / "ending.py"
WAITS = ["budget", "fence", "barrier", "status", "close"]

#: Nothing is written late, into the next test.
NO_ANSWER = [{"match": {"class": "bulk"}, "do": {"kind": "stall"}}]

#: A tenth of a second, and what a busy machine adds.
AT_ONCE = 0.1 + 0.25


def run(
    environment: Path, server: ReferenceServer, timeout: float = 120.0, **job: Any
) -> subprocess.CompletedProcess[str]:
    job = {"url": server.url, "token": server.token, **job}
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))}
    return subprocess.run(
        [environment / "bin" / "python", "-P", PROGRAM, json.dumps(job)],
        env=variables,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr[-3_000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("by", ["KeyboardInterrupt", "Terminated", "TerminatedAsError"])
def test_a_signal_ends_any_wait_and_costs_nothing(sink_environment: Path, lake: ReferenceServer, by: str) -> None:
    lake.set_latency({"bulk": {"request_ms": 800}})
    waits = result_of(run(sink_environment, lake, do="interrupted", by=by, waits=WAITS))
    stored = lake.state()["tables"]
    for wait, found in waits.items():
        assert found["left_after"] < AT_ONCE, f"{wait}: {found}"
        # Upstream's step takes an ordinary exception at a Barrier for a failure of the record.
        swallowed = by == "TerminatedAsError" and wait == "barrier"
        assert found["by"] == (None if swallowed else by), f"{wait}: {found}"
        assert found["pending"] > 0, f"{wait} had nothing to wait for: {found}"
        stats = found["stats"]
        assert stats["failed"] == 0, f"{wait}: {found}"
        assert stats["pending"] == 0, f"{wait}: {found}"
        written = [name for name in stored if name.startswith(f"lake.main.public.{wait}")]
        assert len(written) == stats["submitted"] == stats["written"] == found["records"], f"{wait}: {found}"
        # The record whose submit was interrupted is among them.
        least = 41 if wait == "budget" else 15
        assert stats["submitted"] >= least
        assert [failure["name"] for failure in found["failures"]] in ([], ["Unhandled"]), f"{wait}: {found}"


def test_ctrl_c_twice_leaves_at_once_and_says_what_is_left(sink_environment: Path, lake: ReferenceServer) -> None:
    lake.set_faults(NO_ANSWER)
    done = run(sink_environment, lake, do="leave", how="twice")
    assert done.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in done.stderr
    assert "15 failed" in done.stdout + done.stderr
    assert "The Table lake.main.public.left7 was not written: not delivered" in done.stdout + done.stderr


@pytest.mark.parametrize("how", ["forgotten", "exception", "exit"])
def test_a_program_that_ends_without_close_does_not_hang(
    sink_environment: Path, lake: ReferenceServer, how: str
) -> None:
    lake.set_faults(NO_ANSWER)
    done = run(sink_environment, lake, do="leave", how=how, timeout=60)
    assert done.returncode == {"forgotten": 0, "exception": 1, "exit": 3}[how]
    assert "15 records were not delivered" in done.stdout + done.stderr
    assert "panic" not in done.stderr


def test_the_client_may_be_closed_before_the_sink(sink_environment: Path, lake: ReferenceServer) -> None:
    told = result_of(run(sink_environment, lake, do="leave", how="client closed first"))
    assert told["failures"] == []
    assert told["records"] == len(lake.state()["tables"]) == 15


def test_a_runner_that_forks_for_each_task(sink_environment: Path, lake: ReferenceServer) -> None:
    lake.set_latency({"bulk": {"request_ms": 200}})
    told = result_of(run(sink_environment, lake, do="tasks", tasks=4))
    assert [code for code, _ in told["ends"]] == [0, 7, 0, 7]
    assert all(seconds < 5 for _, seconds in told["ends"]), told["ends"]
    assert told["failures"] == []
    assert told["records"] == 30
    assert len(lake.state()["tables"]) == 30 + 4 * 15
    rows = sum(request["rows"] for request in lake.requests() if request["path"].endswith("/bulk"))
    assert rows == 30 + 4 * 15, "something was sent twice"


@pytest.mark.upstream
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_ctrl_c_during_a_real_ingestion(
    sink_environment: Path, server_program: Path, server_profile: str, tmp_path: Path, twice: bool
) -> None:
    source = sqlite_source(sqlite_file(tmp_path / "shop.db", tables=400, columns=3), service="ctrlc")
    latency = {"bulk": {"request_ms": 60_000 if twice else 500}}
    with (
        ReferenceServer(server_program, profile=server_profile, latency=latency) as server,
        Session(sink_environment) as session,
    ):
        session.start(workflow(source=source, server_url=server.url, token=server.token))
        deadline = time.monotonic() + 90
        while not server.summary()["max_in_flight_by_class"].get("bulk") and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(session.pid, signal.SIGINT)
        started = time.monotonic()
        if twice:
            time.sleep(1)
            os.kill(session.pid, signal.SIGINT)
        run_ended = session.finish(60)
        assert run_ended.exit_code == 130, run_ended.output[-2_000:]
        if twice:
            assert time.monotonic() - started < 6
            lost = [failure for failure in run_ended.sink.failures if "not delivered" in failure["error"]]
            assert lost
            assert len(lost) == len(run_ended.sink.failures)
        else:
            # What was given before the interruption is delivered by the close behind it.
            assert run_ended.sink.failures == []
            assert len(server.state().get("tables", {})) + 2 <= run_ended.sink.records + 1
