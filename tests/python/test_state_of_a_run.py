"""What a run says of itself - persisted state, summary, exit - agrees, wherever it was made and executed (rule A6)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

_SCRIPT = Path(__file__).with_name("threaded_run.py")


def run(way: str, environment: Path, server: ReferenceServer) -> dict[str, Any]:
    command: list[str | Path] = [environment / "bin" / "python", _SCRIPT, way, server.url, server.token]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "entities written" in ended.stdout + ended.stderr, "the native sink was not active"
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("way", ["here", "thread", "pool", "asyncio"])
def test_a_run_that_lost_half_of_its_tables_has_failed(
    way: str, sink_environment: Path, server: ReferenceServer
) -> None:
    """Slow requests, so that losses are known only after the last record."""
    refused = {"kind": "fail_rows", "rate": 0.5, "status": 400, "message": "no"}
    server.set_latency({"bulk": {"request_ms": 300, "row_ms": 0}})
    server.set_faults([{"match": {"class": "bulk", "collection": "tables"}, "do": refused}])
    found = run(way, sink_environment, server)
    lost, tables = found["lost"], found["tables"]
    assert 0.3 * tables < lost < 0.7 * tables
    assert lost + len(server.state()["tables"]) == tables
    assert found["persisted"] == [["failed", {"Made": 0, "OpenMetadata": lost}]]
    assert found["ended"] == "WorkflowExecutionError"
