"""Every fault of a request and of a row, through the real sink class and real sockets: nothing is lost unnamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.python.faults.conftest import Results
from tests.python.faults.matrix import Case, cases, other_cases
from tests.python.faults.streams import Fed

pytestmark = [pytest.mark.wheel]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_fault(case: Case, results: Results) -> None:
    check(case, results(case))


@pytest.mark.parametrize("case", other_cases(), ids=lambda case: case.name)
def test_fault_of_another_request(case: Case, results: Results) -> None:
    check(case, results(case))


def check(case: Case, fed: Fed) -> None:
    """What must hold of a case that has ended, also where the fault never does. How soon it ends is asked of the engine
    in its own time (`a_server_that_is_gone_for_ever_ends_the_run_in_time` and others in tests/engine/scenarios.rs).
    """
    if case.expected == "written":
        fed.require_all_written(case.tables, life_cycles=case.life_cycles)
        return
    # What is read while the server is away, or not there because it was lost, the reader is told as ever.
    steps = [step for step in fed.steps if step.error is None or step.verb not in ("read", "list")]
    replace(fed, steps=steps).require_accounted_for(case.tables, life_cycles=case.life_cycles)
    starts = ("The Table lake.main.public.t", "The life cycle of Table lake.main.public.t")
    assert all(failure["error"].startswith(starts) for failure in fed.failures)
