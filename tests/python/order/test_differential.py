"""The same stream through upstream's own sink, one record at a time, and through ours: equal answers, equal end.

`SEED=n` runs one stream and, where it differs, the shortest that still does; `STREAMS=n` runs so many (`make
differential`). Seeds are numbers of streams, the same on every machine for one version of upstream.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from tests.python.order.comparison import Comparison, Setting, shortened
from tests.python.order.streams import Step, Stream, child_first

pytestmark = [pytest.mark.upstream, pytest.mark.wheel, pytest.mark.slow]

#: In `make test`: of the newest upstream, of an older one.
STREAMS, STREAMS_OF_OLDER = 200, 40
SHARE_CHILD_FIRST = 0.25


def wanted(default: int) -> range:
    """The seeds to run."""
    if os.environ.get("SEED"):
        seed = int(os.environ["SEED"])
        return range(seed, seed + 1)
    return range(int(os.environ.get("STREAMS") or default))


@pytest.mark.timeout(4 * 3600)
def test_streams_end_equal_and_answer_equal(comparison: Comparison, upstream_version: str) -> None:
    seeds = wanted(STREAMS if upstream_version.startswith("2.") else STREAMS_OF_OLDER)
    acts: Counter[str] = Counter()
    for seed in seeds:
        stream = Stream(seed, comparison.classes)
        setting = Setting.of(Random(seed))
        acts.update(step.act for step in stream.steps)
        found = comparison.differences(stream.steps, setting)
        if found and os.environ.get("SEED"):
            steps = shortened(comparison, stream.steps, setting)
            report(seed, setting, steps, comparison.differences(steps, setting))
        if found:
            report(seed, setting, stream.steps, found)
    if len(seeds) > 100:
        # What a stream can hold is also what they did hold.
        assert {"create", "direct", "barrier", "get", "get_id", "list", "patch", "delete", "life_cycle", "tag"} <= set(
            acts
        )


@pytest.mark.timeout(4 * 3600)
def test_children_first_end_as_parents_first(comparison: Comparison, upstream_version: str) -> None:
    default = int((STREAMS if upstream_version.startswith("2.") else STREAMS_OF_OLDER) * SHARE_CHILD_FIRST)
    late = 0
    for seed in wanted(default):
        stream = Stream(seed, comparison.classes, only_creates=True)
        stream.steps = keys_that_stay(stream.steps)
        shuffled = child_first(stream, Random(seed))
        late += shuffled != stream.steps
        setting = Setting.of(Random(seed))
        found = comparison.differences(shuffled, setting, reference=stream.steps)
        if found:
            report(seed, setting, shuffled, found)
    assert late, "no stream was shuffled"


def keys_that_stay(steps: list[Step]) -> list[Step]:
    """The steps, with foreign keys only where the order of tables cannot cost them. A table that is refused for a key
    travels without it and without its `sourceHash`, and goes whole later, unless a later record of it takes its place:
    so only tables with one record have keys here, and those have no hash, which a stream gives to several bodies.
    """
    records = Counter((step.kind, step.fqn) for step in steps)
    kept = []
    for step in steps:
        body = dict(step.body)
        if "tableConstraints" in body:
            body.pop("sourceHash" if records[step.kind, step.fqn] == 1 else "tableConstraints", None)
        kept.append(replace(step, body=body))
    return kept


def report(seed: int, setting: Setting, steps: list[Step], found: list[str]) -> None:
    """Fails, with everything that is needed to see it again."""
    lines = [f"SEED={seed}, {setting}", *(f"{number:3} {step}" for number, step in enumerate(steps))]
    pytest.fail("\n".join([*lines, "differences:", *(f"- {one}" for one in found)]), pytrace=False)
