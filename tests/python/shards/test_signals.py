"""What runners send: the alarm of a time limit, and SIGTERM."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import IMPORTS

from tests.ingest import ReferenceServer
from tests.ingest.commands import Commands
from tests.ingest.sources import sqlite_file, sqlite_source
from tests.ingest.workflow import workflow, write

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]

TABLES = 150


@pytest.fixture(scope="module")
def with_limits(sink_environment: Path) -> Iterator[Commands]:
    """As a runner's worker is started."""
    variables = {"OM_BULKSINK_KEEP_ALARM": "1", "OM_BULKSINK_TERM_GRACE": "60"}
    with Commands(sink_environment, IMPORTS, variables) as running:
        yield running


@pytest.fixture
def slow(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """Fifteen seconds for all tables, with one worker."""
    with ReferenceServer(
        server_program, profile=server_profile, latency={"bulk": {"request_ms": 500, "row_ms": 0}}
    ) as server:
        yield server


def words(server: ReferenceServer, folder: Path) -> list[str]:
    source = sqlite_source(sqlite_file(folder / "lite.db", tables=TABLES, columns=3))
    config = workflow(
        source=source,
        server_url=server.url,
        token=server.token,
        sink={"bulk_sink_batch_size": 5, "async_pipeline_workers": 1},
    )
    return ["metadata", "ingest", "-c", str(write(config, folder / "workflow.yaml"))]


def tables(server: ReferenceServer) -> int:
    return len(server.state().get("tables", {}))


def test_a_runners_limit_ends_the_run_and_what_is_pending_is_delivered(
    with_limits: Commands, slow: ReferenceServer, tmp_path: Path
) -> None:
    slow.set_latency({"bulk": {"request_ms": 2_000}})  # a run of a minute
    ended = with_limits.run(words(slow, tmp_path), variables={"COMMAND_ALARM": "20"})
    assert ended.exit_code == 1
    assert "the limit of the runner" in ended.output + ended.errors
    said = re.search(r"(\d+) entities written, (\d+) failed", ended.output + ended.errors)
    assert said is not None
    assert int(said[2]) == 0
    assert 0 < tables(slow) < TABLES
    # A database and a schema beside the tables.
    assert int(said[1]) == tables(slow) + 2


def test_sigterm_with_grace_delivers_what_is_pending_and_ends_by_the_signal(
    with_limits: Commands, slow: ReferenceServer, tmp_path: Path
) -> None:
    command = with_limits.start(words(slow, tmp_path))
    until = time.monotonic() + 200
    while tables(slow) < 20 and command.running() and time.monotonic() < until:
        time.sleep(0.1)
    command.kill(signal.SIGTERM)
    ended = command.wait()
    assert ended.exit_code == -signal.SIGTERM
    assert "everything that was pending has been delivered" in ended.output + ended.errors
    assert 20 <= tables(slow) < TABLES


def test_sigterm_beyond_its_grace_names_what_was_not_delivered_in_one_line(
    with_limits: Commands, slow: ReferenceServer, tmp_path: Path
) -> None:
    command = with_limits.start(words(slow, tmp_path), variables={"OM_BULKSINK_TERM_GRACE": "1"})
    until = time.monotonic() + 200
    while tables(slow) < 10 and command.running() and time.monotonic() < until:
        time.sleep(0.1)
    slow.set_latency({"bulk": {"request_ms": 30_000}})
    command.kill(signal.SIGTERM)
    ended = command.wait()
    assert ended.exit_code == -signal.SIGTERM
    said = [line for line in (ended.output + ended.errors).splitlines() if "were not delivered within 1 s" in line]
    assert len(said) == 1
