"""What goes wrong when a workflow is split by hand, each tried: nothing alive is deleted, in doubt nothing at all."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fleet import Fleet
from warehouse import Warehouse

from openmetadata_bulksink.shard import documents
from tests.ingest import Postgres, ReferenceServer, compare, describe
from tests.ingest.commands import Commands
from tests.ingest.sources import sqlite_file, sqlite_source
from tests.ingest.workflow import workflow, write

pytestmark = [pytest.mark.postgres, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]

DELETE_ALL = dict.fromkeys(
    ("markDeletedTables", "markDeletedStoredProcedures", "markDeletedSchemas", "markDeletedDatabases"), True
)


@pytest.fixture
def server_of_shards(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    with ReferenceServer(server_program, profile=server_profile) as server:
        yield server


def live(server: ReferenceServer, collection: str = "tables") -> set[str]:
    return {fqn for fqn, entity in server.state().get(collection, {}).items() if not entity["deleted"]}


@pytest.fixture(scope="module")
def warehouse(databases: Postgres) -> Warehouse:
    return Warehouse(databases, 5)


def fleet_of(commands: Commands, folder: Path, config: dict[str, Any], shards: int = 2) -> Fleet:
    fleet = Fleet(commands, folder, config)
    fleet.plan(shards).require_success()
    return fleet


def test_a_plan_writes_nothing_and_close_refuses_whatever_is_in_doubt(
    commands: Commands, warehouse: Warehouse, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    fleet = fleet_of(commands, tmp_path / "first", warehouse.workflow(server, DELETE_ALL))
    assert {request["method"] for request in server.requests()} == {"GET"}
    fleet.open().require_success()
    assert live(server, "databaseSchemas")
    assert not live(server)
    fleet.run([1])
    before = server.state()
    result = json.loads(fleet.result_file(1).read_text())

    def refused(said: str, *files: Path) -> None:
        ended = fleet.step("close", "--plan", str(fleet.plan_file), "--result", *map(str, files))
        lines = [line for line in ended.errors.splitlines() if line.startswith("openmetadata-bulksink:")]
        assert ended.exit_code in (1, 2)
        assert len(lines) == 1
        assert said in lines[0]
        assert "Traceback" not in ended.errors
        assert server.state() == before

    good, other = fleet.result_file(1), tmp_path / "other.json"
    refused("no result of shard 0", good)
    for change, said in (
        ({"run": "0123456789abcdef"}, "another plan"),
        ({"started": 1.0}, "older than the plan"),
        ({"started": 9e12}, "of the future"),
        ({"started": float("nan")}, "is not a result"),
        ({"ended": "running"}, "was killed"),
        ({"ended": "badly", "why": "disk full"}, "disk full"),
        ({"fingerprint": "x"}, "another workflow file"),
        ({"parts": []}, "all of its databases"),
    ):
        other.write_text(documents.sealed({**result, "shard": 0, **change}))
        refused(said, other, good)
    other.write_text(json.dumps({**result, "shard": 0}))
    refused("is not as `shard run` wrote it", other, good)
    for text in ("", "{", "[1]", good.read_text()[:-40], "\x00\xff"):
        other.write_text(text)
        refused("other.json", other, good)

    changed = warehouse.workflow(server, {**DELETE_ALL, "schemaFilterPattern": {"includes": ["^a"]}})
    write(changed, fleet.file)
    for step in (["open"], ["run", "--shard", "0"], ["close", "--result", str(good)]):
        ended = fleet.step(step[0], "--plan", str(fleet.plan_file), *step[1:])
        assert (ended.exit_code, "has changed since" in ended.errors) == (2, True)
    assert server.state() == before


def test_one_shard_alone_deletes_nothing_whatever_the_user_has_switched_on(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    """The rows of the table in docs/scaling.md: workflows that were split by hand, of which one ran."""
    server = server_of_shards
    warehouse = Warehouse(databases, 5)
    first_table = {"tableFilterPattern": {"includes": ["^table_00$"]}}
    first = write(warehouse.workflow(server, {}), tmp_path / "one.yaml")
    commands.run(["metadata", "ingest", "-c", str(first)]).require_success()
    before = server.state()
    for number, options in enumerate(({}, DELETE_ALL, first_table)):
        fleet = fleet_of(commands, tmp_path / f"row-{number}", warehouse.workflow(server, options))
        fleet.run([0])
        assert not compare(before, server.state())
        # What the user's own filter of tables keeps out is stale to upstream: said, for `close` to judge.
        assert bool(fleet.stale(0)) == (options is first_table)


@pytest.mark.parametrize("seed", [int(seed) for seed in os.environ.get("SEEDS_OF_KILLS", "1 2").split()])
def test_a_shard_killed_at_a_random_moment_deletes_nothing_and_runs_again(
    commands: Commands,
    databases: Postgres,
    server_program: Path,
    server_of_shards: ReferenceServer,
    server_profile: str,
    tmp_path: Path,
    seed: int,
) -> None:
    server, draw = server_of_shards, random.Random(seed)
    warehouse = Warehouse(databases, seed)
    with ReferenceServer(server_program, profile=server_profile) as one:
        ingest = ["metadata", "ingest", "-c", str(write(warehouse.workflow(one, DELETE_ALL), tmp_path / "one.yaml"))]
        here = ["metadata", "ingest", "-c", str(write(warehouse.workflow(server, DELETE_ALL), tmp_path / "many.yaml"))]
        for words in (ingest, here):
            commands.run(words).require_success()
        everything = live(server)
        warehouse.change()
        commands.run(ingest).require_success()
        fleet = fleet_of(commands, tmp_path / "fleet", warehouse.workflow(server, DELETE_ALL))
        fleet.open().require_success()
        started = time.monotonic()
        fleet.run([1])
        whole = time.monotonic() - started
        killed = fleet.start(0)
        time.sleep(draw.uniform(0, whole * 0.9))
        killed.kill(signal.SIGKILL, children=bool(seed % 2))
        killed.wait()
        if fleet.close(shards=[0, 1]).exit_code != 0:
            assert everything <= live(server)
            fleet.run([0])
            fleet.close(shards=[0, 1]).require_success()
        differences = compare(one.state(), server.state(), ignore=["version", "changeDescription"])
        assert not differences, describe(differences)


def test_more_than_the_limit_is_refused_in_one_line_and_lifted_by_name(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    warehouse = Warehouse(databases, 11, large=True)
    config = warehouse.workflow(server, DELETE_ALL)
    fleet_of(commands, tmp_path / "first", config)
    Fleet(commands, tmp_path / "first", config).whole(2)
    before = live(server)
    database = max(warehouse.tables, key=lambda name: sum(map(len, warehouse.tables[name].values())))
    databases.drop_database(database)
    fleet = fleet_of(commands, tmp_path / "second", config)
    fleet.open().require_success()
    fleet.run([0, 1])
    refused = fleet.close(most="20")
    assert refused.exit_code == 1
    assert len([line for line in refused.errors.splitlines() if "live tables would be deleted" in line]) == 1
    assert live(server) == before
    fleet.close(most="100").require_success()
    assert live(server) < before


def test_procedures_are_in_the_limit_too(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    warehouse = Warehouse(databases, 5)
    database = min(warehouse.tables)
    first, second = list(warehouse.tables[database])[:2]

    def each(statement: str) -> None:
        made = (statement.format(f'"{schema}".many_{n}') for schema in (first, second) for n in range(30))
        databases.execute("".join(made), database=database)

    each("CREATE PROCEDURE {}() LANGUAGE sql AS 'SELECT 1';")
    config = warehouse.workflow(server, DELETE_ALL)
    Fleet(commands, tmp_path / "first", config).whole(2)
    before = live(server, "storedProcedures")
    each("DROP PROCEDURE {};")
    fleet = fleet_of(commands, tmp_path / "second", config)
    fleet.open().require_success()
    fleet.run([0, 1])
    refused = fleet.close(most="20")
    assert refused.exit_code == 1
    assert f"60 of {len(before)} live stored procedures would be deleted" in refused.errors
    assert live(server, "storedProcedures") == before
    fleet.close(most="100").require_success()
    assert len(live(server, "storedProcedures")) == len(before) - 60


def test_a_shard_that_could_not_ask_what_is_stale_is_told_of(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    # So many tables that a few failures leave the workflow above its threshold.
    warehouse = Warehouse(databases, 3, large=True)
    config = warehouse.workflow(server, DELETE_ALL)
    Fleet(commands, tmp_path / "first", config).whole(2)
    before = live(server)
    database = next(name for name, schemas in warehouse.tables.items() if any(schemas.values()))
    schema = next(name for name, tables in warehouse.tables[database].items() if tables)
    databases.execute(f'DROP TABLE "{schema}".{warehouse.tables[database][schema][0]} CASCADE', database=database)
    fleet = fleet_of(commands, tmp_path / "second", config)
    fleet.open().require_success()
    refused = {"kind": "status", "status": 403, "body": {"code": 403, "message": "this token may not list"}}
    server.set_faults([{"match": {"class": "stale", "collection": "tables"}, "do": refused}])
    said = [fleet.start(shard).wait().require_success().errors for shard in (0, 1)]
    assert any("this token may not list" in errors for errors in said)
    server.set_faults([])
    closed = fleet.close()
    assert closed.exit_code == 1
    assert "could not ask what is stale" in closed.errors
    assert "this token may not list" in closed.errors
    assert live(server) == before
    fleet.run([0, 1])
    fleet.close().require_success()
    assert len(live(server)) == len(before) - 1


def test_a_schema_that_comes_after_the_plan_is_created_and_one_that_goes_is_said(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    warehouse = Warehouse(databases, 3)
    fleet = fleet_of(commands, tmp_path, warehouse.workflow(server, DELETE_ALL))
    fleet.open().require_success()
    database = min(warehouse.tables)
    databases.execute('CREATE SCHEMA "late.one"; CREATE TABLE "late.one".t (id int);', database=database)
    fleet.run([0, 1])
    closed = fleet.close(shards=[0, 1]).require_success()
    assert any(fqn.endswith('"late.one"') for fqn in live(server, "databaseSchemas"))
    assert "came after the plan" in closed.errors
    assert "late.one" in closed.errors


def test_no_secret_in_plan_results_output_or_process_list(
    commands: Commands, warehouse: Warehouse, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    config = warehouse.workflow(server, {})
    password = "pa55-w0rd/geheim"
    config["source"]["serviceConnection"]["config"]["authType"] = {"password": password}
    fleet = fleet_of(commands, tmp_path, config)
    printed = [fleet.open()]
    shard = fleet.start(0)
    listed = ""
    while shard.running():
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = process.read_text(errors="replace")
            except OSError:
                continue
            if "--exit-with-stdin" not in words:  # the reference server is told its token
                listed += words
        time.sleep(0.3)
    printed.append(shard.wait())
    fleet.run([1])
    printed.append(fleet.close(shards=[0, 1]).require_success())
    written = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    text = listed + written + "".join(ended.output + ended.errors for ended in printed)
    # The workflow of a shard, filters and secrets in it, is written nowhere.
    files = {path.name for path in fleet.result_file(0).parent.iterdir()}
    assert files == {"workflow.yaml", "plan.json", "result.json"}
    for secret in (password, server.token):
        for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()):
            assert form not in text


def test_a_step_whose_runner_is_gone_ends(
    commands: Commands, warehouse: Warehouse, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    """Standard input of these commands is empty: it ends at once, as with the program that started them."""
    fleet = fleet_of(commands, tmp_path, warehouse.workflow(server_of_shards, DELETE_ALL))
    results = [str(fleet.result_file(shard)) for shard in (0, 1)]
    fleet.open().require_success()
    fleet.run([0, 1])
    for words in (["open"], ["run", "--shard", "0"], ["close", "--result", *results]):
        ended = fleet.step(words[0], "--plan", str(fleet.plan_file), "--end-with-stdin", *words[1:])
        assert (ended.exit_code, "interrupted" in ended.errors) == (2, True), ended.errors[-2_000:]
    both = fleet.step("close", "--plan", str(fleet.plan_file), "--end-with-stdin", "--result", "-")
    assert both.exit_code == 2
    assert "standard input cannot be both" in both.errors
    fleet.close().require_success()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "DatabaseUsage"}, "a usage workflow"),
        ({"type": "DatabaseLineage"}, "a lineage workflow"),
        ({"type": "Profiler"}, "a profiler workflow"),
        ({"type": "AutoClassification"}, "a classification workflow"),
        ({"type": "DBT"}, "a dbt workflow"),
        ({"type": "DashboardMetadata"}, "only DatabaseMetadata"),
        ({"schemaFilterPattern": {"includes": ["^nothing"]}}, "schemaFilterPattern keeps out every schema"),
        ({"schemaFilterPattern": {"excludes": [".*"]}}, "schemaFilterPattern keeps out every schema"),
        ({"tableFilterPattern": {"includes": ["^nothing"]}}, "tableFilterPattern keeps out every table"),
        (
            {"tableFilterPattern": {"includes": ["*x("]}},
            "tableFilterPattern.includes[0], *x(, is no regular expression",
        ),
        ({}, "sharding cannot pay"),
    ],
)
def test_what_cannot_be_sharded_is_refused_by_name(
    commands: Commands, server_of_shards: ReferenceServer, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    source = sqlite_source(sqlite_file(tmp_path / "one.db", tables=3, columns=3))
    source["sourceConfig"]["config"].update(change)
    config = workflow(source=source, server_url=server_of_shards.url, token=server_of_shards.token)
    ended = Fleet(commands, tmp_path / "fleet", config).plan(2)
    assert ended.exit_code == 2
    lines = [line for line in ended.errors.splitlines() if line.startswith("openmetadata-bulksink:")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in ended.errors


def test_all_of_it_on_this_machine(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    warehouse = Warehouse(databases, 8)
    file = write(warehouse.workflow(server, DELETE_ALL), tmp_path / "workflow.yaml")
    words = ["shard", "all", "-c", str(file), "-n", "3", "--processes", "2", "--logs", str(tmp_path / "logs")]
    ended = commands.run(words).require_success()
    assert len(live(server)) == sum(len(tables) for schemas in warehouse.tables.values() for tables in schemas.values())
    assert "3 of 3 shards ended well" in ended.errors
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == [f"shard-{number}.log" for number in range(3)]


def test_ctrl_c_ends_all_of_it_orderly(
    commands: Commands, databases: Postgres, server_of_shards: ReferenceServer, tmp_path: Path
) -> None:
    server = server_of_shards
    warehouse = Warehouse(databases, 11, large=True)
    server.set_latency({"bulk": {"request_ms": 200, "row_ms": 20}})
    file = write(warehouse.workflow(server, DELETE_ALL), tmp_path / "workflow.yaml")
    words = ["shard", "all", "-c", str(file), "-n", "2", "--processes", "2", "--logs", str(tmp_path / "logs")]
    command = commands.start(words)
    until = time.monotonic() + 200
    while not live(server) and command.running() and time.monotonic() < until:
        time.sleep(0.2)
    command.kill(signal.SIGINT)
    ended = command.wait()
    assert ended.exit_code == 2
    assert "interrupted" in ended.errors
    server.wait_until_idle()
    # What is stale has been asked for; nothing has been deleted.
    assert all(
        request["path"].endswith("/deleteStale") for request in server.requests() if request["method"] == "DELETE"
    )
    assert live(server) == set(server.state()["tables"])
