"""After a real ingestion with losses, everything that upstream says of it says the same: the state of the pipeline, the
printed summary, the exit code, the persisted status, the failures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer, Session, workflow
from tests.ingest.sources import sqlite_file, sqlite_source

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

TABLES = 60

#: Everything that the sink writes: the tables, their database and its schema; services are written singly.
WRITTEN = TABLES + 2


@pytest.fixture(scope="module")
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """Keeps the bodies of requests, so that the persisted status can be read."""
    with ReferenceServer(server_program, profile=server_profile, arguments=["--log-bodies", "true"]) as running:
        yield running


def refuse(tables: str) -> list[dict[str, Any]]:
    """A plan under which the server refuses none, one or all of the tables for good."""
    action = {"kind": "fail_rows", "message": "the owner is not known"}
    if tables == "none":
        return []
    if tables == "one":
        action["fqns"] = ["accounts_one.shop.main.table_00007"]  # type: ignore[assignment]
    return [{"match": {"class": "bulk", "collection": "tables"}, "do": action}]


@pytest.mark.parametrize("refused", ["none", "one", "all"])
@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
def test_everything_agrees(
    logging_server: ReferenceServer, sink: Session, tmp_path: Path, refused: str, slow: bool
) -> None:
    server = logging_server
    server.reset()
    service = f"accounts_{refused}"
    server.set_faults(refuse(refused))
    if slow:
        # All of it is still pending when the source has ended: failures surface in the final drain.
        server.set_latency({"bulk": {"request_ms": 1_500}})
    source = sqlite_source(sqlite_file(tmp_path / "shop.db", tables=TABLES, columns=3), service=service)
    config = workflow(source=source, server_url=server.url, token=server.token, pipeline="nightly")
    run = sink.run(config)
    lost = {"none": 0, "one": 1, "all": TABLES}[refused]
    success = 100.0 * (WRITTEN - lost) / WRITTEN

    assert "openmetadata-bulksink" in run.output
    stored = server.state().get("tables", {})
    assert len(stored) == TABLES - lost
    names = [failure["name"] for failure in run.sink.failures]
    assert len(names) == len(set(names)) == lost
    assert not set(names) & set(stored)
    assert all("the owner is not known" in failure["error"] for failure in run.sink.failures)
    # One record for each entity that was written, and what upstream itself counts for the service.
    assert run.sink.records >= WRITTEN - lost

    failing = success < 90
    assert (run.exit_code != 0) == failing, run.output[-3_000:]
    state = run.pipeline_states[-1]
    # Upstream calls a run with failures above the threshold a partial success.
    assert state == ("success" if lost == 0 else "failed" if failing else "partialSuccess"), run.pipeline_states

    printed = summary_of(run.output)
    assert printed["errors"] == lost, run.output[-3_000:]

    persisted = persisted_status(server)
    assert persisted["pipelineState"] == state
    # The step's name in the status differs between versions; the one with most failures is ours.
    sink_step = max(persisted["status"], key=lambda step: (step.get("errors", 0), step.get("records", 0)))
    if lost:
        assert sink_step["errors"] == lost
        assert {failure["name"] for failure in sink_step["failures"]} <= set(names)
    else:
        assert all(step.get("errors", 0) == 0 for step in persisted["status"])


def summary_of(output: str) -> dict[str, int]:
    """The numbers of the sink in the printed summary."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    part = plain.rsplit("Workflow OpenMetadata Summary", 1)[-1]
    found = re.search(r"Errors:\s*(\d+)", part)
    assert found is not None, plain[-3_000:]
    return {"errors": int(found.group(1))}


def persisted_status(server: ReferenceServer) -> dict[str, Any]:
    """The last status that was sent for the pipeline."""
    sent = [
        json.loads(request["body"])
        for request in server.requests(bodies=True)
        if request["path"].endswith("/pipelineStatus") and request["method"] == "PUT" and request.get("body")
    ]
    assert sent, "no status was persisted"
    last: dict[str, Any] = sent[-1]
    return last
