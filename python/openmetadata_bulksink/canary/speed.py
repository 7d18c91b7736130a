"""Microseconds a row with 1, 2, 4 and 8 workers, with the engine alone, and what to set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from openmetadata_bulksink import bench, settings, workflow_file

_WORKERS = (1, 2, 4, 8)

#: Rows of each request, and requests of each worker: two, so that a slow server is asked no longer for more workers.
_ROWS, _REQUESTS, _COLUMNS = 25, 2, 20

#: More workers must bring so much of the time, or fewer are advised.
_WORTH = 0.15


class Speed(NamedTuple):
    """microseconds: a row, over the whole time of writing; None where rows were refused: that takes another time."""

    workers: int
    microseconds: int | None
    retries: int
    refused: int


def measure(workflow: workflow_file.Workflow, service: str) -> list[Speed]:
    """Writes tables below an empty service of ours."""
    tuning = dataclasses.replace(settings.tuning(), dead_letters=None)
    found = []
    for workers in _WORKERS:
        size = bench.Size(_ROWS * _REQUESTS * workers, _COLUMNS)
        rate = bench.rate(workflow, tuning, service, size, workers, _ROWS)
        whole = rate.written == size.tables
        a_row = round(rate.seconds / rate.written * 1e6) if whole else None
        found.append(Speed(workers, a_row, rate.retries, len(rate.refused)))
    return found


def advised(found: Sequence[Speed]) -> int | None:
    """The smallest number of workers that all larger ones are hardly faster than. None: not known."""
    measured = {one.workers: one.microseconds for one in found if one.microseconds is not None}
    if len(measured) < len(found):
        return None
    best = min(measured.values(), default=0)
    return next((workers for workers, a_row in measured.items() if a_row <= best * (1 + _WORTH)), None)
