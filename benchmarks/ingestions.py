"""Real ingestions, measured: upstream's own command line in a process of its own against a fresh reference server."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import request_log
from benchmarks.bounds import Bound
from benchmarks.measures import Spread, spread
from benchmarks.prepared import Prepared
from benchmarks.stopped import Stopped
from tests.ingest import ReferenceServer, Run, compare, describe, ingest, workflow
from tests.ingest.reference_server import ServerFailed, State

OFF = {"OM_BULKSINK": "0"}

_TIMEOUT = 3_600.0

_MEASURED = ("workflow_s", "loop_s", "loop_cpu_s", "source_s", "sink_s", "tail_s", "rows")


@dataclass(frozen=True)
class Setting:
    """One way to run the same ingestion. repeats: so often in each round."""

    key: str
    title: str
    latency: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict)
    repeats: int = 1

    @property
    def is_ours(self) -> bool:
        """Whether our sink has to write."""
        return self.variables.get("OM_BULKSINK") != "0"


@dataclass(frozen=True)
class Ingestion:
    """One run and what the server saw of it."""

    setting: str
    run: Run
    log: list[dict[str, Any]]
    state: State
    violations: int

    @property
    def loop_s(self) -> float:
        """The source loop, `sink.run` included."""
        return _known(self.run.loop_s)

    @property
    def workflow_s(self) -> float:
        """From the first record to the printed summary: nothing is left to write after it."""
        return _known(self.run.workflow_s)

    @property
    def sink_s(self) -> float:
        """The part of the loop that was spent in the sink."""
        return _known(self.run.sink_s)

    @property
    def source_s(self) -> float:
        """The rest of the loop: extraction."""
        return self.loop_s - self.sink_s

    @property
    def loop_cpu_s(self) -> float:
        """What the loop's thread computed."""
        return _known(self.run.loop_cpu_s)

    @property
    def source_cpu_s(self) -> float:
        """The part of it outside the sink: extraction without its waits."""
        return self.loop_cpu_s - _known(self.run.sink_cpu_s)

    @property
    def tail_s(self) -> float:
        """After the loop: what is left to write, life cycles, the summary."""
        return self.workflow_s - self.loop_s

    @property
    def rows(self) -> int:
        """Rows of bulk requests, repeated ones included."""
        return request_log.rows(self.log)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "setting": self.setting,
            **{name: getattr(self, name) for name in _MEASURED},
            "import_s": self.run.import_s,
            "process_s": self.run.process_s,
            "peak_rss_kb": self.run.peak_rss_kb,
            "sink_calls": self.run.sink_calls,
            "requests": len(self.log),
            "requests_by_class": request_log.by_class(self.log),
            "bad_statuses": request_log.by_status(self.log),
            "mean_batch": request_log.mean_batch(self.log),
            "order_violations": self.violations,
            "failures": sum(len(step.failures) for step in self.run.steps),
        }


class IngestionFailed(Stopped):
    """A run ended badly, or the wrong sink wrote; the text holds the end of what it printed."""


def measure(
    setting: Setting,
    source: Mapping[str, Any],
    prepared: Prepared,
    *,
    tables: int,
    console: Console,
    progress_title: str = "",
) -> Ingestion:
    """One ingestion in the environment with our wheel; `setting.variables` say who writes. Raises IngestionFailed."""
    with ReferenceServer(prepared.server, latency=setting.latency) as server:
        config = workflow(source=source, server_url=server.url, token=server.token)
        with _watched(server, progress_title or setting.title, tables, console):
            run = ingest(prepared.with_sink, config, variables=setting.variables, time_sink=True, timeout=_TIMEOUT)
        found = Ingestion(setting.key, run, server.requests(), server.state(), len(server.violations()))
    lost = [failure for step in run.steps for failure in step.failures]
    if run.exit_code != 0 or lost:
        raise IngestionFailed(f"{setting.title}: exit code {run.exit_code}, lost {lost[:3]}\n{run.output[-4_000:]}")
    active = " writes to " in run.output
    if active != setting.is_ours:
        wanted = "ours" if setting.is_ours else "upstream's"
        raise IngestionFailed(f"{setting.title}: {wanted} sink should have written\n{run.output[-4_000:]}")
    return found


#: Each setting's runs, by its key.
Runs = dict[str, list[Ingestion]]


def in_rounds(
    settings: Sequence[Setting],
    rounds: int,
    once: Callable[[Setting], Ingestion],
    figure: Callable[[Ingestion], str],
    console: Console,
) -> Runs:
    """Every setting in every round, as often as it says, so that what else the machine does meets all of them. figure:
    what is shown of a run.
    """
    runs: Runs = {setting.key: [] for setting in settings}
    repeats = range(max(setting.repeats for setting in settings))
    one_round = [setting for repeat in repeats for setting in settings if repeat < setting.repeats]
    for setting in one_round * rounds:
        found = once(setting)
        runs[setting.key].append(found)
        console.print(f"  run {len(runs[setting.key])}  {setting.title:<34} {figure(found)}", highlight=False)
    return runs


def differences(first: Ingestion, second: Ingestion) -> int:
    """How many there are between the catalogues that two runs left; what differs is printed."""
    found = compare(first.state, second.state)
    if found:
        print(describe(found), file=sys.stderr)
    return len(found)


def no_differences(first: Ingestion, second: Ingestion) -> Bound:
    """That two runs left the same catalogue."""
    return Bound("differences between the catalogues", differences(first, second), 0, "differences")


def of(ingestions: Sequence[Ingestion], name: str) -> Spread:
    """The spread of one figure over the rounds."""
    return spread(float(getattr(ingestion, name)) for ingestion in ingestions)


def _known(seconds: float | None) -> float:
    if seconds is None:
        raise IngestionFailed("the run did not reach its source loop")
    return seconds


@contextmanager
def _watched(server: ReferenceServer, title: str, tables: int, console: Console) -> Iterator[None]:
    """Shows how many tables the server has got."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f} of {task.total:.0f} tables"),
        TimeElapsedColumn(),
    )
    ended = threading.Event()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=tables)

        def watch() -> None:
            told = time.monotonic()
            while not ended.wait(1.0):
                try:
                    written = int(server.summary()["rows_by_collection"].get("tables", 0))
                except (OSError, ServerFailed):
                    continue
                progress.update(task, completed=min(written, tables))
                if not console.is_terminal and time.monotonic() - told > 15:
                    told = time.monotonic()
                    console.print(f"  {title}: {written} of {tables} tables", highlight=False)

        thread = threading.Thread(target=watch, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def postgres_programs(prepared: Prepared) -> Path:
    """Where initdb and postgres are."""
    if prepared.postgres is None:
        raise IngestionFailed("this run was prepared without a PostgreSQL")
    return prepared.postgres
