"""The workflow's success threshold, over all shards: as upstream judges one run by it."""

from __future__ import annotations

from collections.abc import Sequence

from openmetadata_bulksink.shard.results import PartResult, Step
from openmetadata_bulksink.success import at_most


def below(parts: Sequence[PartResult], closing: PartResult, percent: float) -> str | None:
    """What of the whole is below the threshold, in the words of a sentence; None: nothing is."""
    whole = counts(parts, closing)
    for number, step in enumerate(whole):
        reached = _success(step, is_sink=number == len(whole) - 1)
        if step.failed and reached < percent:
            return (
                f"{step.name}: {step.failed} of {step.done + step.failed} records of all shards failed, and "
                f"{reached:g} % is below the success threshold ({percent:g} %)"
            )
    return None


def counts(parts: Sequence[PartResult], closing: PartResult) -> list[Step]:
    """Of each step, about what one run would have counted. Each part writes service and database; `close` writes them
    again, and the schemas: what fails there counts where it did not fail before.
    """
    repeats = len(parts) - 1 + sum(len(part.databases) for part in parts)
    repeats -= len({database for part in parts for database in part.databases})
    known = {name for part in parts for name, _ in part.failures}
    whole: list[Step] = []
    first = 0
    for number, step in enumerate(closing.steps):
        of_parts = [part.steps[number] for part in parts if number < len(part.steps)]
        new = {name for name, _ in closing.failures[first : first + step.failed]} - known
        first += step.failed
        done = max(0, sum(one.done for one in of_parts) - max(0, repeats))
        whole.append(Step(step.name, done, sum(one.failed for one in of_parts) + len(new)))
    return whole


def _success(step: Step, *, is_sink: bool) -> float:
    done = max(step.done, 1)
    percentage = round(done * 100 / (done + step.failed), 2)
    return at_most(percentage, failed=step.failed > 0) if is_sink else percentage
