"""How a benchmark ends that cannot go on: one line instead of a traceback, and status 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps

from benchmarks.children import ChildFailed
from benchmarks.screen import screen
from tests.airflow.instance import AirflowFailed
from tests.ingest.mariadb import MariaDBFailed
from tests.ingest.postgres import PostgresFailed
from tests.ingest.reference_server import ServerFailed
from tests.ingest.runs import RunFailed
from tools import machine, steps


class Stopped(Exception):
    """A run ended badly, or did not do what it is meant to measure; the text says what."""


Main = Callable[..., int]

_KNOWN = (
    *(Stopped, ChildFailed, RunFailed, ServerFailed, machine.Missing, steps.StepFailed),
    *(AirflowFailed, MariaDBFailed, PostgresFailed),
)


def told(main: Main) -> Main:
    """A benchmark's `main` that says why it stopped."""

    @wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        try:
            return main(arguments)
        except _KNOWN as failure:
            screen().print(f"the benchmark stopped: {failure}", markup=False, highlight=False)
        except KeyboardInterrupt:
            screen().print("stopped")
        return 1

    return run
