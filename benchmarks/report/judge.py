"""Who lost what: what the source yielded against what the server has, whatever the sink itself says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.designs.records import Entity, LifeCycle
from benchmarks.report import workload

State = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Verdict:
    """yielded: records of each kind. lost: those that are not on the server as they were yielded. reported: lost ones
    that the sink named. reasons: its words, counted.
    """

    yielded: dict[str, int]
    lost: dict[str, int]
    reported: int
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def success(self) -> float:
        """The share of records that arrived."""
        return 1 - sum(self.lost.values()) / sum(self.yielded.values())

    def losses(self) -> str:
        """For a table: `13 of 14 life cycles`."""
        parts = [f"{count} of {self.yielded[kind]} {kind}" for kind, count in self.lost.items() if count]
        if not parts:
            return "nothing"
        silent = sum(self.lost.values()) - self.reported
        return ", ".join(parts) + (f"; {silent} of them without a word" if silent > 0 else "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "success": self.success, "losses": self.losses()}


def judge(scale: workload.Scale, state: State, failures: Sequence[Mapping[str, str]]) -> Verdict:
    """The state is the server's, normalised or not."""
    yielded: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    missing: set[tuple[str, str]] = set()
    for record in workload.records(scale):
        kind = "life cycles" if isinstance(record, LifeCycle) else _kind(record)
        yielded[kind] += 1
        if not (_life_cycle_arrived(record, state) if isinstance(record, LifeCycle) else _arrived(record, state)):
            lost[kind] += 1
            missing.add((kind, record.fqn))
    named = {str(failure["fqn"]) for failure in failures}
    reported = sum(1 for _, fqn in missing if fqn in named or fqn.rsplit(".", 1)[-1] in named)
    reasons = Counter(_short(failure["reason"]) for failure in failures)
    return Verdict(dict(yielded), {kind: lost[kind] for kind in yielded}, reported, dict(reasons.most_common(5)))


def _kind(record: Entity) -> str:
    return {"databases": "databases", "databaseSchemas": "schemas"}.get(record.collection, record.collection)


def _arrived(record: Entity, state: State) -> bool:
    found = state.get(record.collection, {}).get(record.fqn)
    if found is None:
        return False
    wanted, have = record.body.get("columns", []), found.get("columns", [])
    return [column["name"] for column in wanted] == [column["name"] for column in have]


def _life_cycle_arrived(record: LifeCycle, state: State) -> bool:
    found = state.get("tables", {}).get(record.fqn, {}).get("lifeCycle") or {}
    created = record.life_cycle["created"]["timestamp"]
    return bool((found.get("created") or {}).get("timestamp") == created)


def _short(reason: str) -> str:
    return reason if len(reason) <= 120 else reason[:117] + "..."
