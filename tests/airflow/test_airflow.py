"""The example under a real Airflow: mapped shards, two DAGs at once, a shard that is killed and tried again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.instance import Airflow
from tests.ingest import Postgres, ReferenceServer
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source
from tests.ingest.workflow import workflow, write

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "airflow_shards.py"
#: The DAG of one task, with the sink switched off in it.
WITHOUT_SINK = (
    EXAMPLE.read_text()
    .replace("\nopenmetadata_shards()\n", "\n")
    .replace("openmetadata_whole", "without_sink")
    .replace("    def ingest() -> None:\n", '    def ingest() -> None:\n        os.environ["OM_BULKSINK"] = "0"\n')
)
SHAPE = PostgresShape(schemas=4, tables=10, columns=4, foreign_keys=1)
TABLES = SHAPE.schemas * SHAPE.tables


@pytest.fixture(scope="module")
def server() -> Iterator[ReferenceServer]:
    with ReferenceServer(Path(os.environ["BULKSINK_TEST_SERVER"]), profile="2.0") as running:
        yield running


@pytest.fixture(scope="module")
def airflow(server: ReferenceServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("airflow")
    with Postgres(Path(os.environ["BULKSINK_TEST_POSTGRES"])) as database:
        fill_postgres(database, "shop", SHAPE)
        source = postgres_source(
            database, "shop", options={"schemaFilterPattern": {"excludes": ["^(information_schema|public)$"]}}
        )
        file = write(workflow(source=source, server_url=server.url, token=server.token), folder / "workflow.yaml")
        variables = {
            "OPENMETADATA_WORKFLOW": str(file),
            "OPENMETADATA_SHARDS": "2",
            "OM_BULKSINK_KEEP_ALARM": "1",
        }
        without = folder / "without_sink.py"
        without.write_text(WITHOUT_SINK)
        names = ("openmetadata_shards", "openmetadata_whole", "without_sink")
        with Airflow([EXAMPLE, without], names, variables) as running:
            yield running


pytestmark = pytest.mark.timeout(1800)


def live(server: ReferenceServer) -> int:
    return sum(not table["deleted"] for table in server.state().get("tables", {}).values())


def test_mapped_shards_beside_a_workflow_without_the_sink(airflow: Airflow, server: ReferenceServer) -> None:
    airflow.trigger("openmetadata_shards", "mapped")
    airflow.trigger("without_sink", "beside")
    states = [airflow.wait("openmetadata_shards", "mapped"), airflow.wait("without_sink", "beside")]
    assert states == ["success", "success"], airflow.logs()
    shards = [task for task in airflow.tasks("openmetadata_shards", "mapped") if task["task_id"] == "shard"]
    assert sorted(task["map_index"] for task in shards) == [0, 1]
    assert live(server) == TABLES
    handed_on = airflow.xcoms()
    assert "area_000" in handed_on
    assert server.token not in handed_on + airflow.logs()


def test_a_shard_that_is_killed_is_tried_again(airflow: Airflow, server: ReferenceServer) -> None:
    # No shard can end before one of them has been killed.
    server.set_faults([{"match": {"class": "bulk", "collection": "tables"}, "do": {"kind": "stall", "seconds": 3600}}])
    airflow.trigger("openmetadata_shards", "killed")

    def shards() -> list[dict[str, Any]]:
        return [task for task in airflow.tasks("openmetadata_shards", "killed") if task["task_id"] == "shard"]

    killed = airflow.until(
        "a shard is running and a batch of tables is at the server",
        lambda: server.waiting() and [task for task in shards() if task["state"] == "running" and task["pid"]],
    )[0]
    os.kill(int(killed["pid"]), signal.SIGKILL)
    server.set_faults([])
    server.release()
    assert airflow.wait("openmetadata_shards", "killed") == "success", airflow.logs()
    attempts = {task["map_index"]: task["try_number"] for task in shards()}
    assert attempts == {0: 1, 1: 1} | {killed["map_index"]: 2}
    assert live(server) == TABLES
