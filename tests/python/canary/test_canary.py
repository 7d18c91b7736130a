"""`doctor --canary` against the reference server: as it is, wrong by seed, odd by seed, and interrupted.

SEEDS: how many seeds of each sort, for `make canary-seeds`. PROFILES: release lines of the server, for
`make canary-matrix`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.ingest import ReferenceServer, workflow
from tests.ingest.commands import Commands
from tests.ingest.workflow import write
from tests.python.canary import meddling
from tests.python.canary.between import Between

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(1_800)]

_SEEDS = int(os.environ.get("SEEDS", "0"))
_READING_SEEDS = range(_SEEDS or 12)
_ODD_SEEDS = range(max(3, _SEEDS // 4))
#: A run of both sinks for each.
_WRITING_SEEDS = range(max(1, _SEEDS // 20))
#: The request in which the command is interrupted: the nth that matches.
_MOMENTS: list[tuple[dict[str, str], int]] = [({"path": "tags/name"}, 1), ({"class": "bulk"}, 6)]
if _SEEDS:
    _MOMENTS += [({"class": "list"}, 3), ({"class": "life_cycle"}, 2), ({"path": "/tables/name"}, 4)]
    _MOMENTS += [({"class": "bulk"}, Random(seed).randrange(1, 24)) for seed in range(5)]

_SOURCE = {"type": "sqlite", "serviceName": "unused", "sourceConfig": {"config": {"type": "DatabaseMetadata"}}}


def job(url: str, token: str, folder: Path, **server_settings: Any) -> Path:
    """A user's workflow file."""
    config = workflow(source=_SOURCE, server_url=url, token=token, server_settings=server_settings)
    return write(config, folder / "workflow.json")


@pytest.fixture(scope="module")
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A server that remembers bodies."""
    with ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true")) as server:
        yield server


@pytest.fixture
def empty_server(logging_server: ReferenceServer) -> ReferenceServer:
    logging_server.reset()
    return logging_server


@pytest.fixture(scope="module")
def commands(sink_environment: Path) -> Iterator[Commands]:
    with Commands(sink_environment, ["metadata.ingestion.ometa.ometa_api"]) as running:
        yield running


@pytest.fixture(scope="module")
def sides() -> Iterator[dict[str, Any]]:
    """Both sinks' processes, for all runs of this file that are made in this process."""
    from openmetadata_bulksink.canary.side import SINKS, Side

    made = {sink: Side(sink) for sink in SINKS}
    yield made
    for side in made.values():
        side.kill()


def services(server: ReferenceServer) -> list[str]:
    return list(server.state().get("services/databaseServices", {}))


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
    theirs = add_somebody_elses(empty_server)
    since = empty_server.requests()[-1]["n"]
    # Upstream's workflows refuse a server of another line unless they are told not to.
    config = job(empty_server.url, empty_server.token, tmp_path, enableVersionValidation=False)
    letters = tmp_path / "lost.jsonl"
    variables = {"OM_BULKSINK_DEAD_LETTERS": str(letters)}
    ended = commands.run(["doctor", "-c", str(config), "--canary", "--yes", "--json"], variables=variables)
    assert ended.exit_code == 0, ended.output + ended.errors
    assert not letters.exists()
    report = json.loads(ended.output)
    assert report["same"] is True
    assert report["entities"] == {"databases": 2, "databaseSchemas": 3, "tables": 120, "storedProcedures": 4}
    assert report["differences"] == report["wrong"] == report["left"] == []
    assert set(report["workflows"]["ours"]) == {"first", "again", "changed", "gone", "back"}
    assert report["facts"]["version"]["answer"].startswith(profile)
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
    empty_server.until_waiting()
    command.kill(signal.SIGINT)
    ended = command.wait()
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


# --- servers that are wrong, and servers that are odd ---


class Bench:
    """A canary between which and its server somebody stands."""

    def __init__(self, server: ReferenceServer, sides: dict[str, Any], folder: Path) -> None:
        self.between = Between(server.url)
        self._config = job(self.between.url, server.token, folder)
        self._sides = sides

    def canary(self) -> Any:
        from openmetadata_bulksink.canary.examination import Canary

        return Canary(self._config, lambda _: None, sides=self._sides)


@pytest.fixture
def bench(empty_server: ReferenceServer, sides: dict[str, Any], tmp_path: Path) -> Iterator[Bench]:
    made = Bench(empty_server, sides, tmp_path)
    with made.between:
        yield made


@pytest.fixture(scope="module")
def written(
    server_program: Path, server_profile: str, sides: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, Between, list[meddling.Seen]]]:
    """A canary that has written; what a list shows of it; and who stands before the server when it is read again."""
    with ReferenceServer(server_program, profile=server_profile) as server:
        bench = Bench(server, sides, tmp_path_factory.mktemp("written"))
        seen: list[meddling.Seen] = []

        def note(collection: str, page: Any) -> None:
            seen.extend(meddling.Seen(collection, entity) for entity in page["data"])

        with bench.between:
            canary = bench.canary()
            canary.write()
            bench.between.on_list = note
            canary.compare()
            assert canary.found.same, canary.found
            assert len(seen) == 2 * (2 + 3 + 120 + 4)
            yield canary, bench.between, seen
            canary.clean_up()


@pytest.fixture
def read_again(written: tuple[Any, Between, list[meddling.Seen]]) -> Callable[[Any], Any]:
    """Compares anew with somebody in between; gives what was found."""
    from openmetadata_bulksink.canary.examination import Findings

    canary, between, _ = written

    def read(on_list: Any) -> Any:
        canary.found = Findings(order=canary.found.order, work=canary.found.work)
        between.on_list = on_list
        canary.compare()
        return canary.found

    return read


@pytest.mark.parametrize("seed", _READING_SEEDS)
def test_one_value_that_is_dropped_or_changed_is_found_and_named(
    written: tuple[Any, Between, list[meddling.Seen]], read_again: Callable[[Any], Any], seed: int
) -> None:
    on_list, chosen, leaf = meddling.one_field(written[2], Random(seed))
    found = read_again(on_list)
    assert not found.same
    at_fault = [one for one in found.differences if one.collection == chosen.collection]
    names = {one.name.rpartition(".")[2] for one in at_fault}
    assert chosen.entity["name"].rpartition(".")[2] in names, (chosen.entity["name"], leaf.path, found.differences[:5])


@pytest.mark.parametrize("seed", _ODD_SEEDS)
def test_odd_and_right_is_no_difference(read_again: Callable[[Any], Any], seed: int) -> None:
    found = read_again(meddling.odd(Random(seed)))
    assert found.same, (found.differences[:5], found.wrong[:5])


@pytest.mark.parametrize("seed", _WRITING_SEEDS)
def test_a_write_that_is_lost_is_found_and_named(bench: Bench, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    canary, lost = _meddled(bench, monkeypatch, meddling.lost_write, Random(seed))
    (name,) = lost
    assert [one for one in canary.found.differences if one.name.endswith(f".{name}")], canary.found


@pytest.mark.parametrize("seed", _WRITING_SEEDS)
def test_two_answers_that_are_swapped_are_found_and_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    canary, swapped = _meddled(bench, monkeypatch, meddling.swapped_answers, Random(seed))
    assert len(swapped) == 1
    assert [line for line in canary.found.wrong if line.startswith(("Reported as lost by", "Not reported by"))]


def _meddled(bench: Bench, monkeypatch: pytest.MonkeyPatch, what: Any, rng: Random) -> tuple[Any, list[str]]:
    """A run in which the writes into one of the two services are meddled with; which one is drawn."""
    from openmetadata_bulksink.canary.services import Services

    canary = bench.canary()
    original, at, done = Services.make, rng.choice((1, 2)), []
    happened: list[list[str]] = []

    def make(services: Services) -> str:
        name = original(services)
        done.append(name)
        if len(done) == 1 + at:  # the first is the one that is only made and deleted
            bench.between.on_tables, noted = what(name, rng)
            happened.append(noted)
        return name

    monkeypatch.setattr(Services, "make", make)
    try:
        canary.write()
        canary.compare()
    finally:
        canary.clean_up()
    assert not canary.found.same
    return canary, happened[0]
