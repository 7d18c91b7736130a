"""Incremental extraction in shards, with upstream's Redshift connector on the facade: a watermark for each shard, which
moves only when everything has been written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet

from tests.ingest import ReferenceServer
from tests.ingest.commands import Commands
from tests.ingest.workflow import workflow
from tests.redshift import Shape, Warehouse
from tests.redshift.warehouse import schema_name, table_name

pytestmark = [pytest.mark.redshift, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]

SHAPE = Shape(schemas=2, tables=4, columns=4, views=0, procedures=0)

#: Each row of a table is refused.
REFUSED = [{"match": {"class": "bulk", "collection": "tables"}, "do": {"kind": "fail_rows", "status": 400}}]


@pytest.fixture(scope="module")
def warehouse(postgres_programs: Path) -> Iterator[Warehouse]:
    with Warehouse(postgres_programs, SHAPE) as running:
        yield running


class Nightly:
    """The same incremental workflow, planned and run again and again."""

    def __init__(self, commands: Commands, warehouse: Warehouse, server: ReferenceServer, folder: Path) -> None:
        self._commands, self._warehouse, self._server, self._folder = commands, warehouse, server, folder
        self._earlier = len(warehouse.proxy.statements)
        incremental = {"enabled": True, "lookbackDays": 7, "safetyMarginDays": 0}
        source = warehouse.source(options={"incremental": incremental})
        self._config = {
            **workflow(source=source, server_url=server.url, token=server.token),
            "ingestionPipelineFQN": "rs.nightly",
        }

    def fleet(self, name: str) -> Fleet:
        return Fleet(self._commands, self._folder / name, self._config)

    def planned(self, name: str, *, keep: Fleet | None = None) -> Fleet:
        """Two shards, in the places of an earlier plan; the service is opened."""
        fleet = self.fleet(name)
        fleet.plan(2, *(("--keep", str(keep.plan_file)) if keep else ())).require_success()
        fleet.open().require_success()
        return fleet

    def begun(self) -> Fleet:
        """The first run, whole."""
        first = self.planned("first")
        first.run([0, 1])
        first.close().require_success()
        return first

    def happens(self, statement: str) -> None:
        """A statement that changes the catalogue, in the query history, too."""
        history = (
            "INSERT INTO redshift_facade.sys_query_history (database_name, query_type, status, end_time, query_text)"
        )
        values = f"('{self._warehouse.database}', 'DDL', 'success', now() AT TIME ZONE 'UTC', '{statement}')"
        self._warehouse.execute(f"{statement}; {history} VALUES {values};")

    def changes_asked_for(self) -> list[str]:
        """The times from which changes have been asked for, in the order of the statements."""
        texts = (one.text for one in self._warehouse.proxy.statements[self._earlier :])
        return [text.split("end_time >= '")[1].split("'")[0] for text in texts if "end_time >= '" in text]

    def states(self) -> dict[str, list[str]]:
        """How the runs of each pipeline have ended, the oldest first."""
        path = "services/ingestionPipelines"
        state: dict[str, Any] = self._server.state()
        reported = state.get("attachments", {})
        return {name: reported[f"{path}/{name}/pipelineStatus"] for name in state.get(path, {})}


def columns(server: ReferenceServer, schema: int, table: int) -> list[str]:
    entity = server.state()["tables"][f"rs.dev.{schema_name(schema)}.{table_name(table)}"]
    return [column["name"] for column in entity["columns"]]


def shard_of(fleet: Fleet, schema: int) -> int:
    shards: list[list[list[Any]]] = json.loads(fleet.plan_file.read_text())["shards"]
    (number,) = (number for number, units in enumerate(shards) if schema_name(schema) in [unit[1] for unit in units])
    return number


def test_a_lost_batch_does_not_move_the_watermark_of_its_shard_and_the_next_run_reads_it_again(
    commands: Commands, warehouse: Warehouse, server: ReferenceServer, tmp_path: Path
) -> None:
    nightly = Nightly(commands, warehouse, server, tmp_path)
    first = nightly.begun()
    assert len(server.state()["tables"]) == SHAPE.schemas * SHAPE.tables
    assert not nightly.changes_asked_for()
    pipelines = nightly.states()
    assert sorted(name.rpartition("_")[0] for name in pipelines) == ["rs.nightly_shard_0", "rs.nightly_shard_1"]
    assert list(pipelines.values()) == [["success"], ["success"]]

    again = nightly.fleet("without-keep").plan(2)
    assert again.exit_code == 2
    assert "--keep" in again.errors
    fewer = nightly.fleet("fewer").plan(1, "--keep", str(first.plan_file))
    assert fewer.exit_code == 2
    assert "1 schemas would move" in fewer.errors

    lost, kept = shard_of(first, 0), shard_of(first, 1)
    assert lost != kept
    nightly.happens(f"ALTER TABLE {schema_name(0)}.{table_name(1)} ADD COLUMN came_late int")
    nightly.happens(f"ALTER TABLE {schema_name(1)}.{table_name(2)} ADD COLUMN came_late int")
    second = nightly.planned("second", keep=first)
    assert [shard_of(second, schema) for schema in (0, 1)] == [lost, kept]
    server.set_faults(REFUSED)
    assert f"shard {lost} has 1 failures" in second.start(lost).wait().require_success().errors
    server.set_faults([])
    second.run([kept])
    assert second.close().exit_code == 1
    assert "came_late" not in columns(server, 0, 1)
    assert "came_late" in columns(server, 1, 2)
    reported = {int(name.split("_shard_")[1][0]): states for name, states in nightly.states().items()}
    assert reported[kept] == ["success", "success"]
    assert reported[lost][0] == "success"
    assert "success" not in reported[lost][1:]

    before = nightly.changes_asked_for()
    assert len(before) == 2
    third = nightly.planned("third", keep=second)
    third.run([lost, kept])
    third.close().require_success()
    assert "came_late" in columns(server, 0, 1)
    asked = dict(zip((lost, kept), nightly.changes_asked_for()[2:], strict=True))
    # The shard that lost a batch asks from where it asked before; the other one from its last success.
    assert asked[lost] == before[0]
    assert asked[kept] > before[1]


def test_a_schema_that_comes_later_is_read_in_whole_by_a_pipeline_of_its_own(
    commands: Commands, warehouse: Warehouse, server: ReferenceServer, tmp_path: Path
) -> None:
    nightly = Nightly(commands, warehouse, server, tmp_path)
    first = nightly.begun()
    # Nothing in the query history names its table.
    warehouse.execute("CREATE SCHEMA late; GRANT USAGE ON SCHEMA late TO PUBLIC; CREATE TABLE late.t (id int);")
    second = nightly.planned("second", keep=first)
    assert [shard_of(second, schema) for schema in (0, 1)] == [shard_of(first, schema) for schema in (0, 1)]
    second.run([0, 1])
    second.close().require_success()
    assert "rs.dev.late.t" in server.state()["tables"]
    assert all(states[-1] == "success" for states in nightly.states().values())
    assert len(nightly.states()) == 3


def test_a_plan_that_never_ran_is_kept_without_losing_what_changed(
    commands: Commands, warehouse: Warehouse, server: ReferenceServer, tmp_path: Path
) -> None:
    nightly = Nightly(commands, warehouse, server, tmp_path)
    never = nightly.planned("never")
    # The larger schema is the first: now they are in each other's shards.
    larger = 1 - never.places()[warehouse.database, schema_name(0)]
    for number in range(6):
        name = f"{schema_name(larger)}.more_{number}"
        warehouse.execute(f"CREATE TABLE {name} (id int); GRANT SELECT ON {name} TO PUBLIC;")
    first = nightly.begun()
    changed, other = shard_of(first, 1 - larger), shard_of(first, larger)
    assert (changed, other) == (shard_of(never, larger), shard_of(never, 1 - larger))
    nightly.happens(f"ALTER TABLE {schema_name(1 - larger)}.{table_name(3)} ADD COLUMN came_now int")
    # The shard of the other schema has a success that is newer than the change.
    nightly.planned("second", keep=first).run([other])
    third = nightly.planned("third", keep=never)
    said = third.start(other).wait().require_success().errors
    assert "dev is read in whole: the last success of rs.nightly_shard_" in said
    assert "is none of this plan, nor of one that it keeps" in said
    third.run([changed])
    third.close().require_success()
    assert "came_now" in columns(server, 1 - larger, 3)
    before = len(nightly.changes_asked_for())
    nightly.planned("fourth", keep=third).run([0, 1])
    assert len(nightly.changes_asked_for()) == before + 2, "changes alone again"


def test_a_plan_is_not_used_with_the_watermarks_of_another_pipeline(
    commands: Commands, warehouse: Warehouse, server: ReferenceServer, tmp_path: Path
) -> None:
    nightly = Nightly(commands, warehouse, server, tmp_path)
    fleet = nightly.planned("first")
    renamed = json.loads(fleet.file.read_text().replace("rs.nightly", "rs.weekly"))
    assert renamed["ingestionPipelineFQN"] == "rs.weekly"
    fleet.file.write_text(json.dumps(renamed))
    refused = fleet.start(0).wait()
    assert refused.exit_code == 2
    assert "has changed since" in refused.errors
