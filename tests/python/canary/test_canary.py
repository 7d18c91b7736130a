"""`doctor --canary` against the reference server: as it is, and interrupted.

SEEDS: set for `make canary-seeds`, which interrupts it at more moments. PROFILES: release lines of the server, for
`make canary-matrix`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.ingest.commands import Commands
from tests.python.canary.benches import job, services
from tests.python.canary.between import Between
from tests.python.canary.meddling import on_lists

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(1_800)]

#: Seconds for a command that imports upstream and runs workflows on a machine that has other things to do.
_PATIENCE = 800.0

#: The request in which the command is interrupted: the nth that matches.
_MOMENTS: list[tuple[dict[str, str], int]] = [({"path": "tags/name"}, 1), ({"class": "bulk"}, 6)]
if os.environ.get("SEEDS"):
    _MOMENTS += [({"class": "list"}, 3), ({"class": "life_cycle"}, 2), ({"path": "/tables/name"}, 4)]
    _MOMENTS += [({"class": "bulk"}, Random(seed).randrange(1, 24)) for seed in range(5)]


@pytest.fixture(scope="module")
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A server that remembers bodies."""
    with ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true")) as server:
        yield server


@pytest.fixture
def empty_server(logging_server: ReferenceServer) -> ReferenceServer:
    logging_server.reset()
    return logging_server


def writes(server: ReferenceServer) -> list[dict[str, Any]]:
    return [one for one in server.requests(bodies=True) if one["method"] != "GET"]


def is_within(request: dict[str, Any]) -> bool:
    """Whether a request names a service of the canary's and nothing else that it could write to. Where upstream writes
    by id, the entities that `add_somebody_elses` made say whether it was another's.
    """
    body = request["body"] or ""
    if request["path"].endswith("/bulk"):
        is_compressed = not body.startswith("[")
        return is_compressed or all("bulksink_canary_" in json.dumps(row) for row in json.loads(body))
    asked = f"{request['method']} {request['path']}"
    by_id = re.fullmatch(r"(PATCH .*/tables|DELETE .*/databaseSchemas)/[0-9a-f-]{36}", asked)
    return by_id is not None or "bulksink_canary_" in asked + body


def add_somebody_elses(server: ReferenceServer) -> Any:
    """A service that is none of the canary's business, as the server holds it."""
    for collection, body in (
        ("services/databaseServices", {"name": "theirs", "serviceType": "Mysql"}),
        ("databases", {"name": "d", "service": "theirs"}),
        ("databaseSchemas", {"name": "s", "database": "theirs.d"}),
        ("tables", {"name": "t", "databaseSchema": "theirs.d.s", "columns": [{"name": "id", "dataType": "INT"}]}),
    ):
        request = urllib.request.Request(
            f"{server.url}/v1/{collection}",
            data=json.dumps(body).encode(),
            method="PUT",
            headers={"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()
    return server.state(normalized=False)


@pytest.mark.parametrize("profile", os.environ.get("PROFILES", "2.0").split())
def test_both_sinks_leave_the_same(
    commands: Commands, empty_server: ReferenceServer, tmp_path: Path, profile: str
) -> None:
    empty_server.ask("PUT", "/profile", {"profile": profile})
    too_large = {"kind": "status", "status": 413, "body": {"message": "too large"}}
    empty_server.set_faults([{"match": {"body_over": 3 << 20}, "do": too_large}])
    theirs = add_somebody_elses(empty_server)
    since = empty_server.requests()[-1]["n"]
    # Upstream's workflows refuse a server of another line unless they are told not to.
    config = job(empty_server.url, empty_server.token, tmp_path, enableVersionValidation=False)
    letters = tmp_path / "lost.jsonl"
    variables = {"OM_BULKSINK_DEAD_LETTERS": str(letters)}
    arguments = ["doctor", "-c", str(config), "--canary", "--yes", "--json", "--probe"]
    empty_server.ask("PUT", "/switches", {"idle_timeout_s": 5.0})
    try:
        ended = commands.run(arguments, variables=variables)
    finally:
        empty_server.ask("PUT", "/switches", {"idle_timeout_s": 60.0})
    assert ended.exit_code == 0, ended.output + ended.errors
    assert not letters.exists()
    report = json.loads(ended.output)
    assert report["same"] is True
    assert report["entities"] == {"databases": 2, "databaseSchemas": 3, "tables": 120, "storedProcedures": 4}
    assert report["differences"] == report["wrong"] == report["left"] == []
    assert set(report["workflows"]["ours"]) == {"first", "again", "changed", "gone", "back"}
    assert report["facts"]["version"]["answer"].startswith(profile)
    assert report["facts"]["largest body"]["answer"] == "2 MiB; 4 MiB: 413"
    assert report["facts"]["idle connection"]["answer"].startswith("closed after ")
    assert empty_server.state(normalized=False) == theirs
    made = [one for one in writes(empty_server) if one["n"] > since]
    assert len(made) > 50
    assert [one for one in made if not is_within(one)] == []
    assert empty_server.violations() == []
    assert [(one["workers"], one["refused"]) for one in report["speed"]] == [(1, 0), (2, 0), (4, 0), (8, 0)]
    said = ended.output + ended.errors
    assert empty_server.token not in said
    assert "ingestion-bot" not in ended.output
    assert "bulksink_canary_" not in ended.output
    assert empty_server.url.split("/")[2] not in ended.output


def test_what_differs_is_named_and_the_exit_status_says_so(
    commands: Commands, empty_server: ReferenceServer, tmp_path: Path
) -> None:
    """A server that forgets the comments of one service's tables."""
    forgetful: list[str] = []

    def forget(collection: str, page: dict[str, Any]) -> None:
        for entity in page["data"]:
            service = entity["fullyQualifiedName"].partition(".")[0]
            forgetful[:] = forgetful or [service]
            if collection == "tables" and service == forgetful[0]:
                entity.pop("description", None)

    with Between(empty_server.url) as between:
        between.meddle = on_lists(forget)
        ended = commands.run(["doctor", "-c", str(job(between.url, empty_server.token, tmp_path)), "--canary", "--yes"])
    assert ended.exit_code == 1, ended.output + ended.errors
    *lines, last = ended.output.splitlines()
    assert last == "The two sinks did not leave the same: see above."
    differing = lines[lines.index("What the two sinks left differently (ours | upstream)") + 1 :]
    assert [line.partition(":")[0] for line in differing] == ["  tables description"]
    assert "after first" in differing[0]
    assert services(empty_server) == []


def test_it_asks_first(commands: Commands, empty_server: ReferenceServer, tmp_path: Path) -> None:
    config = job(empty_server.url, empty_server.token, tmp_path)
    ended = commands.run(["doctor", "-c", str(config), "--canary"])
    assert ended.exit_code == 2
    assert "alerts, webhooks" in ended.errors
    assert "--yes" in ended.errors
    assert [one for one in writes(empty_server) if one["rows"] != 0] == []


def test_a_token_that_may_not_delete_is_found_out_with_an_empty_service(
    commands: Commands, empty_server: ReferenceServer, tmp_path: Path
) -> None:
    refused = {"match": {"method": "DELETE"}, "do": {"kind": "status", "status": 403, "body": {"message": "not yours"}}}
    empty_server.set_faults([refused])
    config = job(empty_server.url, empty_server.token, tmp_path)
    ended = commands.run(["doctor", "-c", str(config), "--canary", "--yes"])
    assert ended.exit_code == 2
    (left,) = services(empty_server)
    assert left in ended.errors
    assert "not yours" in ended.errors
    assert [one["path"] for one in writes(empty_server) if one["rows"]] == ["/api/v1/services/databaseServices"]


@pytest.mark.parametrize(("where", "nth"), _MOMENTS, ids=str)
def test_ctrl_c_leaves_no_service(
    commands: Commands, empty_server: ReferenceServer, tmp_path: Path, where: dict[str, str], nth: int
) -> None:
    """What the server was at work on then is done only when all is deleted."""
    stall = {"kind": "stall", "seconds": 3_600, "then": "work"}
    empty_server.set_faults([{"match": where, "when": {"nth": [nth]}, "do": stall}])
    config = job(empty_server.url, empty_server.token, tmp_path)
    command = commands.start(["doctor", "-c", str(config), "--canary", "--yes"])
    try:
        empty_server.until(
            "it came to that request, or to its end",
            lambda: empty_server.waiting() or not command.running(),
            patience=_PATIENCE,
        )
        command.kill(signal.SIGINT)
        ended = command.wait(_PATIENCE)
    finally:
        if command.running():
            command.kill()
    assert ended.exit_code == 2, ended.output + ended.errors
    assert "interrupted" in ended.errors
    empty_server.release()
    assert {name: list(held) for name, held in empty_server.state().items() if held} == {}
    assert [one for one in writes(empty_server) if not is_within(one)] == []


def test_probes_say_what_stands_in_front(empty_server: ReferenceServer, tmp_path: Path) -> None:
    from openmetadata_bulksink import connection, workflow_file
    from openmetadata_bulksink.canary import probes
    from openmetadata_bulksink.canary.asking import Server

    too_large = {"kind": "status", "status": 413, "body": {"message": "too large"}}
    empty_server.set_faults([{"match": {"body_over": 3 << 20}, "do": too_large}])
    empty_server.ask("PUT", "/switches", {"idle_timeout_s": 1.0})
    try:
        workflow = workflow_file.load(job(empty_server.url, empty_server.token, tmp_path))
        client = workflow.client.client
        body, idle = probes.all_of(Server(client, workflow.mask), connection.arguments(client))
    finally:
        empty_server.ask("PUT", "/switches", {"idle_timeout_s": 60.0})
    assert (body.answer, body.detail) == ("2 MiB; 4 MiB: 413", [413, "too large"])
    assert idle.answer.startswith("closed after ")
    assert {one["rows"] for one in writes(empty_server)} == {0}


def test_a_server_that_upstream_refuses_cannot_be_asked(
    commands: Commands, empty_server: ReferenceServer, tmp_path: Path
) -> None:
    """The client of 2.0 does not work with a server of another line; what was made until then is gone."""
    empty_server.ask("PUT", "/switches", {"version": "3.0.0"})
    try:
        config = job(empty_server.url, empty_server.token, tmp_path)
        ended = commands.run(["doctor", "-c", str(config), "--canary", "--yes"])
    finally:
        empty_server.ask("PUT", "/switches", {"version": None})
    assert ended.exit_code == 2, ended.output + ended.errors
    assert "upstream's own workflow does not come to its end here" in ended.errors
    assert "3.0.0" in ended.errors
    assert services(empty_server) == []


def test_a_sink_whose_process_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from openmetadata_bulksink.canary.side import Side, SideFailed

    monkeypatch.setattr("sys.executable", shutil.which("false"))
    side = Side("ours")
    with pytest.raises(SideFailed, match="ended with status 1"):
        side.run({})
    side.kill()
