"""Whatever is drawn: shards leave what one run leaves, in the first, second and third run."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fleet import Fleet
from warehouse import Warehouse, drawn_options

from openmetadata_bulksink.records import quote_name
from tests.ingest import Postgres, ReferenceServer, compare, describe
from tests.ingest.catalogue import State, has_foreign_key
from tests.ingest.commands import Commands
from tests.ingest.workflow import write

pytestmark = [pytest.mark.postgres, pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(900)]

SEEDS = os.environ.get("SEEDS_OF_SHARDS")
#: A seed, and in how many shards.
CASES = [(int(seed), shards) for seed in SEEDS.split() for shards in (2, 4)] if SEEDS else [(1, 2), (2, 4), (3, 2)]


@pytest.mark.parametrize(("seed", "shards"), CASES)
def test_shards_leave_what_one_run_leaves(
    seed: int,
    shards: int,
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
            fleet = Fleet(commands, tmp_path / f"run-{number}", warehouse.workflow(many, options))
            fleet.plan(shards).require_success()
            fleet.open().require_success()
            order = draw.sample(range(shards), shards) if number else _referring_first(warehouse, fleet, shards)
            fleet.run(order)
            if not number:
                unresolved = {_referring(key) for shard in order for key in fleet.keys(shard)}
                never, early = _not_found(warehouse, fleet, order, options)
                assert unresolved == never | early
                # Of twenty seeds one has no such key in two shards.
                assert early or "." in warehouse.service or SEEDS
            closed = fleet.close().require_success()
            expected, found = one.state(), many.state()
            gone = _lost_all_keys(expected, warehouse) if number else set()
            differences = compare(expected, found, keys_gone_from=gone)
            assert not differences, f"run {number}, {options}\n{describe(differences)}\n{closed.errors[-3_000:]}"
            assert many.violations() == []
            alive = {fqn for fqn, table in found["tables"].items() if not table["deleted"]}
            missing = [name for name in _expected_tables(warehouse, options) if name not in alive]
            assert not missing, f"tables of the source are not alive: {missing[:5]}"
        before = many.state()
        fleet.close().require_success()
        assert not compare(before, many.state()), "a second close changed something"


Table = tuple[str, str, str]


def _lost_all_keys(one: State, warehouse: Warehouse) -> set[str]:
    """Tables to which one run has left foreign keys though the source has none there any more.

    A key that one run patches in at its end is in no hash, and stays on a 2.0 server when it goes from the source.
    Which keys these are depends on what was still pending. The shards mark all that `close` completes, and leave them
    out.
    """
    with_keys = {fqn for fqn, table in one["tables"].items() if has_foreign_key(table) and not table["deleted"]}
    # No run says anything more of what is in a database that was dropped.
    there = {fqn for fqn in with_keys if warehouse.has_database_of(fqn)}
    return {fqn for fqn in there if warehouse.keys_of(fqn) == 0}


def _referring_first(warehouse: Warehouse, fleet: Fleet, shards: int) -> list[int]:
    """The shards, those first whose tables refer most to tables of others."""
    places = fleet.places()
    outwards = Counter(
        places[database, schema]
        for database, schema, _, other, _ in warehouse.references
        if places[database, schema] != places[database, other]
    )
    return sorted(range(shards), key=lambda shard: -outwards[shard])


def _not_found(
    warehouse: Warehouse, fleet: Fleet, order: list[int], options: dict[str, Any]
) -> tuple[set[Table], set[Table]]:
    """Tables whose key names one that upstream never finds, and whose key names one of a shard that runs later."""
    places = fleet.places()
    turn = {shard: number for number, shard in enumerate(order)}
    never, early = set(), set()
    for database, schema, table, other, target in warehouse.references:
        if "." in warehouse.service + database + other or _kept_out(target, options):
            never.add((database, schema, table))
        elif turn[places[database, other]] > turn[places[database, schema]]:
            early.add((database, schema, table))
    return never, early


def _referring(key: dict[str, Any]) -> Table:
    return str(key["db_name"]), str(key["schema_name"]), str(key["table_name"])


def _kept_out(table: str, options: dict[str, Any]) -> bool:
    filtered = str(options.get("tableFilterPattern", ""))
    return ("table_03" in filtered and table == "table_03") or ("came_" in filtered and "came_" in table)


def _expected_tables(warehouse: Warehouse, options: dict[str, Any]) -> list[str]:
    return [
        ".".join([*(quote_name(name) for name in (warehouse.service, database, schema)), table])
        for database, schemas in warehouse.tables.items()
        for schema, tables in schemas.items()
        for table in tables
        if not _kept_out(table, options)
    ]
