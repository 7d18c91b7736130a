"""Whatever is drawn: shards leave what one run leaves, in the first, second and third run."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from fleet import Fleet
from warehouse import SERVICE, Warehouse, drawn_options

from tests.ingest import Postgres, ReferenceServer, compare, describe
from tests.ingest.commands import Commands
from tests.ingest.workflow import write

pytestmark = [pytest.mark.postgres, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]

SEEDS = [int(seed) for seed in os.environ.get("SEEDS_OF_SHARDS", "1 2 3").split()]


@pytest.mark.parametrize("seed", SEEDS)
def test_shards_leave_what_one_run_leaves(
    seed: int,
    commands: Commands,
    databases: Postgres,
    server_program: Path,
    server_profile: str,
    tmp_path: Path,
) -> None:
    draw = random.Random(seed)
    warehouse = Warehouse(databases, seed)
    options = drawn_options(seed)
    with (
        ReferenceServer(server_program, profile=server_profile) as one,
        ReferenceServer(server_program, profile=server_profile) as many,
    ):
        for number in range(3):
            if number:
                warehouse.change()
            file = write(warehouse.workflow(one, options), tmp_path / "one.yaml")
            commands.run(["metadata", "ingest", "-c", str(file)]).require_success()
            shards = 2 if seed % 2 else 4
            order = draw.sample(range(shards), shards)
            fleet = Fleet(commands, tmp_path / f"run-{number}", warehouse.workflow(many, options))
            closed = fleet.whole(shards, order)
            expected, found = one.state(), many.state()
            differences = compare(expected, found)
            assert not differences, f"run {number}, {options}\n{describe(differences)}\n{closed.errors[-3_000:]}"
            assert many.violations() == []
            alive = {fqn for fqn, table in found["tables"].items() if not table["deleted"]}
            missing = [name for name in _expected_tables(warehouse, options) if name not in alive]
            assert not missing, f"tables of the source are not alive: {missing[:5]}"
        before = many.state()
        fleet.close(shards=range(shards)).require_success()
        assert not compare(before, many.state()), "a second close changed something"


def _expected_tables(warehouse: Warehouse, options: dict[str, object]) -> list[str]:
    filtered = str(options.get("tableFilterPattern", ""))
    quoted = {name: f'"{name}"' if "." in name else name for name in (SERVICE,)}
    found = []
    for database, schemas in warehouse.tables.items():
        for schema, tables in schemas.items():
            for table in tables:
                if ("table_03" in filtered and table == "table_03") or ("came_" in filtered and "came_" in table):
                    continue
                parts = [quoted[SERVICE], *(f'"{name}"' if "." in name else name for name in (database, schema))]
                found.append(".".join([*parts, table]))
    return found
