"""What a run says of itself - persisted state, summary, exit - agrees, wherever it was made and executed (rule A6)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.ingest.reference_server import AN_HOUR

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

_HERE = Path(__file__).parent


WAYS = ("here", "thread", "pool", "asyncio")


def run(environment: Path, script: str, *arguments: str, workflows: int) -> dict[str, Any]:
    command: list[str | Path] = [environment / "bin" / "python", _HERE / script, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (ended.stdout + ended.stderr).count(" entities written") == workflows, "the native sink was not active"
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_a_run_that_lost_half_of_its_tables_has_failed(sink_environment: Path, server: ReferenceServer) -> None:
    """Executed where it was made, in a thread, in a pool, in asyncio's. Slow requests, so that losses are known only
    after the last record.
    """
    refused = {"kind": "fail_rows", "rate": 0.5, "status": 400, "message": "no"}
    server.set_latency({"bulk": {"request_ms": 300, "row_ms": 0}})
    server.set_faults([{"match": {"class": "bulk", "collection": "tables"}, "do": refused}])
    found = run(sink_environment, "threaded_run.py", server.url, server.token, *WAYS, workflows=len(WAYS))
    tables = found["tables"]
    written = [name.partition(".")[0] for name in server.state()["tables"]]
    assert list(found["runs"]) == list(WAYS)
    for way, one in found["runs"].items():
        lost = one["lost"]
        assert 0.3 * tables < lost < 0.7 * tables, way
        assert lost + written.count(way) == tables, way
        assert one["persisted"] == [["failed", {"Made": 0, "OpenMetadata": lost}]], way
        assert one["ended"] == "WorkflowExecutionError", way


def test_who_watches_the_final_drain_sees_what_is_written(sink_environment: Path, server: ReferenceServer) -> None:
    """A progress display in another thread: behind the server by no more than what is on its way, four batches."""
    server.set_latency({"bulk": {"request_ms": AN_HOUR}})
    found = run(sink_environment, "watched_run.py", server.url, server.token, server.control, workflows=1)
    looks = found["looks"]
    assert len({stored for stored, _ in looks}) > 1, "the drain was not watched"
    assert [look for look in looks if look[0] - look[1] > 40] == []
    assert found["told"] == found["tables"] == len(server.state()["tables"])
