"""The canary on servers that are wrong, or odd and right all the same; drawn by seed.

SEEDS: how many wrong servers of all sorts together, for `make canary-seeds`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from openmetadata_bulksink.canary.catalogue import COLLECTIONS
from tests.ingest import ReferenceServer
from tests.python.canary import meddling, wrong_writes
from tests.python.canary.benches import Bench

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(1_800)]

_SEEDS = int(os.environ.get("SEEDS", "0"))
_ODD_SEEDS = range(max(3, _SEEDS // 4))
#: Both sinks write anew for each of these.
_WRITING_SEEDS = range(_SEEDS // 10 or 2)
_READING_SEEDS = range(_SEEDS - 2 * len(_WRITING_SEEDS) if _SEEDS else 12)


@pytest.fixture(scope="module")
def sides() -> Iterator[dict[str, Any]]:
    """Both sinks' processes, for all canaries of this file."""
    from openmetadata_bulksink.canary.side import both_sides

    with both_sides() as made:
        yield made


@pytest.fixture(scope="module")
def bench(
    server_program: Path, server_profile: str, sides: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    with ReferenceServer(server_program, profile=server_profile) as server:
        made = Bench(server, sides, tmp_path_factory.mktemp("bench"))
        with made.between:
            yield made


@dataclass(frozen=True)
class Written:
    """A canary that has written; what a list shows of it; and which writes changed something."""

    canary: Any
    entities: list[meddling.Seen]
    writes: list[wrong_writes.Write]


@pytest.fixture(scope="module")
def written(bench: Bench) -> Iterator[Written]:
    writes = wrong_writes.Writes()
    canary, entities = bench.canary(), []
    bench.between.meddle = writes

    def note(collection: str, page: Any) -> None:
        entities.extend(meddling.Seen(collection, entity) for entity in page["data"])

    try:
        canary.write()
        bench.between.meddle = meddling.on_lists(note)
        canary.compare("back")
        assert canary.found.same, canary.found
        assert len(entities) == 2 * (2 + 3 + 120 + 4)
        yield Written(canary, entities, writes.seen)
    finally:
        canary.clean_up()


@pytest.fixture
def read_again(bench: Bench, written: Written) -> Callable[[Any], Any]:
    """Compares anew with somebody in between; gives what was found."""
    from openmetadata_bulksink.canary.examination import Findings

    def read(meddle: Any) -> Any:
        canary = written.canary
        canary.found = Findings(order=canary.found.order, work=canary.found.work)
        bench.between.meddle = meddle
        canary.compare("back")
        return canary.found

    return read


def page(found: Any) -> list[str]:
    """What people read."""
    from openmetadata_bulksink.canary.page import lines

    return list(lines(found))


@pytest.mark.parametrize("seed", _READING_SEEDS)
def test_one_value_that_is_dropped_or_changed_is_found_and_named(
    written: Written, read_again: Callable[[Any], Any], seed: int
) -> None:
    meddle, chosen, leaf = meddling.one_field(written.entities, Random(seed))
    found = read_again(meddle)
    assert not found.same
    # Without its name or its parent it is another entity, and this one is missing.
    field = "" if leaf.path[0] in ("name", COLLECTIONS[chosen.collection]) else leaf.path[0]
    assert [
        one
        for one in found.differences
        if one.collection == chosen.collection
        and one.name.endswith(f".{chosen.entity['name']}")
        and (one.field.startswith(field) if field else not one.field)
    ], (chosen.entity["name"], leaf.path, found.differences[:5])
    assert [line for line in page(found) if line.startswith(f"  {chosen.collection} {field or '(whole entity)'}")]


@pytest.mark.parametrize("seed", _ODD_SEEDS)
def test_odd_and_right_is_no_difference(read_again: Callable[[Any], Any], seed: int) -> None:
    found = read_again(meddling.odd(Random(seed)))
    assert found.same, (found.differences[:5], found.wrong[:5])


def test_writes_of_every_kind_can_be_lost(written: Written) -> None:
    """Those that the seeds draw from: of both sinks, and of every sort that a workflow sends."""
    assert {one.service for one in written.writes} == {1, 2}
    created = {("PUT", name) for name in ("databases", "databaseSchemas", "tables", "storedProcedures")}
    assert created | {("PATCH", "tables"), ("DELETE", "databaseSchemas")} == {one.kind for one in written.writes}


@pytest.mark.parametrize("seed", _WRITING_SEEDS)
def test_a_write_that_is_lost_is_found_and_named(bench: Bench, written: Written, seed: int) -> None:
    lost = wrong_writes.draw(written.writes, Random(seed))
    meddle = wrong_writes.Writes(lose=lost)
    found = bench.found(meddle)
    assert meddle.lost
    assert not found.same, lost
    at_fault = [one for one in found.differences if one.collection == lost.collection]
    if lost.method == "DELETE":  # of what is in the entity, and was not seen
        at_fault = [one for one in at_fault if one.field == "deleted" and one.name.startswith(f"{lost.entity}.")]
    else:
        at_fault = [one for one in at_fault if one.name == lost.entity]
    assert at_fault, (lost, found.differences[:5], found.wrong[:5])
    assert any(line.startswith(f"  {lost.collection} ") for line in page(found))


@pytest.mark.parametrize("seed", _WRITING_SEEDS)
def test_two_answers_that_are_swapped_are_found_and_named(bench: Bench, seed: int) -> None:
    rng = Random(seed)
    meddle = wrong_writes.Swapped(rng.choice((1, 2)), rng)
    found = bench.found(meddle)
    assert len(meddle.rows) == 2
    assert not found.same, meddle.rows
    names = [row.rpartition(".")[2] for row in meddle.rows]
    assert [line for line in found.wrong if any(name in line.about for name in names)], (meddle.rows, found.wrong)
