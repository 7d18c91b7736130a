"""Twenty seeds of `make chaos`, several of them in one process after another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.judge import MOST_FAILED
from tests.chaos.runs import run

pytestmark = [pytest.mark.wheel, pytest.mark.slow]

SEEDS = range(20)


def test_nothing_is_lost_or_unnamed_in_twenty_seeds(sink_environment: Path, server_program: Path) -> None:
    verdicts = run(sink_environment, server_program, SEEDS, at_once=4)
    assert sorted(verdict.plan.seed for verdict in verdicts) == list(SEEDS)
    bad = [str(verdict) for verdict in verdicts if verdict.problems]
    assert not bad, "\n".join(bad)
    fair = [verdict for verdict in verdicts if not verdict.plan.final]
    assert sum(verdict.failed for verdict in fair) <= MOST_FAILED * sum(verdict.submitted for verdict in fair)
    # Weather that does nothing would prove nothing.
    assert sum(verdict.retries for verdict in verdicts) >= 20
    assert any(verdict.interrupted for verdict in verdicts)
