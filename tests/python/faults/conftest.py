"""Processes that feed streams to upstream's sink class, and the cases of the fault table at work while others are
checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.matrix import Case
from tests.python.faults.streams import Fed, Feeder, own_server, prepare

#: Cases at work at the same time: they spend their time waiting for each other's servers.
AT_ONCE = 32

#: What is scaled down for both sinks: time-outs of 2 s for 10 and 300; upstream waits 1, 2, 3 s at a 504 for 30, 60,
#: 90.
TIMEOUTS = (2, 2)
CLIENT = {"timeout": TIMEOUTS, "retry_wait": 1}


@pytest.fixture(scope="session")
def feeder(sink_environment: Path) -> Iterator[Feeder]:
    """Feeds our sink."""
    with Feeder(sink_environment) as process:
        yield process


@pytest.fixture(scope="session")
def upstream_feeder(sink_environment: Path) -> Iterator[Feeder]:
    """Feeds upstream's sink, switched back to as a user does it."""
    with Feeder(sink_environment, {"OM_BULKSINK": "0"}) as process:
        yield process


@pytest.fixture
def lake(server: ReferenceServer) -> ReferenceServer:
    """An empty server with a schema for tables."""
    prepare(server)
    return server


def feed_case(feeder: Feeder, program: Path, profile: str, case: Case) -> Fed:
    """One case with a server of its own."""
    with own_server(program, profile=profile) as server:
        prepare(server)
        server.ask("PUT", "/switches", dict(case.kind.switches))
        server.set_faults(case.rules)
        variables = {
            "OM_BULKSINK_DELIVERY_TIMEOUT": str(case.delivery_timeout),
            "OM_BULKSINK_ACCELERATE": "0",
        }
        return feeder.feed(server, case.stream, client=CLIENT, variables=variables)


@pytest.fixture(scope="session", autouse=True)
def scenarios(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """What came of the scenarios of test_deadline.py. They only wait, so they begin with the first test of all, each
    with a server of its own.
    """
    from tests.python.faults.test_deadline import SCENARIOS, play, test_deadline

    if not any(getattr(item, "originalname", "") == test_deadline.__name__ for item in request.session.items):
        yield {}
        return
    program = request.getfixturevalue("server_program")
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {name: pool.submit(play, program, scenario) for name, scenario in SCENARIOS.items()}


Results = Callable[[Case], Fed]


@pytest.fixture(scope="session")
def results(
    request: pytest.FixtureRequest, feeder: Feeder, server_program: Path, server_profile: str
) -> Iterator[Results]:
    """What came of a case; all selected cases are at work from the first question on."""
    cases = _selected(request.session.items)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures: dict[str, Future[Fed]] = {
            case.name: pool.submit(feed_case, feeder, server_program, server_profile, case) for case in cases
        }
        yield lambda case: futures[case.name].result(280)
        pool.shutdown(cancel_futures=True)


def _selected(items: list[pytest.Item]) -> list[Case]:
    found: dict[str, Case] = {}
    for item in items:
        case: Any = getattr(item, "callspec", None) and item.callspec.params.get("case")  # type: ignore[attr-defined]
        if isinstance(case, Case):
            found[case.name] = case
    return list(found.values())
