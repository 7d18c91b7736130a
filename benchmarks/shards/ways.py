"""The ways to run an ingestion in shards, each against a fresh server: what it took, and the catalogue that it left."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.prepared import Prepared
from benchmarks.shards.figures import Took
from benchmarks.stopped import Stopped
from tests.airflow.instance import Airflow
from tests.ingest import ReferenceServer
from tests.ingest.reference_server import State
from tests.ingest.runs import inherited_variables
from tests.ingest.workflow import workflow, write
from tools import steps

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

_PHASE = re.compile(r"(opened|shards|closed) ([0-9.]+) s")
_START_UP = re.compile(r"Start-up took ([0-9]+) s")

#: What the example returns is printed as JSON.
_RAY = "import json, sys, ray_shards; print(json.dumps(ray_shards.main(sys.argv[1], int(sys.argv[2]))))"

_DAG = "openmetadata_shards"


class Done(NamedTuple):
    """A run in shards."""

    took: Took
    state: State


@dataclass(frozen=True)
class Ways:
    """Of running one source. variables: of the environment."""

    source: Mapping[str, Any]
    ready: Prepared
    variables: Mapping[str, str]

    def processes(self, shards: int) -> Done:
        """`shard all` on this machine."""
        with self._server() as (server, file):
            count = str(shards)
            words = ["shard", "all", "-c", str(file), "-n", count, "--processes", count]
            program: steps.Command = [self.ready.with_sink / "bin" / "python", "-m", "openmetadata_bulksink", *words]
            ran, whole = self._run(program)
            phases = {name: float(seconds) for name, seconds in _PHASE.findall(ran.stderr)}
            return Done(Took(phases["shards"], _start_up(ran.stderr), whole), server.state())

    def airflow(self, shards: int) -> Done:
        """The example's mapped tasks; Airflow itself is running already."""
        with self._server() as (server, file):
            variables = {
                **self._environment(),
                "OPENMETADATA_WORKFLOW": str(file),
                "OPENMETADATA_SHARDS": str(shards),
            }
            python = _required(self.ready.airflow) / "bin" / "python"
            with Airflow([EXAMPLES / "airflow_shards.py"], [_DAG], variables, python=python) as airflow:
                airflow.trigger(_DAG, "measured")
                if airflow.wait(_DAG, "measured") != "success":
                    raise Stopped(airflow.logs())
                (plan,) = airflow.returned(_DAG, "measured", "plan")
                results = airflow.returned(_DAG, "measured", "shard")
                start_up = float(json.loads(plan)["start_up"])
                return Done(Took(_longest(results), start_up, airflow.seconds(_DAG, "measured")), server.state())

    def ray(self, shards: int) -> Done:
        """The example's tasks; Ray is started with it."""
        with self._server() as (server, file):
            program: steps.Command = [_required(self.ready.ray) / "bin" / "python", "-c", _RAY, str(file), str(shards)]
            ran, whole = self._run(program, {"PYTHONPATH": str(EXAMPLES), "RAY_USAGE_STATS_ENABLED": "0"})
            results = json.loads(ran.stdout.splitlines()[-1])
            return Done(Took(_longest(results), _start_up(ran.stderr), whole), server.state())

    @contextmanager
    def _server(self) -> Iterator[tuple[ReferenceServer, Path]]:
        """A fresh one, and the workflow's file for it."""
        with ReferenceServer(self.ready.server) as server, tempfile.TemporaryDirectory() as folder:
            config = workflow(source=dict(self.source), server_url=server.url, token=server.token)
            yield server, write(config, Path(folder) / "workflow.yaml")

    def _environment(self) -> dict[str, str]:
        return {**inherited_variables(), "PYTHONHASHSEED": "0", **self.variables}

    def _run(
        self, program: steps.Command, variables: Mapping[str, str] | None = None
    ) -> tuple[subprocess.CompletedProcess[str], float]:
        started = time.monotonic()
        ran = subprocess.run(program, env={**self._environment(), **(variables or {})}, capture_output=True, text=True)
        whole = time.monotonic() - started
        if ran.returncode != 0:
            raise Stopped(f"it ended with {ran.returncode}\n{ran.stderr[-3_000:]}")
        return ran, whole


def _start_up(printed: str) -> float:
    found = _START_UP.search(printed)
    if found is None:
        raise Stopped(f"no plan was shown\n{printed[-3_000:]}")
    return float(found[1])


def _longest(results: Sequence[str]) -> float:
    """Of shards: the seconds of its workflows."""
    return max(sum(float(part["seconds"]) for part in json.loads(result)["parts"]) for result in results)


def _required(environment: Path | None) -> Path:
    if environment is None:
        raise Stopped("`python3 -m benchmarks shards` prepares the environment of a runner, and there is none")
    return environment
