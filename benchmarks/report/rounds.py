"""The runs, one after the other: every round has one run of each contender, each in a fresh process against a fresh
server, so that a slow minute of the machine hits all of them alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import request_log
from benchmarks.prepared import Prepared
from benchmarks.report import workload
from benchmarks.report.contenders import Contender
from benchmarks.report.judge import Verdict, judge
from tests.ingest.reference_server import ReferenceServer

REPOSITORY = Path(__file__).resolve().parent.parent.parent

# What would change how a child imports, or reaches the server.
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "http_proxy", "HTTP_PROXY")

Extracted = Callable[[int], None]


class ChildFailed(Exception):
    """A run died; the text holds the end of what it printed."""


@dataclass(frozen=True)
class Outcome:
    """One run. The times add up: total = extraction + blocked + tail."""

    contender: str
    round: int
    total_s: float
    extraction_s: float
    blocked_s: float
    tail_s: float
    cpu_s: float
    peak_rss_kb: int
    requests: int
    requests_by_class: dict[str, int]
    bad_statuses: dict[str, int]
    mean_batch: float | None
    most_in_flight: int
    steps: list[tuple[float, int]]
    verdict: Verdict
    said: list[str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        steps = [[round(moment, 3), number] for moment, number in self.steps]
        return {**vars(self), "verdict": self.verdict.as_dict(), "steps": steps}


def run(
    contender: Contender,
    number: int,
    scale: workload.Scale,
    prepared: Prepared,
    *,
    faults: Sequence[Mapping[str, Any]] = (),
    extracted: Extracted = lambda _: None,
) -> Outcome:
    """One run of one contender. Raises ChildFailed."""
    with ReferenceServer(prepared.server, latency=workload.latency()) as server:
        if faults:
            server.set_faults(faults)
        environment = prepared.with_sink if contender.kind == "ours" else prepared.plain
        job = {
            "kind": contender.kind,
            "workers": contender.workers,
            "tables": scale.tables,
            "url": server.url,
            "token": server.token,
        }
        result = _child(environment, contender.variables, job, extracted)
        log = server.requests()
        state = server.state()
    if (result["native"] is not None) != (contender.kind == "ours"):
        raise ChildFailed(f"{contender.title}: the native sink wrote: {result['native']}; it said: {result['said']}")
    # The service's PUT is the last request before the clock starts; what came before it belongs to no one.
    origin = next((entry for entry in log if entry["path"].endswith("/services/databaseServices")), None)
    origin_ms = origin["t_end_ms"] + 1000 * result["after_put_s"] if origin else 0.0
    counted = [entry for entry in log if origin is not None and entry["n"] > origin["n"]]
    return Outcome(
        contender=contender.key,
        round=number,
        **{name: result[name] for name in ("total_s", "extraction_s", "blocked_s", "tail_s", "cpu_s", "peak_rss_kb")},
        requests=len(counted),
        requests_by_class=request_log.by_class(counted),
        bad_statuses=request_log.by_status(counted),
        mean_batch=request_log.mean_batch(counted),
        most_in_flight=request_log.most_in_flight(counted),
        steps=request_log.in_flight(counted, origin_ms),
        verdict=judge(scale, state, result["failures"]) if contender.kind != "extraction" else _nothing_to_write(),
        said=result["said"],
    )


def _nothing_to_write() -> Verdict:
    return Verdict({"tables": 1}, {"tables": 0}, 0)


def _child(
    environment: Path, variables: Mapping[str, str], job: Mapping[str, Any], extracted: Extracted
) -> dict[str, Any]:
    reader, writer = os.pipe()
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    inherited = {name: value for name, value in inherited.items() if not name.startswith("OM_BULKSINK")}
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                [environment / "bin" / "python", "-m", "benchmarks.report.child", str(writer)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=[writer],
                cwd=REPOSITORY,
                env={**inherited, **variables},
                text=True,
            )
        finally:
            os.close(writer)
        result: dict[str, Any] | None = None
        try:
            if process.stdin is not None:
                process.stdin.write(json.dumps(job) + "\n")
                process.stdin.close()
            with os.fdopen(reader, encoding="utf-8") as answers:
                for line in answers:
                    message = json.loads(line)
                    if "extracted" in message:
                        extracted(message["extracted"])
                    else:
                        result = message["result"]
            status = process.wait(60)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if result is None or status != 0:
            printed.seek(0)
            text = printed.read().decode(errors="replace")[-4_000:]
            raise ChildFailed(f"the run of {job['kind']} ended with status {status}\n{text}")
        return result
