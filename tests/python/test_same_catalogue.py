"""After our run the server holds what it holds after upstream's: first run, unchanged second run, changed third run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestions import Catalogue, PostgresCatalogue, RedshiftCatalogue, SqliteCatalogue
from tests.ingest import Postgres, ReferenceServer, Session, compare, describe
from tests.ingest.reference_server import State
from tests.redshift import Warehouse

pytestmark = [pytest.mark.upstream, pytest.mark.postgres, pytest.mark.redshift]

Make = Callable[[], Catalogue]


@pytest.fixture(scope="module")
def warehouses(postgres_programs: Path) -> Iterator[Callable[[], Catalogue]]:
    """Makes one warehouse after the other; each starts from the same state."""
    running: list[Warehouse] = []

    def make() -> Catalogue:
        while running:
            running.pop().stop()
        running.append(Warehouse(postgres_programs, RedshiftCatalogue.SHAPE))
        return RedshiftCatalogue(running[-1])

    yield make
    while running:
        running.pop().stop()


@pytest.fixture(params=["sqlite", "postgres", "redshift"])
def make(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, warehouses: Make) -> Make:
    """Makes a catalogue in its first state."""
    makers: dict[str, Make] = {
        "sqlite": lambda: SqliteCatalogue(tmp_path),
        "postgres": lambda: PostgresCatalogue(postgres),
        "redshift": warehouses,
    }
    return makers[request.param]


def states_of_three_runs(session: Session, server: ReferenceServer, make: Make) -> list[State]:
    """Ingests a fresh catalogue, the unchanged one, the changed one; the server's state after each."""
    server.reset()
    catalogue = make()
    states = []
    for number in range(3):
        if number == 2:
            catalogue.change()
        session.run(catalogue.workflow(server)).require_success()
        states.append(server.state())
    assert server.summary()["unknown"] == []
    return states


@pytest.mark.wheel
def test_same_catalogue(upstream: Session, sink: Session, server: ReferenceServer, make: Make) -> None:
    theirs = states_of_three_runs(upstream, server, make)
    ours = states_of_three_runs(sink, server, make)
    assert server.violations() == []
    for which, one, other in zip(("first", "unchanged", "changed"), theirs, ours, strict=True):
        differences = compare(one, other)
        assert not differences, f"{which} run: {describe(differences)}"
    assert theirs[0] != theirs[2]


def test_upstream_repeats_itself(upstream: Session, server: ReferenceServer, make: Make) -> None:
    """Without this the comparison above would prove nothing: sources and dumps are deterministic, changes are seen."""
    first, second = states_of_three_runs(upstream, server, make), states_of_three_runs(upstream, server, make)
    for one, other in zip(first, second, strict=True):
        differences = compare(one, other)
        assert not differences, describe(differences)
    assert compare(first[1], first[2])
