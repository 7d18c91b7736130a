"""What must hold after a run, whatever happened in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.plan import Plan

#: Of all records, reported as failed although nothing refused them for good.
MOST_FAILED = 0.02


@dataclass
class Verdict:
    """What came of a seed; `problems` is empty where all is well."""

    plan: Plan
    seconds: float = 0.0
    submitted: int = 0
    failed: int = 0
    retries: int = 0
    interrupted: int = 0
    problems: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        line = f"seed {self.plan.seed}: {self.submitted} records, {self.failed} failed, {self.retries} retries"
        line += f", {self.interrupted} interruptions, {self.seconds:.1f} s"
        for problem in self.problems:
            line += f"\n  {problem}"
        if self.problems:
            line += f"\n  failures: {self.failures[:5]}\n  plan: {self.plan}"
            line += f"\n  again: SEED={self.plan.seed} make chaos"
        return line


def judge(
    plan: Plan, report: dict[str, Any], state: dict[str, Any], violations: list[Any], log: list[dict[str, Any]]
) -> Verdict:
    """state: the server's. log: its requests."""
    verdict = Verdict(plan)
    say = verdict.problems.append
    if "broken" in report:
        say(report["broken"])
        return verdict
    if not report["native"]:
        say("the sink was not native")
        return verdict
    counts = report["stats"]
    verdict.seconds = report["seconds"]
    verdict.submitted = counts["submitted"]
    verdict.retries = counts["retries"]
    verdict.interrupted = len(report["interrupted"])
    # What an interrupted step is called by upstream itself: the interruption, not a record.
    swallowed = [failure for failure in report["failures"] if failure["name"] == "Unhandled"]
    if len(swallowed) > len(plan.signals):
        say(f"odd failures: {swallowed[:3]}")
    report["failures"] = [failure for failure in report["failures"] if failure["name"] != "Unhandled"]
    verdict.interrupted += len(swallowed)
    verdict.failures = report["failures"]
    verdict.failed = len(report["failures"])

    given = [step for step in report["given"] if plan.stream[step][0] in ("record", "life_cycle")]
    doubtful = [step for step in report["doubtful"] if plan.stream[step][0] in ("record", "life_cycle")]
    if not len(given) <= counts["submitted"] <= len(given) + len(doubtful):
        say(f"given {len(given)} (+ {len(doubtful)} interrupted), submitted {counts['submitted']}")
    if counts["pending"] or counts["submitted"] != counts["written"] + counts["failed"] + counts["warned"]:
        say(f"the books are wrong: {counts}")
    if counts["failed"] != len(report["failures"]):
        say(f"{counts['failed']} failed, {len(report['failures'])} named")
    if not plan.final and verdict.failed > MOST_FAILED * counts["submitted"]:
        say(f"{verdict.failed} of {counts['submitted']} reported as failed")

    _entities(plan, report, state, set(given), set(doubtful), say)
    clean = {request["n"] for request in log if not request["fault"]}
    for violation in violations:
        # What stalls is not in the log yet, and what a fault kept at the server may meet its second attempt.
        if violation["rule"] == "older_after_newer" or violation["other"] in clean:
            say(f"order: {violation}")
    threads = [name for name in report["threads"] if "bulksink" in name]
    if threads:
        say(f"threads left: {threads}")
    return verdict


_COLLECTIONS = {
    "database": "databases",
    "schema": "databaseSchemas",
    "table": "tables",
    "procedure": "storedProcedures",
}


def _entities(
    plan: Plan, report: dict[str, Any], state: dict[str, Any], given: set[int], doubtful: set[int], say: Any
) -> None:
    """Each entity that did not fail is there, in the last version that the sink was given."""
    losses: dict[str, list[str]] = {}
    for failure in report["failures"]:
        losses.setdefault(failure["name"], []).append(failure["error"])
    last: dict[tuple[str, str], tuple[int, int]] = {}
    maybe: dict[tuple[str, str], set[int]] = {}
    for number, step in enumerate(plan.stream):
        if step[0] != "record":
            continue
        _, kind, name, parent, version = step
        key = (_COLLECTIONS[kind], f"{parent}.{name}")
        if number in given:
            last[key] = (number, version)
            maybe.pop(key, None)
        elif number in doubtful:
            maybe.setdefault(key, set()).add(version)
    for (collection, fqn), (_, version) in last.items():
        creates = [error for error in losses.get(fqn, []) if "life cycle" not in error]
        entity = state.get(collection, {}).get(fqn)
        if entity is None:
            if not creates:
                say(f"lost without a word: {collection} {fqn}")
            continue
        found = int(str(entity.get("sourceUrl", "/0")).rsplit("/", 1)[-1])
        allowed = {version} | maybe.get((collection, fqn), set())
        if found not in allowed and not creates:
            say(f"{collection} {fqn} is version {found}, and {version} was the last")
        told = all("may have written" in error or version > 1 for error in creates)
        if found == version and creates and not told:
            say(f"{collection} {fqn} is there and called lost: {creates[0]}")
    _life_cycles(plan, state, given, doubtful, losses, say)


def _life_cycles(
    plan: Plan,
    state: dict[str, Any],
    given: set[int],
    doubtful: set[int],
    losses: dict[str, list[str]],
    say: Any,
) -> None:
    wanted: dict[str, int] = {}
    for number, step in enumerate(plan.stream):
        if step[0] == "life_cycle" and number in given:
            wanted[step[1]] = step[2]
        elif step[0] == "life_cycle" and number in doubtful:
            wanted.pop(step[1], None)
    for fqn, timestamp in wanted.items():
        if losses.get(fqn):
            continue
        found = (state.get("tables", {}).get(fqn, {}).get("lifeCycle") or {}).get("created", {}).get("timestamp")
        if found != timestamp:
            say(f"the life cycle of {fqn} is {found}, not {timestamp}")
