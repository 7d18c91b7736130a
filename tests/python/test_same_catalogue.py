"""After our run the server holds what it holds after upstream's: first run, unchanged second run, changed third run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestions import Catalogue, PostgresCatalogue, RedshiftCatalogue, SqliteCatalogue
from tests.ingest import Postgres, ReferenceServer, Session, compare, describe, ingest
from tests.ingest.reference_server import State
from tests.redshift import Warehouse

pytestmark = [pytest.mark.upstream, pytest.mark.postgres, pytest.mark.redshift]

Make = Callable[[], Catalogue]


@pytest.fixture(scope="module")
def warehouse(postgres_programs: Path) -> Iterator[Warehouse]:
    """One for all tests: its port is in what the server stores."""
    with Warehouse(postgres_programs, RedshiftCatalogue.SHAPE) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: a file's path is in what the server stores."""
    return tmp_path_factory.mktemp("catalogues")


@pytest.fixture(params=["sqlite", "postgres", "redshift"])
def make(
    request: pytest.FixtureRequest, folder: Path, postgres: Postgres, warehouse: Warehouse, upstream_version: str
) -> Make:
    """Makes a catalogue in its first state."""
    makers: dict[str, Make] = {
        "sqlite": lambda: SqliteCatalogue(folder),
        "postgres": lambda: PostgresCatalogue(postgres, foreign_keys=1 if upstream_version.startswith("1.") else 2),
        "redshift": lambda: RedshiftCatalogue(warehouse),
    }
    return makers[request.param]


def session(request: pytest.FixtureRequest, side: str) -> Session:
    """The process that runs a catalogue's connector, `upstream` or `sink`."""
    redshift = request.node.callspec.params["make"] == "redshift"
    found: Session = request.getfixturevalue(f"redshift_{side}" if redshift else side)
    return found


@pytest.fixture
def theirs(request: pytest.FixtureRequest, server: ReferenceServer, make: Make) -> list[State]:
    """What upstream leaves behind after each of its three runs; run once for each catalogue."""
    name = request.node.callspec.params["make"]
    if name not in _THEIRS:
        _THEIRS[name] = states_of_three_runs(session(request, "upstream"), server, make)
        server.reset()
    return _THEIRS[name]


_THEIRS: dict[str, list[State]] = {}


def service_of(catalogue: Catalogue) -> str:
    """A service with a dot where no table has foreign keys: upstream finds no referred table below such a one."""
    return f"same.{catalogue.kind}" if catalogue.kind == "sqlite" else f"same_{catalogue.kind}"


def states_of_three_runs(process: Session, server: ReferenceServer, make: Make) -> list[State]:
    """Ingests a fresh catalogue, the unchanged one, the changed one; the server's state after each."""
    catalogue = make()
    states = []
    for number in range(3):
        if number == 2:
            catalogue.change()
        process.run(catalogue.workflow(server, service_of(catalogue))).require_success()
        states.append(server.state())
    assert server.summary()["unknown_routes"] == []
    return states


@pytest.mark.wheel
def test_same_catalogue(
    request: pytest.FixtureRequest, theirs: list[State], server: ReferenceServer, make: Make, upstream_version: str
) -> None:
    ours = states_of_three_runs(session(request, "sink"), server, make)
    assert server.violations() == []
    for which, one, other in zip(("first", "unchanged", "changed"), theirs, ours, strict=True):
        differences = compare(one, other, first_loses_keys=upstream_version.startswith("1."))
        assert not differences, f"{which} run: {describe(differences)}"


def test_upstream_repeats_itself(
    theirs: list[State], upstream_environment: Path, server: ReferenceServer, make: Make
) -> None:
    """Without this the comparison above would prove nothing: sources and dumps are deterministic, changes are seen."""
    catalogue = make()
    ingest(upstream_environment, catalogue.workflow(server, service_of(catalogue))).require_success()
    differences = compare(theirs[0], server.state())
    assert not differences, describe(differences)
    changes = compare(theirs[1], theirs[2])
    assert any(change.fqn.endswith(("came_later", "table_00110")) for change in changes)
    assert len({change.fqn for change in changes}) >= 3
