"""Every fault of a request and of a row, through the real sink class and real sockets: nothing is lost unnamed."""

from __future__ import annotations

import pytest

from tests.python.faults.conftest import CLIENT, Results
from tests.python.faults.matrix import TABLES, Case, cases

pytestmark = [pytest.mark.wheel]

#: What a busy machine adds to a bound.
SLACK = 6.0


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_fault(case: Case, results: Results) -> None:
    fed = results(case)
    # What is read while the server is away, or not there because it was lost, the reader is told as ever.
    steps = [step for step in fed.steps if step.error is None or step.verb not in ("read", "list")]
    if case.expected == "written":
        assert steps == fed.steps
        fed.require_all_written(TABLES)
        return
    object.__setattr__(fed, "steps", steps)
    fed.require_accounted_for(TABLES)
    assert all(failure["error"].startswith("The Table lake.main.public.t") for failure in fed.failures)
    if case.often == "ever":
        connect, read = CLIENT["timeout"]  # type: ignore[misc]
        bound = case.delivery_timeout + connect + read + SLACK
        if case.fault.name != "status_401":
            assert fed.seconds < bound, f"{fed.seconds:.1f} s: {fed.steps}"
