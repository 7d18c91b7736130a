"""An Airflow of our own: a temporary home, a free port of the loopback address, gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from tests.ingest.runs import inherited_variables
from tests.ingest.stopped import StoppedAtTheEnd

Found = TypeVar("Found")

#: Seconds after which something that never comes is given up.
_PATIENCE = 800.0

#: On a machine that has other things to do, a request within Airflow takes longer than five seconds; what Airflow gives
#: up then is a task.
_PATIENT = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "400",
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3600",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "120",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "30",
    "AIRFLOW__CORE__TASK_SUCCESS_OVERTIME": "300",
}


class AirflowFailed(Exception):
    """A command or a run did not end as it should; the text holds the end of what was printed."""


class Airflow(StoppedAtTheEnd):
    """Scheduler, API server and DAG processor; end with the block.

    files: what it loads. names: the DAGs in them. variables: for its processes and so for tasks. python: of the
    environment with Airflow.
    """

    def __init__(
        self,
        files: Sequence[Path],
        names: Sequence[str],
        variables: Mapping[str, str],
        *,
        python: Path = Path(sys.executable),
    ) -> None:
        self._python = python
        self._home = tempfile.TemporaryDirectory(prefix="bulksink-airflow-")
        home = Path(self._home.name)
        folder = home / "dags"
        folder.mkdir()
        for file in files:
            (folder / file.name).write_bytes(file.read_bytes())
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        self._variables = {
            **inherited_variables(),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=120",
            "AIRFLOW__API__BASE_URL": url,
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-this-test-only-and-long-enough-0123456789abcdef0123456789abcdef",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "600",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "NO_PROXY": "127.0.0.1",
            **_PATIENT,
            **variables,
        }
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self.command("db", "migrate")
            for words in (["api-server", "--port", str(port), "--host", "127.0.0.1"], ["scheduler"], ["dag-processor"]):
                self._start(words)
            self._wait_for(names)
        except BaseException:
            self.stop()
            raise

    def command(self, *words: str) -> None:
        """`airflow WORDS`, to its end."""
        ran = subprocess.run(
            [self._python, "-m", "airflow", *words],
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        if ran.returncode != 0:
            raise AirflowFailed(f"airflow {' '.join(words)}: {ran.stdout[-2_000:]}{ran.stderr[-4_000:]}")

    def _start(self, words: list[str]) -> None:
        log = (Path(self._home.name) / f"{words[0]}.log").open("wb")
        with log:
            self._processes.append(
                subprocess.Popen(
                    [self._python, "-m", "airflow", *words],
                    env=self._variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def _wait_for(self, names: Sequence[str]) -> None:
        self.until(
            "the DAGs are loaded",
            lambda: set(names) <= {str(row[0]) for row in self._rows("SELECT dag_id FROM serialized_dag", ())},
        )

    def trigger(self, dag: str, run: str) -> None:
        """Starts a run."""
        self.command("dags", "trigger", dag, "--run-id", run)

    def wait(self, dag: str, run: str) -> str:
        """The state that a run ended in."""

        def state() -> str:
            found = self._rows("SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", (dag, run))
            return str(found[0][0]) if found and found[0][0] in ("success", "failed") else ""

        return self.until(f"{dag} {run} has ended", state)

    def until(self, what: str, found: Callable[[], Found]) -> Found:
        """Looks until there is something, and gives it. Raises AirflowFailed where that never is."""
        give_up = time.monotonic() + _PATIENCE
        while not (seen := found()):
            for process in self._processes:
                if process.poll() is not None:
                    raise AirflowFailed(f"one of its processes ended with {process.returncode}\n{self.logs()}")
            if time.monotonic() > give_up:
                raise AirflowFailed(f"it never came to it: {what}\n{self.logs()}")
            time.sleep(0.5)
        return seen

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """The task instances of a run: name, map index, state, attempts, pid."""
        names = ("task_id", "map_index", "state", "try_number", "pid")
        found = self._rows(f"SELECT {', '.join(names)} FROM task_instance WHERE dag_id = ? AND run_id = ?", (dag, run))
        return [dict(zip(names, row, strict=True)) for row in found]

    def returned(self, dag: str, run: str, task: str) -> list[str]:
        """The texts that the instances of a task have handed on, by their map index."""
        query = "SELECT value FROM xcom WHERE dag_id = ? AND run_id = ? AND task_id = ? ORDER BY map_index"
        return [json.loads(row[0]) for row in self._rows(query, (dag, run, task))]

    def seconds(self, dag: str, run: str) -> float:
        """From the start of a run that has ended to its end."""
        query = "SELECT start_date, end_date FROM dag_run WHERE dag_id = ? AND run_id = ?"
        ((start, end),) = self._rows(query, (dag, run))
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()

    def xcoms(self) -> str:
        """Everything that tasks have handed on, as text."""
        return json.dumps([str(row[0]) for row in self._rows("SELECT value FROM xcom", ())])

    def _rows(self, query: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self._home.name}/airflow.db?mode=ro", uri=True, timeout=120)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def logs(self) -> str:
        """What Airflow and its tasks have printed."""
        files = sorted(Path(self._home.name).rglob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-6_000:]}" for file in files)

    def stop(self) -> None:
        """Ends its processes and removes its home."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # Each leads a session, and what it has started is in it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._home.cleanup()


def _free_port() -> int:
    """Below those that the system gives to whoever asks for any: it is taken half a minute later."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
