"""One ingestion in a process of its own, or several in one process that imports upstream once."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.ingest import workflow

CHILD = Path(__file__).resolve().parent / "child.py"

# What a child must not inherit: it would change what upstream imports, or how it reaches the server.
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "http_proxy", "HTTP_PROXY")


# Upstream makes lists from sets of names (columns of constraints, for one); two runs are comparable only if the order
# of a set is the same in both.
_SAME_IN_ALL_RUNS = {"PYTHONHASHSEED": "0"}


#: Seconds after which a process that does not end is killed; an interpreter needs a hundredth of them.
_PATIENCE = 120.0


def inherited_variables() -> dict[str, str]:
    """The environment for a process that runs upstream: this one, without what would change the run."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    return {name: value for name, value in inherited.items() if not name.startswith("OM_BULKSINK")}


class RunFailed(Exception):
    """The child process died or did not answer; the text holds the end of its output."""


@dataclass(frozen=True)
class Step:
    """What one step of a workflow counted."""

    name: str
    type: str
    records: int
    updated: int
    warnings: int
    filtered: int
    failures: list[dict[str, str]]


@dataclass(frozen=True)
class Run:
    """One ingestion that has ended.

    loop_s: the time inside the source loop, `sink.run` included. loop_cpu_s, sink_cpu_s: what its thread computed in
    it, and in the sink. close_s: the time in the steps' `close`. workflow_s: `execute`, from the first record to the
    printed summary. command_s: the command line without the import. process_s: from the start of the process to its
    end; None in a session.
    """

    exit_code: int
    output: str
    import_s: float = 0.0
    command_s: float = 0.0
    workflow_s: float | None = None
    loop_s: float | None = None
    loop_cpu_s: float | None = None
    loop_started: float | None = None
    loop_ended: float | None = None
    close_s: float = 0.0
    sink_s: float | None = None
    sink_cpu_s: float | None = None
    sink_calls: int | None = None
    process_s: float | None = None
    peak_rss_kb: int = 0
    pipeline_states: list[str] = field(default_factory=list)
    threads_left: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def source(self) -> Step:
        """The first step."""
        return self.steps[0]

    @property
    def sink(self) -> Step:
        """The last step."""
        return self.steps[-1]

    def require_success(self) -> Run:
        """Itself; AssertionError with the end of the output where the run ended badly or lost something."""
        lost = [failure for step in self.steps for failure in step.failures]
        if self.exit_code != 0 or lost or not self.steps:
            raise AssertionError(f"exit code {self.exit_code}, failures {lost[:5]}\n{self.output[-6_000:]}")
        return self


class Session:
    """A process of an upstream environment that runs one ingestion after another.

    variables: environment variables for the whole process. OM_BULKSINK=0 here is as in a user's shell: read at the
    start.
    """

    def __init__(self, environment: Path, variables: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bulksink-runs-")
        self._number = 0
        reader, writer = os.pipe()
        self._answers = os.fdopen(reader, encoding="utf-8")
        self._log = Path(self._folder.name) / "session.log"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [environment / "bin" / "python", "-P", CHILD, str(writer)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[writer],
                    cwd=self._folder.name,
                    env={**inherited_variables(), **_SAME_IN_ALL_RUNS, **(variables or {})},
                    text=True,
                )
        finally:
            os.close(writer)

    @property
    def pid(self) -> int:
        """The process, for signals."""
        return self._process.pid

    def start(
        self, config: Mapping[str, Any], *, variables: Mapping[str, str] | None = None, time_sink: bool = False
    ) -> Path:
        """Starts an ingestion and returns the file that gets its output; `finish` waits for its end."""
        self._number += 1
        folder = Path(self._folder.name)
        file = workflow.write(config, folder / f"workflow-{self._number}.yaml")
        self._output = folder / f"output-{self._number}.log"
        job = {
            "arguments": ["ingest", "-c", str(file)],
            "variables": dict(variables or {}),
            "output": str(self._output),
            "time_sink": time_sink,
        }
        if self._process.stdin is None:
            raise RunFailed("the session is closed")
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._output

    def finish(self, timeout: float = 600.0) -> Run:
        """The ingestion that was started last. Raises RunFailed."""
        ready, _, _ = select.select([self._answers], [], [], timeout)
        line = self._answers.readline() if ready else ""
        if not line:
            how = f"ended with status {self._process.poll()}" if ready else f"did not answer within {timeout:.0f} s"
            if not ready:
                self._process.kill()
            self._process.wait(10)
            raise RunFailed(f"the ingestion's process {how}\n{self._printed()[-6_000:]}")
        report: dict[str, Any] = json.loads(line)
        report.pop("time_sink", None)
        steps = [Step(**step) for step in report.pop("steps", [])]
        return Run(output=self._output.read_text(errors="replace"), steps=steps, **report)

    def run(
        self,
        config: Mapping[str, Any],
        *,
        variables: Mapping[str, str] | None = None,
        time_sink: bool = False,
        timeout: float = 600.0,
    ) -> Run:
        """One ingestion from start to end."""
        self.start(config, variables=variables, time_sink=time_sink)
        return self.finish(timeout)

    def _printed(self) -> str:
        logs = [self._log, self._output] if self._number else [self._log]
        return "".join(path.read_text(errors="replace") for path in logs if path.exists())

    def close(self) -> int:
        """Ends the process as a user's ends, and returns its exit status."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RunFailed(f"the process did not end after its last ingestion\n{self._printed()[-3_000:]}") from None
        finally:
            self._answers.close()
            self._folder.cleanup()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        self._process.kill()
        with contextlib.suppress(RunFailed):
            self.close()


def ingest(
    environment: Path,
    config: Mapping[str, Any],
    *,
    variables: Mapping[str, str] | None = None,
    time_sink: bool = False,
    timeout: float = 600.0,
) -> Run:
    """One ingestion in a process of its own, as a user starts it."""
    started = time.perf_counter()
    with Session(environment, variables) as session:
        run = session.run(config, time_sink=time_sink, timeout=timeout)
        status = session.close()
    if status != 0:
        raise RunFailed(f"the process ended with status {status} after its ingestion\n{run.output[-3_000:]}")
    return Run(**{**vars(run), "process_s": time.perf_counter() - started})
