"""What `close` counts, asks and deletes at the server."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink.shard import catalogue, commands, workflow
from openmetadata_bulksink.shard.results import Result, Stale
from tests.ingest import ReferenceServer
from tests.python.faults.streams import prepare, send
from tests.python.shards.test_results import part, result

pytestmark = [pytest.mark.wheel]

SCHEMA = "lake.main.public"


@pytest.fixture
def client(server: ReferenceServer) -> Any:
    """Upstream's client for a server with a schema."""
    prepare(server)
    connection = {
        "hostPort": server.url,
        "authProvider": "openmetadata",
        "securityConfig": {"jwtToken": server.token},
        "enableVersionValidation": False,
    }
    return workflow.server_of({"workflowConfig": {"openMetadataServerConfig": connection}}).client


def table(server: ReferenceServer, name: str) -> Stale:
    columns = [{"name": "c", "dataType": "INT"}]
    made = send(server, "PUT", "/tables", {"name": name, "databaseSchema": SCHEMA, "columns": columns})
    return Stale("tables", made["fullyQualifiedName"], made["id"], made["version"], only_if_seen=True)


def test_what_is_deleted_already_is_not_counted_again(server: ReferenceServer, client: Any) -> None:
    stale = [table(server, f"t{number}") for number in range(5)]
    assert catalogue.going(client, stale) == 5
    assert catalogue.delete(client, stale[:3]).gone == [one.fqn for one in stale[:3]]
    assert catalogue.going(client, stale) == 2
    assert catalogue.delete(client, stale).gone == [one.fqn for one in stale[3:]]


def test_what_was_never_there_goes_nowhere(server: ReferenceServer, client: Any) -> None:
    never = replace(table(server, "t"), fqn=f"{SCHEMA}.never")
    assert catalogue.going(client, [never]) == 0
    assert catalogue.delete(client, [never]) == ([], [], [])


def test_an_answer_that_holds_no_entity_is_no_sign_that_nothing_is_there(server: ReferenceServer, client: Any) -> None:
    stale = table(server, "t")
    page = {"kind": "status", "status": 403, "body": {"status_code": 403, "message": "blocked"}}
    server.set_faults([{"match": {"class": "get"}, "do": page}])
    deleted = catalogue.delete(client, [stale])
    assert [fqn for fqn, _ in deleted.refused] == [stale.fqn]
    assert deleted.gone == []


#: An error of something before the server, which upstream's client takes for an empty answer, and one that it raises.
STRANGERS = [{"status_code": 403, "message": "blocked"}, "<html>403 Forbidden</html>", "<html>Error code 1020</html>"]


@pytest.mark.parametrize("body", STRANGERS)
def test_what_was_not_deleted_is_not_called_deleted_whoever_answered(
    server: ReferenceServer, client: Any, body: Any
) -> None:
    stale = table(server, "t")
    server.set_faults([{"match": {"method": "DELETE"}, "do": {"kind": "status", "status": 403, "body": body}}])
    deleted = catalogue.delete(client, [stale])
    assert [fqn for fqn, _ in deleted.refused] == [stale.fqn]
    assert deleted.gone == []
    server.set_faults([])
    assert catalogue.delete(client, [stale]) == ([stale.fqn], [], [])


@pytest.mark.parametrize("body", [*STRANGERS, {"code": 500, "message": "no database"}])
def test_a_count_that_the_server_does_not_give_is_said(server: ReferenceServer, client: Any, body: Any) -> None:
    stale = table(server, "t")
    server.set_faults([{"match": {"method": "GET"}, "do": {"kind": "status", "status": 403, "body": body}}])
    with pytest.raises(catalogue.Unanswered, match="did not say which databases lake has"):
        catalogue.live_tables_of_service(client, "lake")
    with pytest.raises(catalogue.Unanswered, match=r"did not say how many tables are alive in lake\.main"):
        catalogue.live_tables(client, "database", "lake.main")
    with pytest.raises(catalogue.Unanswered, match=rf"did not say whether {stale.fqn} is alive"):
        catalogue.going(client, [stale])


def named(name: str) -> Result:
    return result(0, part("first", failed=name))


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085", "\x0c", "\x1c"])
def test_a_result_may_hold_whatever_ends_a_line_elsewhere(tmp_path: Path, end: str) -> None:
    file = tmp_path / "result.json"
    commands.write_result(file, named(f"y.li{end}ne"))
    assert commands.read_results([file]) == [named(f"y.li{end}ne")]


def test_a_directory_is_no_place_for_a_result_and_gets_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(IsADirectoryError, match="there"):
        commands.write_result(tmp_path / "there", named("one"))
    assert [one.name for one in tmp_path.iterdir()] == ["there"]


def test_a_result_goes_behind_a_link_and_into_a_pipe_and_replaces_neither(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there")
    commands.write_result(link, named("one"))
    assert link.is_symlink()
    assert commands.read_results([tmp_path / "there"]) == [named("one")]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    commands.write_result(pipe, replace(named("two"), ended="running"))
    commands.write_result(pipe, named("two"))
    reader.join(30)
    assert read == [named("two").to_json()]
    assert pipe.is_fifo()


def test_a_document_goes_into_a_pipe_that_has_no_name_of_its_own() -> None:
    """As `-o /dev/stdout | cat` is: what the link leads to cannot be found by its name."""
    read, write = os.pipe()
    commands.require_place(Path(f"/dev/fd/{write}"))
    commands.write_document(Path(f"/dev/fd/{write}"), "a plan")
    os.close(write)
    with os.fdopen(read) as reader:
        assert reader.read() == "a plan"
