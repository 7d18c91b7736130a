"""`shard all` keeps what is needed to go on, and says the commands that do; `shard plan` that is interrupted ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet
from warehouse import Warehouse

from openmetadata_bulksink.shard import plan as plans
from tests.ingest import Postgres, ReferenceServer
from tests.ingest.commands import Commands
from tests.ingest.runs import inherited_variables
from tests.ingest.sources import postgres_source, sqlite_file, sqlite_source
from tests.ingest.workflow import workflow, write
from tests.python.shards.test_hazards import DELETE_ALL, live

pytestmark = [pytest.mark.postgres, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]


def commands_in(text: str, step: str) -> list[list[str]]:
    """The commands of ours that a text tells people to use."""
    return [shlex.split(found)[1:] for found in re.findall(rf"openmetadata-bulksink shard {step} [^,\n]*", text)]


def all_of(warehouse: Warehouse, server: ReferenceServer, file: Path, *options: object) -> list[str]:
    """`shard all` of a warehouse, whose workflow is written to `file`."""
    write(warehouse.workflow(server, DELETE_ALL), file)
    return ["shard", "all", "-c", str(file), *map(str, options)]


def test_what_is_too_much_is_deleted_by_the_command_that_is_said(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    warehouse = Warehouse(databases, 11, large=True)
    words = all_of(warehouse, server, tmp_path / "a workflow.yaml", "-n", 2, "--results", tmp_path / "kept here")
    commands.run(words).require_success()
    before = live(server)
    databases.drop_database(max(warehouse.tables, key=lambda name: sum(map(len, warehouse.tables[name].values()))))
    refused = commands.run(words)
    assert refused.exit_code == 1
    assert live(server) == before
    (said,) = commands_in(refused.errors, "close")
    assert said[-2:] == ["--max-deleted", "100"]
    commands.run(said).require_success()
    assert live(server) < before
    kept = sorted(one.name for one in (tmp_path / "kept here").iterdir())
    assert kept == ["plan.json", "shard-0.json", "shard-0.log", "shard-1.json", "shard-1.log"]


def test_each_step_has_a_report_of_its_own(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    """In one file for all of them only the last step would be left, which writes next to nothing."""
    warehouse = Warehouse(databases, 11, large=True)
    words = all_of(warehouse, server, tmp_path / "workflow.yaml", "-n", 2, "--results", tmp_path / "kept")
    commands.run(words, variables={"OM_BULKSINK_REPORT": str(tmp_path / "run.json")}).require_success()
    reports = {one.name: json.loads(one.read_text()) for one in tmp_path.glob("run*.json")}
    assert {"run-open.json", "run-shard-0.json", "run-shard-1.json", "run-close.json"} <= set(reports)
    assert "run.json" not in reports
    parts = [report for name, report in reports.items() if name.startswith("run-shard")]
    tables = sum(lane["rows"] for report in parts for lane in report["lanes"] if lane["collection"] == "tables")
    assert tables >= len(live(server)) > 0


def test_what_was_interrupted_goes_on_by_the_commands_that_are_said(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    warehouse = Warehouse(databases, 11, large=True)
    options = ("-n", 3, "--processes", 2, "-o", tmp_path / "plan.json")
    words = all_of(warehouse, server, tmp_path / "workflow.yaml", *options)
    with server.holding("bulk"):
        command = commands.start(words)
        server.until_waiting()
        command.kill(signal.SIGTERM)
        # Held until both shards have been interrupted, so that none of them ends well.
        while "interrupted: what is pending is delivered" not in command.errors() and command.running():
            time.sleep(0.1)
    ended = command.wait()
    assert ended.exit_code == 2
    assert "0 of 3 shards ended well" in ended.errors
    assert "nothing was deleted" in ended.errors
    (run,) = commands_in(ended.errors, "run")
    (close,) = commands_in(ended.errors, "close")
    assert "I is 0, 1, 2" in ended.errors
    for shard in range(3):
        commands.run([re.sub(r"^I$|(?<=shard-)I(?=[.])", str(shard), word) for word in run]).require_success()
    commands.run(close).require_success()
    tables = sum(len(tables) for schemas in warehouse.tables.values() for tables in schemas.values())
    assert len(live(server)) == tables


def test_a_close_that_is_interrupted_says_what_it_did_and_the_command_that_does_the_rest(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    warehouse = Warehouse(databases, 8)
    fleet = Fleet(commands, tmp_path, warehouse.workflow(server, DELETE_ALL))
    fleet.whole(2)
    before, dropped = live(server), 0
    for database, schemas in warehouse.tables.items():
        for schema, tables in schemas.items():
            databases.execute(f'DROP TABLE "{schema}".{tables[0]} CASCADE;', database=database)
            dropped += 1
    fleet.plan(2).require_success()
    fleet.open().require_success()
    fleet.run([0, 1])
    files = [str(fleet.result_file(shard)) for shard in (0, 1)]
    stalled = {"kind": "stall", "seconds": 3600, "then": "reset"}
    server.set_faults([{"match": {"class": "delete"}, "when": {"from": 2}, "do": stalled}])
    command = commands.start(
        ["shard", "close", "-c", str(fleet.file), "--plan", str(fleet.plan_file), "--result", *files]
    )
    server.until_waiting()
    command.kill(signal.SIGTERM)
    ended = command.wait()
    server.set_faults([])
    server.release()
    assert ended.exit_code == 2
    assert f"interrupted: 1 of {dropped} were deleted, and one more perhaps; close again: " in ended.errors
    assert len(live(server)) == len(before) - 1
    (again,) = commands_in(ended.errors, "close")
    commands.run(again).require_success()
    assert len(live(server)) == len(before) - dropped


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("open", "opening was interrupted: what it wrote stays, nothing was deleted; open again"),
        ("run", "shard 0 was interrupted: what it wrote stays, nothing was deleted; run it again"),
        ("close", "closing did not end well (interrupted); nothing was deleted; close again: "),
    ],
)
def test_a_step_that_is_interrupted_says_that_it_can_be_done_again(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path, step: str, said: str
) -> None:
    warehouse = Warehouse(databases, 5)
    fleet = Fleet(commands, tmp_path, warehouse.workflow(server, DELETE_ALL))
    fleet.plan(2).require_success()
    words = ["shard", step, "-c", str(fleet.file), "--plan", str(fleet.plan_file)]
    if step == "close":
        fleet.open().require_success()
        fleet.run([0, 1])
        words += ["--result", *(str(fleet.result_file(shard)) for shard in (0, 1))]
    elif step == "run":
        words += ["--shard", "0"]
    held = {"method": "PUT", "collection": "databases"}
    server.set_faults([{"match": held, "do": {"kind": "stall", "seconds": 3600}}])
    command = commands.start(words)
    server.until_waiting()
    command.kill(signal.SIGTERM)
    while "interrupted" not in command.errors() and command.running():
        time.sleep(0.05)
    server.set_faults([])
    server.release()
    ended = command.wait()
    assert ended.exit_code == 2
    assert said in ended.errors
    assert "Traceback" not in ended.errors.split(said)[1]


def lite(server: ReferenceServer, folder: Path, **connection: Any) -> dict[str, Any]:
    source = sqlite_source(sqlite_file(folder / "lite.db", tables=3, columns=3))
    source["serviceConnection"]["config"].update(connection)
    return workflow(source=source, server_url=server.url, token=server.token)


def test_a_plan_goes_to_standard_output_by_either_name(
    commands: Commands, server: ReferenceServer, tmp_path: Path
) -> None:
    fleet = Fleet(commands, tmp_path / "fleet", lite(server, tmp_path))
    for words in ([], ["-o", "-"]):
        printed = fleet.step("plan", "-n", "1", *words).require_success().output
        assert plans.read(printed, "plan").units()[0].tables == 3
    assert [one.name for one in (tmp_path / "fleet").iterdir()] == ["workflow.yaml"]


def test_a_source_that_cannot_be_listed_is_one_line(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    warehouse = Warehouse(databases, 5)
    fleet = Fleet(commands, tmp_path, warehouse.workflow(server, {}))
    names = [*warehouse.tables]
    for name in names:
        databases.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    try:
        refused = fleet.plan(2)
    finally:
        for name in names:
            databases.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    assert refused.exit_code == 2
    said = [line for line in refused.errors.splitlines() if line.startswith("openmetadata-bulksink:")]
    assert len(said) == 1
    assert "could not be read: Error trying to connect to database" in said[0]
    assert "Traceback" not in refused.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "ctrl-c"])
def test_a_plan_whose_source_does_not_answer_ends_by_the_signal(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path, number: signal.Signals
) -> None:
    config = Warehouse(databases, 5).workflow(server, {})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(240)
        config["source"]["serviceConnection"]["config"]["hostPort"] = f"127.0.0.1:{silent.getsockname()[1]}"
        file = write(config, tmp_path / "workflow.yaml")
        command = commands.start(["shard", "plan", "-c", str(file), "-n", "2"])
        connection, _ = silent.accept()
        with connection:
            command.kill(number)
            ended = command.wait()
    assert ended.exit_code == -number
    assert ended.errors.endswith("openmetadata-bulksink: interrupted\n")
    assert json.loads(ended.output or "null") is None


def test_schemas_without_tables_are_planned_and_written(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    """With databases that nobody can open, `template0`, among those that are listed."""
    for database in ("empty_yet", "no less"):
        databases.create_database(database)
        databases.execute("CREATE SCHEMA one; CREATE SCHEMA two", database=database)
    options = {
        "databaseFilterPattern": {"includes": ["^empty_yet$", "^no less$", "^template0$"]},
        "schemaFilterPattern": {"includes": ["^one$", "^two$"]},
    }
    source = postgres_source(databases, "postgres", connection={"ingestAllDatabases": True}, options=options)
    fleet = Fleet(commands, tmp_path, workflow(source=source, server_url=server.url, token=server.token))
    try:
        planned = fleet.plan(2).require_success()
        assert "template0 could not be read, and what is in it is not in the plan" in planned.errors
        fleet.open().require_success()
        fleet.run([0, 1])
        fleet.close().require_success()
    finally:
        for database in ("empty_yet", "no less"):
            databases.drop_database(database)
    assert {fqn.split(".", 1)[1] for fqn in live(server, "databaseSchemas")} >= {
        "empty_yet.one",
        "empty_yet.two",
        "no less.one",
        "no less.two",
    }


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_beyond_the_terminals_encoding_travel_in_documents_and_end_no_command(
    sink_environment: Path, databases: Postgres, server: ReferenceServer, tmp_path: Path, encoding: str
) -> None:
    databases.create_database("dä ta")
    databases.execute(
        'CREATE SCHEMA "ünï ☃"; CREATE TABLE "ünï ☃".t (id int); CREATE SCHEMA two; CREATE TABLE two.t (id int)',
        database="dä ta",
    )
    options = {"schemaFilterPattern": {"excludes": ["^public$", "^information_schema$"]}}
    source = postgres_source(databases, "dä ta", options=options)
    file = write(workflow(source=source, server_url=server.url, token=server.token), tmp_path / "workflow.yaml")

    def step(name: str, *words: str, output: Path | None = None, given: bytes = b"") -> str:
        with (output or Path(os.devnull)).open("ab") as out:
            ended = subprocess.run(
                [sink_environment / "bin" / "openmetadata-bulksink", "shard", name, "-c", file, *words],
                env={**inherited_variables(), "PYTHONIOENCODING": encoding},
                input=given,
                stdout=out,
                stderr=subprocess.PIPE,
                timeout=300,
            )
        said = ended.stderr.decode(errors="replace")
        assert ended.returncode == 0, said[-3_000:]
        assert "UnicodeEncodeError" not in said
        return said

    plan, all_results = tmp_path / "plan.json", tmp_path / "all.jsonl"
    try:
        step("plan", "-n", "2", output=plan)
        assert {(unit.database, unit.schema) for unit in plans.read(plan.read_text("utf-8"), "plan").units()} == {
            ("dä ta", "ünï ☃"),
            ("dä ta", "two"),
        }
        step("run", "--plan", str(plan), "--shard", "0", output=all_results)
        step("run", "--plan", str(plan), "--shard", "1", "--result", "/dev/stdout", output=all_results)
        assert [json.loads(line)["shard"] for line in all_results.read_text("utf-8").splitlines()] == [0, 1]
        step("close", "--plan", str(plan), "--result", "-", given=all_results.read_bytes())
    finally:
        databases.drop_database("dä ta")
    assert any(fqn.endswith(".dä ta.ünï ☃.t") for fqn in live(server))


@pytest.mark.parametrize("name", ['say "a"', "two\nlines"])
def test_a_name_that_upstream_cannot_take_is_said_and_that_no_filter_helps(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path, name: str
) -> None:
    databases.create_database("odd_names")
    quoted = name.replace('"', '""')
    databases.execute(f'CREATE SCHEMA one; CREATE SCHEMA "{quoted}"', database="odd_names")
    source = postgres_source(databases, "odd_names", options={"schemaFilterPattern": {"includes": ["^one$"]}})
    fleet = Fleet(commands, tmp_path, workflow(source=source, server_url=server.url, token=server.token))
    try:
        refused = fleet.plan(2)
    finally:
        databases.drop_database("odd_names")
    assert refused.exit_code == 2
    (said,) = [line for line in refused.errors.splitlines() if line.startswith("openmetadata-bulksink:")]
    assert f"there is {name!r}; one run ends there, too, and a filter does not help" in said


def test_where_open_fails_the_commands_that_go_on_are_said(
    commands: Commands, server: ReferenceServer, tmp_path: Path
) -> None:
    file = write(lite(server, tmp_path), tmp_path / "workflow.yaml")
    refused = {"kind": "status", "status": 403, "body": {"code": 403, "message": "no right"}}
    server.set_faults([{"match": {"method": "PUT"}, "do": refused}])
    ended = commands.run(["shard", "all", "-c", str(file), "-n", "1"])
    server.set_faults([])
    assert ended.exit_code == 1
    assert "opening did not end well: nothing below the service was written" in ended.errors
    assert "0 of 1 shards ended well" in ended.errors
    for step in ("open", "run", "close"):
        (said,) = commands_in(ended.errors, step)
        commands.run(said).require_success()
    assert len(live(server)) == 3


def test_who_interrupts_with_a_grace_period_is_told_of_it_and_of_what_was_not_delivered(
    commands: Commands, server: ReferenceServer, tmp_path: Path
) -> None:
    words = ["shard", "all", "-c", str(write(lite(server, tmp_path), tmp_path / "workflow.yaml")), "-n", "1"]
    held = {"class": "bulk", "collection": "tables"}
    server.set_faults([{"match": held, "do": {"kind": "stall", "seconds": 3600}}])
    command = commands.start(words, variables={"OM_BULKSINK_TERM_GRACE": "4"})
    server.until_waiting()
    command.kill(signal.SIGTERM)
    ended = command.wait()
    server.set_faults([])
    server.release()
    assert ended.exit_code == 2
    assert "interrupted: what is pending is delivered, for 4 s at most" in ended.errors
    assert "shard 0 did not end well: interrupted, and 3 records were not delivered in time" in ended.errors
