"""What a second run over an unchanged catalogue asks the server for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from ingestions import PostgresCatalogue
from openmetadata_bulksink import settings
from tests.ingest import Postgres, ReferenceServer, Session

pytestmark = [pytest.mark.upstream, pytest.mark.postgres, pytest.mark.wheel]

WITHOUT = ",".join(name for name in settings.ACCELERATORS if name != "seen_tables")

#: Each table is written before the next one is read: what is pending does not depend on the clock.
ONE_BY_ONE = {"bulk_sink_batch_size": 1}


class Request(NamedTuple):
    method: str
    path: str
    query: str
    body: str


class Key(NamedTuple):
    """A foreign key, by the FQNs of its table and of the one that it refers to."""

    of: str
    to: str


@pytest.fixture
def server(server_program: Any, server_profile: str) -> Iterator[ReferenceServer]:
    with ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true")) as running:
        yield running


@pytest.fixture
def catalogue(postgres: Postgres) -> Iterator[PostgresCatalogue]:
    """Chains of keys, circles, keys of a table to itself, in an order of turns that is the database's."""
    yield PostgresCatalogue(postgres, foreign_keys=1, database="again")
    postgres.drop_database("again")


def two_runs(
    process: Session, server: ReferenceServer, catalogue: PostgresCatalogue, service: str, accelerate: str, **more: Any
) -> tuple[list[Request], list[Request]]:
    """What two runs ask for; the second one finds nothing changed."""
    server.reset()
    config = catalogue.workflow(server, service, **more)
    asked = []
    for _ in range(2):
        seen = len(server.requests())
        process.run(config, variables={"OM_BULKSINK_ACCELERATE": accelerate}).require_success()
        log = server.requests(bodies=True)[seen:]
        asked.append([Request(one["method"], one["path"], one["query"], one.get("body", "")) for one in log])
    return asked[0], asked[1]


def turns(requests: list[Request]) -> list[str]:
    """The tables of a run in the order in which upstream came to them, by FQN; each was written before the next."""
    bodies = [body for one in requests if one.path.endswith("/tables/bulk") for body in json.loads(one.body)]
    return [f"{body['databaseSchema']}.{body['name']}" for body in bodies]


def keys(server: ReferenceServer) -> list[Key]:
    """All that the server knows."""
    constraints = [
        (fqn, constraint)
        for fqn, table in server.state()["tables"].items()
        for constraint in table.get("tableConstraints") or ()
        if constraint["constraintType"] == "FOREIGN_KEY"
    ]
    return [Key(fqn, constraint["referredColumns"][0].rpartition(".")[0]) for fqn, constraint in constraints]


def tables_asked_for(requests: list[Request], query: str) -> Counter[str]:
    """By FQN. Upstream asks for the table of a key without a query."""
    prefix = "/api/v1/tables/name/"
    found = [one.path for one in requests if one.method == "GET" and one.query == query]
    return Counter(unquote(path[len(prefix) :]) for path in found if path.startswith(prefix))


def needed(known: list[Key], order: list[str], asked: list[Request]) -> Counter[str]:
    """The look-ups that cannot be answered from the run itself: of tables whose turn comes later, and of those that
    upstream patched, which it reads whole; up to 1.13 these are tables whose keys came in the last pass of the first
    run. order: of turns, by FQN.
    """
    turn = {fqn: number for number, fqn in enumerate(order)}
    patched = tables_asked_for(asked, "fields=*")
    return Counter(key.to for key in known if turn[key.to] >= turn[key.of] or key.to in patched)


def test_keys_to_tables_that_had_their_turn_are_not_looked_up(
    sink: Session, server: ReferenceServer, catalogue: PostgresCatalogue, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = two_runs(sink, server, catalogue, "without", WITHOUT, sink=ONE_BY_ONE)
    without = tables_asked_for(second, "")
    assert without == Counter(key.to for key in keys(server))

    first, second = two_runs(sink, server, catalogue, "again", "1", sink=ONE_BY_ONE)
    asked, of_others = tables_asked_for(second, ""), needed(keys(server), turns(first), second)
    assert asked == of_others
    assert without.total() - of_others.total() > 50
    assert len(second) <= len(first)
    with capsys.disabled():
        print(f"\nlook-ups of an unchanged run: {without.total()}, now {asked.total()}: {dict(asked)}")
        print(f"requests of the first run: {len(first)}, of the unchanged one: {len(second)}")

    order = [fqn.replace("again.", "usual.", 1) for fqn in turns(first)]
    first, second = two_runs(sink, server, catalogue, "usual", "1")
    asked, of_others = tables_asked_for(second, ""), needed(keys(server), order, second)
    # Of tables that are pending the server is asked once whether it has them from an earlier run.
    assert asked >= of_others
    assert asked.total() <= of_others.total() + 1
