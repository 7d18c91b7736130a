"""Ctrl-C, SIGTERM and SIGHUP while a command writes: it ends in order, and says what is left to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.ingest import ReferenceServer

pytestmark = pytest.mark.wheel


@pytest.fixture
def config(server: ReferenceServer, tmp_path: Path) -> Path:
    path = tmp_path / "workflow.json"
    connection = {"hostPort": server.url, "authProvider": "openmetadata", "securityConfig": {"jwtToken": server.token}}
    path.write_text(json.dumps({"workflowConfig": {"openMetadataServerConfig": connection}}))
    return path


def interrupted(environment: Path, server: ReferenceServer, number: signal.Signals, *arguments: str) -> str:
    """What a command prints that got a signal while a bulk request waited for its answer."""
    command = [environment / "bin" / "openmetadata-bulksink", *arguments]
    with server.holding("bulk"):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        server.until_waiting()
        os.kill(running.pid, number)
        if number == signal.SIGHUP:  # its shell says it, too
            time.sleep(0.05)
            os.kill(running.pid, number)
        out, errors = running.communicate(timeout=240)
    assert running.returncode == 2, errors
    assert errors == "openmetadata-bulksink: interrupted\n"
    return out


signals = pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl-c", "sigterm", "closed terminal"]
)


@signals
def test_bench_deletes_its_service(
    sink_environment: Path, server: ReferenceServer, config: Path, number: signal.Signals
) -> None:
    said = interrupted(sink_environment, server, number, "bench", "--yes", "-c", str(config), "--workers", "2")
    _, deleting, deleted = said.splitlines()
    assert deleting.startswith("Interrupted: deleting the service bulksink_bench_")
    assert deleting.endswith("; once more leaves it there.")
    assert deleted.endswith(" is deleted.")
    assert server.state().get("services/databaseServices", {}) == {}


@signals
def test_replay_says_that_all_is_to_be_sent_again(
    sink_environment: Path, server: ReferenceServer, config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    letters = tmp_path / "lost.jsonl"
    body = {"name": "d", "service": "s"}
    letter = {"kind": "create", "collection": "databases", "fqn": "s.d", "body": body}
    letters.write_text(json.dumps(letter) + "\n")
    said = interrupted(sink_environment, server, number, "replay", str(letters), "-c", str(config))
    assert said.startswith(f"Interrupted: replay {letters} again, as a whole")
