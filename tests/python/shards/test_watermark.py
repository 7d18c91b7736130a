"""From whose success on a part of a shard may ask for changes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from openmetadata_bulksink.shard import filters, watermark
from openmetadata_bulksink.shard.plan import _MOST_BEFORE, Plan

PLANS = [Plan(f"{number:016x}", 1_000.0, "print", "svc", ("db",), ((),), incremental=True) for number in range(4)]


def workflow(*, incremental: bool = True) -> dict[str, Any]:
    options = {"type": "DatabaseMetadata", "incremental": {"enabled": incremental}}
    return {
        "source": {"type": "redshift", "serviceName": "svc", "sourceConfig": {"config": options}},
        "ingestionPipelineFQN": "svc.nightly_shard_0_ab",
        "pipelineRunId": "the-users",
    }


def run_of(plan: Plan) -> str:
    run: str = watermark.marked(workflow(), plan.run)["pipelineRunId"]
    return run


def statuses(*runs: tuple[str | None, str, int | None]) -> list[Any]:
    """Of runs: id, state, begin."""
    from metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline import PipelineStatus

    return [PipelineStatus(runId=run, pipelineState=state, startDate=begin, timestamp=1) for run, state, begin in runs]


def test_the_id_of_a_run_says_of_which_plan_it_is_and_is_another_each_time() -> None:
    first, second = run_of(PLANS[1]), run_of(PLANS[1])
    assert first != second
    for run in (first, second):
        assert watermark.is_of(run, PLANS[1].line)
        assert not watermark.is_of(run, PLANS[2].line)
    assert watermark.marked(workflow(incremental=False), PLANS[1].run) == workflow(incremental=False)


def test_a_plan_trusts_what_ran_by_those_before_it_and_no_other_plan() -> None:
    first, other = PLANS[0], PLANS[3]
    second = replace(PLANS[1], before=first.line)
    third = replace(PLANS[2], before=second.line)
    for plan in (first, second, third):
        assert watermark.is_of(run_of(plan), third.line)
    # It may have left out a schema that the older one has.
    assert not watermark.is_of(run_of(second), first.line)
    assert not watermark.is_of(run_of(other), third.line)
    assert not watermark.is_of("", third.line)
    assert len(replace(third, before=("0" * 16,) * 5_000).line) == _MOST_BEFORE


@pytest.mark.upstream
@pytest.mark.parametrize(
    ("runs", "whole"),
    [
        ([("own", "success", 1)], False),
        ([("own", "success", 2), ("other", "success", 1)], False),
        ([("own", "success", 1), ("other", "success", 2)], True),
        ([("other", "failed", 3), ("own", "success", 2), ("other", "running", 4), ("other", "success", None)], False),
        ([(None, "success", 2), ("own", "success", 1)], True),
        ([("other", "failed", 2)], False),
        ([], False),
    ],
    ids=str,
)
def test_a_part_is_read_in_whole_where_another_plan_moved_its_watermark(
    monkeypatch: pytest.MonkeyPatch, runs: list[tuple[str | None, str, int | None]], whole: bool
) -> None:
    ids = {"own": run_of(PLANS[1]), "other": run_of(PLANS[2])}
    found = statuses(*((ids.get(str(run)), state, begin) for run, state, begin in runs))
    monkeypatch.setattr(watermark, "_statuses", lambda *_: found)
    made, why = watermark.trusted(workflow(), PLANS[1].line)
    assert filters.is_incremental(made) is not whole
    assert made["ingestionPipelineFQN"] == workflow()["ingestionPipelineFQN"], "its success counts all the same"
    assert ("svc.nightly_shard_0_ab" in why) is whole


def test_where_the_server_does_not_say_it_everything_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(*_: object) -> None:
        raise ConnectionError("pa55-w0rd")

    monkeypatch.setattr(watermark, "_statuses", unanswered)
    made, why = watermark.trusted(workflow(), PLANS[0].line)
    assert not filters.is_incremental(made)
    assert "pa55-w0rd" not in why
    assert watermark.trusted(workflow(incremental=False), ()) == (workflow(incremental=False), "")
