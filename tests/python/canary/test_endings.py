"""How `doctor --canary` ends when it is interrupted, more than once, and when the server cannot be asked: what is left
is named, and nothing else is left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.ingest.commands import Command, Commands, Ended
from tests.python.canary.benches import job, services
from tests.python.canary.between import Answer, Asked, Between, Send

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(1_800)]

#: Seconds for a command that imports upstream on a machine that has other things to do.
_PATIENCE = 300.0

_PAGE = {"kind": "status", "status": 404, "body": "404 page not found\n", "content_type": "text/plain"}
_AWAY = Answer(503, {"Content-Type": "application/json"}, b'{"code": 503, "message": "try again"}')


Start = Callable[..., Command]


@pytest.fixture
def start(commands: Commands, server: ReferenceServer, tmp_path: Path) -> Iterator[Start]:
    """Starts a canary; returns when it has said something."""
    running: list[Command] = []

    def started(until: str, *more: str) -> Command:
        config = job(server.url, server.token, tmp_path)
        command = commands.start(["doctor", "-c", str(config), "--canary", "--yes", *more])
        running.append(command)
        said(command, until)
        return command

    yield started
    for command in running:
        if command.running():
            command.kill()


def said(command: Command, what: str) -> None:
    """Returns when the command has said it."""
    give_up = time.monotonic() + _PATIENCE
    while what not in command.errors():
        assert command.running(), command.errors()
        assert time.monotonic() < give_up, command.errors()
        time.sleep(0.01)


def named(ended: Ended) -> set[str]:
    """The services that are said to be left."""
    lines = [line for line in ended.errors.splitlines() if "could not be deleted; delete it by hand" in line]
    return {line.split()[2] for line in lines}


@pytest.mark.parametrize("gap", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_that_comes_twice_leaves_no_service(
    start: Start, server: ReferenceServer, number: int, gap: float
) -> None:
    command = start("Writing, first")
    command.kill(number)
    time.sleep(gap)
    command.kill(number)
    ended = command.wait(_PATIENCE)
    assert ended.exit_code == 2, ended.errors
    assert "openmetadata-bulksink: interrupted" in ended.errors
    assert services(server) == []
    assert not named(ended)


@pytest.mark.parametrize("gap", [0.0, 0.03])
def test_an_interrupt_beside_the_end_leaves_no_service(start: Start, server: ReferenceServer, gap: float) -> None:
    """It ends since the server refuses to be read."""
    command = start("Writing, first")
    refused = {"kind": "status", "status": 400, "body": {"message": "no"}}
    server.set_faults([{"match": {"class": "list", "path": "/databases"}, "do": refused}])
    server.until(
        "it read back",
        lambda: any(one["status"] == 400 and "include=all" in (one["query"] or "") for one in server.requests()),
        _PATIENCE,
    )
    time.sleep(gap)
    command.kill(signal.SIGINT)
    assert command.wait(_PATIENCE).exit_code == 2
    assert services(server) == []


def test_what_is_left_is_named_whatever_comes_while_it_is_deleted(start: Start, server: ReferenceServer) -> None:
    """A server that refuses connections, and a second Ctrl-C."""
    command = start("Writing, first")
    left = set(services(server))
    server.ask("POST", "/outage", {"seconds": 3_600})
    try:
        command.kill(signal.SIGINT)
        said(command, "Deleting bulksink_canary_")
        command.kill(signal.SIGINT)
        ended = command.wait(_PATIENCE)
    finally:
        server.ask("POST", "/outage", {"seconds": 0})
    assert ended.exit_code == 2
    assert left <= named(ended)


def test_a_deletion_that_hangs_is_announced_and_given_up_by_the_third_interrupt(
    start: Start, server: ReferenceServer
) -> None:
    command = start("Writing, first")
    left = set(services(server))
    server.set_faults([{"do": {"kind": "stall"}}])
    command.kill(signal.SIGINT)
    said(command, "Ctrl-C twice more gives up")
    assert all(name in command.errors() for name in left)
    command.kill(signal.SIGINT)
    time.sleep(1.5)
    assert command.running()
    asked = time.monotonic()
    command.kill(signal.SIGINT)
    ended = command.wait(_PATIENCE)
    assert time.monotonic() - asked < 8  # a request of a deletion may take ten
    assert ended.exit_code == 2
    assert left <= named(ended)


def test_a_hurried_deletion_has_one_bound_and_tries_all(server: ReferenceServer, tmp_path: Path) -> None:
    from openmetadata_bulksink.canary.services import Haste

    made = _services(server.url, server, tmp_path)
    names = [made.make() for _ in range(4)]
    server.set_faults([{"match": {"method": "DELETE"}, "do": {"kind": "stall"}}])
    began = time.monotonic()
    assert set(made.delete(*names, haste=Haste(0.2, 2.5))) == set(names)
    assert time.monotonic() - began < 4  # four attempts for each, and the pauses between, would be ten
    tried = {one["path"].rpartition("/")[2] for one in server.requests() if one["method"] == "DELETE"}
    assert tried == set(names)
    server.release()


def _services(url: str, server: ReferenceServer, folder: Path) -> Any:
    from openmetadata_bulksink.canary.services import Services
    from openmetadata_bulksink.interrupts import Interrupts

    return Services(_asking(url, server, folder), Interrupts())


def _asking(url: str, server: ReferenceServer, folder: Path) -> Any:
    from openmetadata_bulksink import workflow_file
    from openmetadata_bulksink.canary.asking import Server

    workflow = workflow_file.load(job(url, server.token, folder))
    return Server(workflow.client.client, workflow.mask)


def test_a_proxys_page_of_404_is_no_word_about_a_service(start: Start, server: ReferenceServer) -> None:
    command = start("Writing, first")
    left = set(services(server))
    server.set_faults([{"do": _PAGE}])
    ended = command.wait(_PATIENCE)
    assert ended.exit_code == 2
    assert named(ended) == left
    assert "404 page not found" in ended.errors


def test_a_finished_result_is_printed_when_its_deletion_is_interrupted(start: Start, server: ReferenceServer) -> None:
    server.set_latency({"delete": {"request_ms": 700}})
    command = start("Deleting bulksink_canary_", "--json")
    command.kill(signal.SIGINT)
    ended = command.wait(_PATIENCE)
    assert ended.exit_code == 2
    assert "openmetadata-bulksink: interrupted" in ended.errors
    report = json.loads(ended.output)
    assert report["same"] is True
    assert len(report["speed"]) == 4
    assert services(server) == []


def test_a_trial_deletion_that_meets_a_restart_blames_no_token(
    commands: Commands, server: ReferenceServer, tmp_path: Path
) -> None:
    """The end deletes what the trial could not."""
    restarting = {"kind": "status", "status": 503, "body": {"message": "restarting"}}
    server.set_faults([{"match": {"method": "DELETE"}, "when": {"first": 4}, "do": restarting}])
    config = job(server.url, server.token, tmp_path)
    ended = commands.run(["doctor", "-c", str(config), "--canary", "--yes"])
    assert ended.exit_code == 2
    assert "the server does not delete an empty service (503: restarting)" in ended.errors
    assert "the token may create" not in ended.errors
    assert " is left" not in ended.errors
    assert services(server) == []
    assert not named(ended)


@pytest.mark.parametrize("collection", ["databaseSchemas", "tables", "storedProcedures"])
def test_a_token_that_may_not_write_everything_is_told_so(
    commands: Commands, server: ReferenceServer, tmp_path: Path, collection: str
) -> None:
    refused = {"kind": "status", "status": 403, "body": {"code": 403, "message": "operations [Create] not allowed"}}
    server.set_faults([{"match": {"collection": collection, "method": "PUT"}, "do": refused}])
    config = job(server.url, server.token, tmp_path)
    ended = commands.run(["doctor", "-c", str(config), "--canary", "--yes"])
    assert ended.exit_code == 2, ended.output + ended.errors
    assert ended.output == ""
    said = f"the token may make services and not write {collection} (403: operations [Create] not allowed)"
    assert said in ended.errors
    assert services(server) == []


def facts_of(url: str, server: ReferenceServer, folder: Path) -> dict[str, str]:
    """What is said of a server, by question."""
    from openmetadata_bulksink.canary import facts

    made = _services(url, server, folder)
    asking = _asking(url, server, folder)
    place = facts.Place(asking, made.make())
    assert place.fill() is None
    found = {one.question: one.answer for one in facts.all_of(place)}
    assert made.delete(*made.left) == {}
    return found


def test_a_server_that_is_away_for_a_moment_has_the_same_facts(server: ReferenceServer, tmp_path: Path) -> None:
    met: set[tuple[str, str, bytes]] = set()

    def once(asked: Asked, send: Send) -> Answer:
        """Each request of its kind meets it once."""
        key = (asked.method, asked.place, asked.body)
        if asked.place.startswith("services") or key in met:
            return send(asked)
        met.add(key)
        return _AWAY

    right = facts_of(server.url, server, tmp_path)
    with Between(server.url) as between:
        between.meddle = once
        assert facts_of(between.url, server, tmp_path) == right


def test_what_is_not_answered_is_no_property_of_the_server(server: ReferenceServer, tmp_path: Path) -> None:
    def away(asked: Asked, send: Send) -> Answer:
        at_fault = asked.place in ("system/version", "topics/bulk") or b'"hashed"' in asked.body
        return _AWAY if at_fault else send(asked)

    right = facts_of(server.url, server, tmp_path)
    with Between(server.url) as between:
        between.meddle = away
        found = facts_of(between.url, server, tmp_path)
    assert found.pop("version") == found.pop("sourceHash") == "not answered (503)"
    assert found.pop("bulk").endswith("; not answered: topics")
    assert found == {question: answer for question, answer in right.items() if question in found}


def test_nothing_is_said_from_rows_that_were_not_taken(server: ReferenceServer, tmp_path: Path) -> None:
    """Once the place is made."""
    refused = Answer(403, {"Content-Type": "application/json"}, b'{"code": 403, "message": "not yours"}')

    def refuse(asked: Asked, send: Send) -> Answer:
        first = b'"first"' in asked.body or asked.body == b"[]"
        return refused if asked.place == "tables/bulk" and not first else send(asked)

    with Between(server.url) as between:
        between.meddle = refuse
        found = facts_of(between.url, server, tmp_path)
    not_known = {question for question, answer in found.items() if answer == "not known: a row was not taken (403)"}
    assert not_known == {"form", "refusals", "rows of one request", "PATCH by name", "sourceHash", "gzip"}


_COMMAND = "import sys; from openmetadata_bulksink import cli; sys.exit(cli.main(sys.argv[1:]))"


@pytest.mark.parametrize("streams", ["output", "both"])
def test_a_reader_that_has_gone_is_no_finding(streams: str) -> None:
    """`| head`, and `2>&1 | head`: 1 would mean that something differs."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", _COMMAND, "doctor", *(["-c", "nowhere.yaml"] if streams == "both" else ["--json"])]
    ended = subprocess.run(
        command,
        stdout=writer,
        stderr=writer if streams == "both" else subprocess.PIPE,
        timeout=_PATIENCE,
        check=False,
    )
    os.close(writer)
    assert ended.returncode == 2


def test_sighup_stays_ignored_under_nohup() -> None:
    program = """
import os, signal
from openmetadata_bulksink.interrupts import Interrupts, signals_as_interrupts
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with signals_as_interrupts(), Interrupts() as interrupts:
    os.kill(os.getpid(), signal.SIGHUP)
    print(interrupts.came)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr
