"""What is the first process of a container ends by SIGTERM, too, and never as if it had done its work."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.ingest import ReferenceServer
from tests.ingest.process_one import ProcessOne
from tests.ingest.sources import sqlite_file, sqlite_source
from tests.ingest.workflow import workflow, write

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(600)]

TABLES = 150


@pytest.fixture
def file(server: ReferenceServer, tmp_path: Path) -> Path:
    source = sqlite_source(sqlite_file(tmp_path / "lite.db", tables=TABLES, columns=3))
    sink = {"bulk_sink_batch_size": 5, "async_pipeline_workers": 1}
    return write(workflow(source=source, server_url=server.url, token=server.token, sink=sink), tmp_path / "w.yaml")


def tables(server: ReferenceServer) -> int:
    return len(server.state().get("tables", {}))


@pytest.mark.parametrize("name", ["OM_BULKSINK_TERM_GRACE", "OM_BULKSINK_REPORT"])
def test_an_ingestion_ends_after_sigterm(
    sink_environment: Path, server: ReferenceServer, file: Path, tmp_path: Path, name: str
) -> None:
    report = tmp_path / "run.json"
    value = {"OM_BULKSINK_TERM_GRACE": "60", "OM_BULKSINK_REPORT": str(report)}[name]
    server.set_latency({"bulk": {"request_ms": 500, "row_ms": 0}})
    command = [str(sink_environment / "bin" / "metadata"), "ingest", "-c", str(file)]
    running = ProcessOne(command, {name: value})
    until = time.monotonic() + 200
    while tables(server) < 20 and running.running() and time.monotonic() < until:
        time.sleep(0.1)
    running.signal(signal.SIGTERM)
    ended = running.wait(90)
    assert ended.exit_code == 128 + signal.SIGTERM
    assert 20 <= tables(server) < TABLES
    assert "submitted after close" not in ended.output + ended.errors
    if name == "OM_BULKSINK_REPORT":
        assert json.loads(report.read_text())["ending"] == "by SIGTERM"
    else:
        assert "everything that was pending has been delivered" in ended.output + ended.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_a_plan_that_is_interrupted_is_no_success(
    sink_environment: Path, server: ReferenceServer, file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    plan = tmp_path / "plan.json"
    command = [str(sink_environment / "bin" / "openmetadata-bulksink"), "shard", "plan", "-c", str(file), "-n", "1"]
    server.release()  # what an earlier command left
    with server.holding("get", "other"):
        running = ProcessOne([*command, "-o", str(plan)])
        server.until_waiting()
        running.signal(number)
        ended = running.wait(90)
    assert ended.exit_code == 128 + number
    assert ended.errors.endswith("openmetadata-bulksink: interrupted\n")
    assert not plan.exists()
