"""The runs, one after the other: every round has one run of each contender, each in a fresh process against a fresh
server, so that a slow minute of the machine hits all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import children, request_log
from benchmarks.prepared import Prepared
from benchmarks.report import workload
from benchmarks.report.contenders import Contender
from benchmarks.report.judge import Verdict, judge
from tests.ingest.reference_server import ReferenceServer

Extracted = Callable[[int], None]


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
    """One run of one contender. Raises children.ChildFailed."""
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
        result = children.run(
            "benchmarks.report.child",
            environment,
            job,
            variables=contender.variables,
            told=lambda message: extracted(message["extracted"]),
        )
        log = server.requests()
        state = server.state()
    if (result["native"] is not None) != (contender.kind == "ours"):
        raise children.ChildFailed(f"{contender.title}: native is {result['native']}; it said {result['said']}")

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
