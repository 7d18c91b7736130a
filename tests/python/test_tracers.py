"""OpenTelemetry's real instrumentation of `requests`, and a user's wrapper by the real wrapt, beside the sink (A7)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.ingest import ReferenceServer
from tests.python.conftest import prepared

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

PROGRAM = Path(__file__).with_name("traced_run.py")
TRACED, AUDITED = ("tracer-before", "tracer-after"), ("user-before", "user-after")
TABLES, BATCH = 250, 10


def test_a_tracer_leaves_the_sink_active_and_a_users_wrapper_sees_every_request(
    sink_environment: Path, server: ReferenceServer
) -> None:
    """Whether they were there before the sink was made, or came before its first record."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "OTEL_"))}
    ended = subprocess.run(
        [sink_environment / "bin" / "python", PROGRAM, server.url, server.token, *TRACED, *AUDITED],
        env={**variables, "PYTHONPATH": prepared("TRACER")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr[-2_000:]
    *log, last = ended.stdout.splitlines()
    said = "\n".join([*log, ended.stderr])
    assert len(server.state()["tables"]) == TABLES * 4
    spans_line = "OpenTelemetry makes no spans of the requests that openmetadata-bulksink sends itself"
    assert said.count(spans_line) == said.count(" entities written") == 2, said[-2_000:]
    assert said.count("openmetadata-bulksink is not active: Session.request is wrapped by __main__") == 2
    requests = json.loads(last)
    for run in TRACED:
        assert requests[run], "the tracer was not active"
        assert not [one for one in requests[run] if "/bulk" in one]
    for run in AUDITED:
        assert len([one for one in requests[run] if "/tables/bulk" in one]) >= TABLES / BATCH
