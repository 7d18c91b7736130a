"""The success threshold is one for all shards, as it is one for one run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Fleet

from openmetadata_bulksink.shard import threshold
from openmetadata_bulksink.shard.results import PartResult, Step
from tests.ingest import Postgres, ReferenceServer
from tests.ingest.commands import Commands
from tests.ingest.sources import postgres_source, sqlite_file, sqlite_source
from tests.ingest.workflow import workflow, write
from tests.python.shards.test_hazards import live

CLOSED = PartResult(("small", "large"), "well", steps=(Step("Postgres", 5, 0), Step("OpenMetadata", 5, 0)))


def part(database: str, done: int, *failed: str) -> PartResult:
    steps = (Step("Postgres", done + len(failed), 0), Step("OpenMetadata", done, len(failed)))
    return PartResult((database,), "well", steps=steps, failures=tuple((name, "refused") for name in failed))


def test_a_small_part_may_fail_in_whole_where_the_whole_is_large() -> None:
    parts = [part("small", 0, "a", "b"), part("large", 98)]
    assert threshold.below(parts, CLOSED, 90) is None
    said = threshold.below(parts, CLOSED, 99)
    assert said == (
        "OpenMetadata: 2 of 99 records of all shards failed, and 97.98 % is below the success threshold (99 %)"
    )


def test_the_whole_may_be_below_where_hardly_any_part_is() -> None:
    parts = [part("small", 1, *"abcdefghijklmnop"), part("large", 100)]
    assert threshold.below(parts, CLOSED, 90) is not None


def test_what_several_parts_write_is_one_record_of_one_run() -> None:
    """Three parts of two databases: two services and one database more than one run writes."""
    parts = [part("small", 10), part("large", 10), part("large", 10)]
    assert threshold.counts(parts, CLOSED) == [Step("Postgres", 27, 0), Step("OpenMetadata", 27, 0)]


def test_what_fails_in_a_shard_and_when_it_is_closed_is_one_failure() -> None:
    failed = (("table", "gone"), ("a", "refused"), ("b", "refused"))
    closed = PartResult(
        CLOSED.databases, "well", steps=(Step("Postgres", 5, 1), Step("OpenMetadata", 5, 2)), failures=failed
    )
    assert [step.failed for step in threshold.counts([part("small", 0, "a")], closed)] == [1, 2]


def test_a_loss_among_many_is_no_whole_success() -> None:
    """What rounds to 100 %."""
    assert threshold.below([part("large", 100_000, "a")], CLOSED, 100) is not None
    source = PartResult(("large",), "well", steps=(Step("Postgres", 100_000, 1), Step("OpenMetadata", 100_000, 0)))
    assert threshold.below([source], CLOSED, 100) is None, "upstream's own status, and its own rounding"


def test_nothing_at_all_is_a_success() -> None:
    assert threshold.below([], PartResult((), "well", steps=(Step("Postgres", 0, 0),)), 100) is None


@pytest.fixture
def other_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    with ReferenceServer(server_program, profile=server_profile) as server:
        yield server


@pytest.mark.postgres
@pytest.mark.wheel
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_shards_end_as_one_run_would_with_the_same_failures(
    commands: Commands, databases: Postgres, server: ReferenceServer, other_server: ReferenceServer, tmp_path: Path
) -> None:
    """A table of a tiny database is refused, each time; the database that comes after it in the shard runs all the
    same, and what is gone is deleted.
    """
    for database, tables in (("a_small", 2), ("b_next", 20), ("c_large", 40)):
        databases.create_database(database)
        for schema in ("one", "two"):
            statements = [f"CREATE TABLE {schema}.t_{number} (id int);" for number in range(tables)]
            databases.execute(f"CREATE SCHEMA {schema}; {''.join(statements)}", database=database)
    options = {
        "databaseFilterPattern": {"includes": ["^a_small$", "^b_next$", "^c_large$"]},
        "schemaFilterPattern": {"includes": ["^one$", "^two$"]},
    }
    source = postgres_source(databases, "postgres", connection={"ingestAllDatabases": True}, options=options)
    one, many = (workflow(source=source, server_url=each.url, token=each.token) for each in (server, other_server))
    refused = source["serviceName"] + ".a_small.one.t_0"
    faults = {"kind": "fail_rows", "fqns": [refused], "status": 400, "message": "no such type"}
    file = write(one, tmp_path / "one.yaml")
    fleet = Fleet(commands, tmp_path / "many", many)
    words = ["-n", "2", "--results", str(tmp_path / "results")]

    def both(status: int) -> str:
        assert commands.run(["metadata", "ingest", "-c", str(file)]).exit_code == status
        ended = fleet.step("all", *words)
        assert ended.exit_code == status, ended.errors[-3_000:]
        assert live(other_server) == live(server)
        return ended.errors

    for each in (server, other_server):
        each.set_faults([{"match": {"class": "bulk", "fqn": refused}, "do": faults}])
    said = both(0)
    assert "2 of 2 shards ended well: 124 tables, 1 failures" in said
    assert f"{refused}: The Table {refused} was not written" in said
    databases.execute("DROP TABLE one.t_7", database="c_large")
    assert "closed: 1 deleted" in both(0)
    assert len(live(server)) == 122

    faults["fqns"] = [f"{source['serviceName']}.c_large.{schema}.t_{n}" for schema in ("one", "two") for n in range(20)]
    databases.execute("DROP TABLE one.t_30", database="c_large")
    for schema in ("one", "two"):
        statements = [f"ALTER TABLE {schema}.t_{number} ADD x int;" for number in range(20) if number != 7]
        databases.execute("".join(statements), database="c_large")
    for each in (server, other_server):
        each.set_faults([{"match": {"class": "bulk"}, "do": faults}])
    said = both(1)
    assert "closed: 1 deleted" in said, "as one run, which judges itself when it has deleted"
    assert "records of all shards failed, and" in said
    assert "is below the success threshold (90 %); run shard" in said


@pytest.mark.postgres
@pytest.mark.wheel
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_database_whose_process_is_killed_keeps_no_other_of_its_shard_back(
    commands: Commands, databases: Postgres, server: ReferenceServer, tmp_path: Path
) -> None:
    for database in ("x_first", "y_second"):
        databases.create_database(database)
        for schema in ("one", "two"):
            databases.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (id int);", database=database)
    options = {
        "databaseFilterPattern": {"includes": ["^x_first$", "^y_second$"]},
        "schemaFilterPattern": {"includes": ["^one$", "^two$"]},
    }
    source = postgres_source(databases, "postgres", connection={"ingestAllDatabases": True}, options=options)
    fleet = Fleet(commands, tmp_path, workflow(source=source, server_url=server.url, token=server.token))
    fleet.plan(1).require_success()
    with server.holding("bulk"):
        command = fleet.start(0)
        server.until_waiting()
        (child,) = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
    ended = command.wait()
    assert ended.exit_code == 1
    assert "shard 0 did not end well: x_first: its process ended with signal 9" in ended.errors
    assert {fqn.split(".")[1] for fqn in live(server)} == {"y_second"}
    assert fleet.close().exit_code == 1


def states(server: ReferenceServer) -> list[str]:
    """How the runs of the one pipeline stand, the oldest first."""
    attached = server.state().get("attachments", {})
    (told,) = (each for place, each in attached.items() if place.endswith("/pipelineStatus"))
    return [one["pipelineState"] if isinstance(one, dict) else str(one) for one in told]


@pytest.mark.wheel
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_pipeline_is_shown_as_failed_where_close_did_not_do_its_work(
    commands: Commands, other_server: ReferenceServer, tmp_path: Path
) -> None:
    server, lite = other_server, tmp_path / "lite.db"
    source = sqlite_source(sqlite_file(lite, tables=60, columns=3))
    config = workflow(source=source, server_url=server.url, token=server.token, pipeline="nightly")
    fleet = Fleet(commands, tmp_path, config)
    assert fleet.step("all", "-n", "1").exit_code == 0
    assert states(server)[-1:] == ["success"]
    sqlite_file(lite, tables=5, columns=3)
    assert fleet.step("all", "-n", "1").exit_code == 1
    assert states(server)[-1:] == ["failed"]
    assert fleet.step("all", "-n", "1", "--max-deleted", "100").exit_code == 0
    assert states(server)[-1:] == ["success"]
    assert len(live(server)) == 5
    refused = {"kind": "fail_rows", "status": 400, "message": "no such type"}
    server.set_faults([{"match": {"class": "bulk", "collection": "tables"}, "do": refused}])
    sqlite_file(lite, tables=5, columns=4)
    ended = fleet.step("all", "-n", "1")
    assert (ended.exit_code, "below the success threshold" in ended.errors) == (1, True)
    assert states(server)[-1:] == ["failed"]
    assert len(states(server)) == 4, "one run each"
