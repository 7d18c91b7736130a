"""Twenty seeds of `make chaos`: the real sink class in a process of its own, in bad weather."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.judge import MOST_FAILED
from tests.chaos.runs import run

pytestmark = [pytest.mark.wheel, pytest.mark.slow]


def test_nothing_is_lost_or_unnamed_in_twenty_runs(sink_environment: Path, server_program: Path) -> None:
    verdicts = run(sink_environment, server_program, list(range(20)), at_once=4)
    assert len(verdicts) == 20
    assert [str(verdict) for verdict in verdicts if verdict.problems] == []
    fair = [verdict for verdict in verdicts if not verdict.plan.final]
    submitted = sum(verdict.submitted for verdict in fair)
    assert submitted > 500
    assert sum(verdict.failed for verdict in fair) <= MOST_FAILED * submitted
    # Weather that does nothing would prove nothing.
    assert sum(verdict.retries for verdict in verdicts) >= 20
    assert any(verdict.interrupted for verdict in verdicts)
