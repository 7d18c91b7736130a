"""The example on a Ray of this machine: two shards, each in a worker of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest import Postgres, ReferenceServer
from tests.ingest.runs import inherited_variables
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source
from tests.ingest.workflow import workflow, write

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ray_shards.py"
SHAPE = PostgresShape(schemas=4, tables=10, columns=4, foreign_keys=1)


@pytest.mark.timeout(900)
def test_two_shards_on_ray(tmp_path: Path) -> None:
    with (
        ReferenceServer(Path(os.environ["BULKSINK_TEST_SERVER"]), profile="2.0") as server,
        Postgres(Path(os.environ["BULKSINK_TEST_POSTGRES"])) as database,
    ):
        fill_postgres(database, "shop", SHAPE)
        options = {"schemaFilterPattern": {"excludes": ["^(information_schema|public)$"]}}
        source = postgres_source(database, "shop", options=options)
        file = write(workflow(source=source, server_url=server.url, token=server.token), tmp_path / "workflow.yaml")
        ran = subprocess.run(
            [sys.executable, EXAMPLE, str(file), "2"],
            env={**inherited_variables(), "RAY_USAGE_STATS_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=850,
        )
        assert ran.returncode == 0, ran.stdout[-3_000:] + ran.stderr[-6_000:]
        tables = server.state()["tables"]
        assert len(tables) == SHAPE.schemas * SHAPE.tables
        assert not any(table["deleted"] for table in tables.values())
        assert server.token not in ran.stdout + ran.stderr
