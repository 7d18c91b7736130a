"""From a seed to one run: what is ingested, how the sink is set, what goes wrong and when. Data only.

Everything that goes wrong ends within the first seconds, well before the delivery deadline: so nothing has a reason
to be
lost, except where the plan says so (`final`).
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field
from typing import Any

#: Faults begin and end within so many seconds of a run.
WEATHER_SECONDS = 8.0
DELIVERY_TIMEOUT = 90.0
READ_TIMEOUT = 2.0

Action = dict[str, Any]


@dataclass
class Plan:
    """One run; `as_job` is what the worker is given.

    stream: steps for the worker. controls: requests to the server's control port, with their times. signals: when the
    worker's
    main thread is interrupted, and by what; ends_at_signal: whether the source ends then. final: whether the plan has
    answers that are refusals for good.
    """

    seed: int
    profile: str
    stream: list[list[Any]]
    variables: dict[str, str]
    sink: dict[str, Any]
    rules: list[Action]
    latency: Action
    switches: Action
    controls: list[tuple[float, str, str, Action]] = field(default_factory=list)
    signals: list[tuple[float, str]] = field(default_factory=list)
    ends_at_signal: bool = False
    final: bool = False

    def as_job(self) -> dict[str, Any]:
        """For the worker."""
        return {
            "seed": self.seed,
            "stream": self.stream,
            "variables": self.variables,
            "sink": self.sink,
            "controls": self.controls,
            "signals": self.signals,
            "ends_at_signal": self.ends_at_signal,
            "client": {"timeout": [READ_TIMEOUT, READ_TIMEOUT], "retry_wait": 0, "ttl_cache": 0},
        }

    def __str__(self) -> str:
        shown = {name: value for name, value in asdict(self).items() if name != "stream"}
        return f"{shown} {len(self.stream)} steps"


def plan(seed: int) -> Plan:
    """The run of a seed."""
    chance = random.Random(seed)
    profile = chance.choice(["1.11", "1.12", "2.0", "2.0"])
    rules, final = _rules(chance)
    return Plan(
        seed=seed,
        profile=profile,
        stream=_stream(chance),
        variables=_variables(chance),
        sink={"bulk_sink_batch_size": chance.choice([2, 7, 20, 50, 100])},
        rules=rules,
        latency=_latency(chance),
        switches={"patch_by_name": chance.random() < 0.8, "bulk": chance.random() < 0.95},
        controls=_controls(chance),
        signals=_signals(chance),
        ends_at_signal=chance.random() < 0.3,
        final=final,
    )


def _variables(chance: random.Random) -> dict[str, str]:
    found = {
        "OM_BULKSINK_DELIVERY_TIMEOUT": str(DELIVERY_TIMEOUT),
        "OM_BULKSINK_WORKERS": str(chance.randint(1, 8)),
        "OM_BULKSINK_LINGER": str(chance.choice([0, 0.1, 2])),
        "OM_BULKSINK_ACCELERATE": "0",
    }
    if chance.random() < 0.2:
        found["OM_BULKSINK_BATCH_BYTES"] = str(chance.choice([1_024, 4_096, 20_000]))
    if chance.random() < 0.2:
        found["OM_BULKSINK_EMBED_LIFE_CYCLE"] = "1"
    if chance.random() < 0.2:
        found["OM_BULKSINK_STRICT_BARRIER"] = "1"
    return found


def _latency(chance: random.Random) -> Action:
    rate = {"request_ms": chance.uniform(0, 60), "row_ms": chance.uniform(0, 2)}
    return {"bulk": rate, "other": {"request_ms": chance.uniform(0, 10)}}


# --- what is ingested ---


def _stream(chance: random.Random) -> list[list[Any]]:
    """Records in an order that a source may have: parents first, repeats later, readers in between.

    A record is ["record", kind, name, parent, version]; a version is what the server must hold in the end.
    """
    steps: list[list[Any]] = []
    known: list[tuple[str, str, str]] = []
    versions: dict[str, int] = {}

    def record(kind: str, name: str, parent: str) -> None:
        fqn = f"{parent}.{name}"
        versions[fqn] = versions.get(fqn, 0) + 1
        steps.append(["record", kind, name, parent, versions[fqn]])
        if versions[fqn] == 1:
            known.append((kind, name, parent))

    for database in range(chance.randint(1, 2)):
        record("database", f"d{database}", "lake")
        for schema in range(chance.randint(1, 3)):
            home = f"lake.d{database}"
            record("schema", f"s{schema}", home)
            for table in range(chance.randint(10, 120)):
                record("table", f"t{table}", f"{home}.s{schema}")
                _in_between(chance, steps, known, record)
            for procedure in range(chance.randint(0, 5)):
                record("procedure", f"p{procedure}", f"{home}.s{schema}")
            if chance.random() < 0.4:
                steps.append(["barrier"])
                steps.append(["list", f"{home}.s{schema}"])
    if chance.random() < 0.5:
        steps.append(["status"])
    return steps


def _in_between(chance: random.Random, steps: list[list[Any]], known: list[Any], record: Any) -> None:
    kind, name, parent = chance.choice(known)
    dice = chance.random()
    if dice < 0.06:
        record(kind, name, parent)
    elif dice < 0.16 and kind == "table":
        steps.append(["life_cycle", f"{parent}.{name}", 1_700_000_000_000 + len(steps)])
    elif dice < 0.19 and kind == "table":
        steps.append(["read", f"{parent}.{name}"])
    elif dice < 0.26:
        steps.append(["sleep", chance.choice([0.01, 0.1, 0.4])])


# --- what goes wrong ---


def _status(code: int, **more: Any) -> Action:
    return {"kind": "status", "status": code, **more}


def _passing(chance: random.Random) -> Action:
    """A fault after which the same request may succeed."""
    deadlock = "Deadlock found when trying to get lock; try restarting transaction"
    kinds: list[Action] = [
        {"kind": "reset", "at": chance.choice(["before_body", "before_work", "after_work"])},
        {"kind": "truncate"},
        {"kind": "wrong_length", "delta": chance.choice([-20, 20])},
        {"kind": "slow_body", "bytes_per_s": 400},
        {"kind": "stall", "seconds": chance.choice([0.5, 3.0]), "then": chance.choice(["work", "reset"])},
        {"kind": "stall"},
        {"kind": "restart"},
        {"kind": "close_after"},
        _status(chance.choice([408, 425, 500, 502, 503, 504])),
        _status(chance.choice([500, 502, 503, 504]), work=True),
        _status(504, work_after_s=chance.choice([0.5, 2.0])),
        _status(429, retry_after=chance.choice([0, 1, 2, "soon", {"date_in_s": 1}, "-5"])),
        _status(401),
        _status(413),
        {"kind": "empty", "work": chance.random() < 0.5},
        {"kind": "html", "work": chance.random() < 0.5, "status": chance.choice([200, 502])},
        {"kind": "invalid_utf8", "work": chance.random() < 0.5},
        {"kind": "deep_json", "depth": 50_000, "work": chance.random() < 0.5},
        {"kind": "header_flood", "headers": 2_000},
        {"kind": "huge", "megabytes": 70},
        {"kind": "drop_rows", "rate": 0.3},
        {"kind": "extra_rows", "count": 5},
        {"kind": "odd_answer", "nulls": True, "unknown_fields": True, "lower_case": chance.random() < 0.5},
        {"kind": "fail_rows", "status": 503, "rate": 0.5, "message": "System overloaded"},
        {"kind": "fail_rows", "count": 3, "message": deadlock},
    ]
    return chance.choice(kinds)


def _final(chance: random.Random) -> Action:
    """An answer after which a record is lost, by name."""
    return chance.choice(
        [
            _status(407),
            _status(302, headers={"Location": "/elsewhere"}),
            _status(chance.choice([400, 403, 422])),
            {"kind": "fail_rows", "rate": 0.2, "message": "no"},
        ]
    )


def _rules(chance: random.Random) -> tuple[list[Action], bool]:
    rules = []
    final = chance.random() < 0.1
    matches: list[Action] = [
        {"class": "bulk"},
        {"class": "bulk", "collection": "tables"},
        {"class": "life_cycle"},
        {"method": "PATCH"},
        {"method": "GET", "path": "/name/"},
        {"class": "single"},
        {},
    ]
    for number in range(chance.randint(2, 6)):
        action = _final(chance) if final and number == 0 else _passing(chance)
        start = chance.uniform(0, WEATHER_SECONDS / 2)
        when: Action = {"to_s": start + chance.uniform(0.2, WEATHER_SECONDS / 2), "from_s": start}
        style = chance.random()
        if style < 0.4:
            when = {"nth": sorted(chance.sample(range(1, 25), chance.randint(1, 4)))}
        elif style < 0.9:
            when["rate"] = chance.choice([0.1, 0.3, 0.6])
        match = chance.choice(matches)
        # Refusals of single requests are final, and a rule for everything would also hit what the plan reads itself.
        if action.get("status") == 413:
            match = {"class": "bulk", "body_over": 2_000}
        elif action["kind"] in ("fail_rows", "drop_rows", "extra_rows"):
            match = {"class": "bulk"}
        rules.append({"match": match, "when": when, "do": action})
    return rules, final


def _controls(chance: random.Random) -> list[tuple[float, str, str, Action]]:
    found: list[tuple[float, str, str, Action]] = []
    for _ in range(chance.choice([0, 0, 1, 1, 2])):
        at = chance.uniform(0.05, WEATHER_SECONDS / 2)
        if chance.random() < 0.5:
            found.append((at, "POST", "/restart", {}))
        else:
            found.append((at, "POST", "/outage", {"seconds": chance.choice([0.1, 1.0, 3.0])}))
    return sorted(found)


def _signals(chance: random.Random) -> list[tuple[float, str]]:
    """Times after the start, and how the main thread is interrupted: as by Ctrl-C, or as Airflow ends a task, today
    or in older releases.
    """
    if chance.random() < 0.5:
        return []
    return [
        (chance.uniform(0.01, WEATHER_SECONDS / 2), chance.choice(["SIGINT", "SIGTERM", "SIGUSR1"]))
        for _ in range(chance.choice([1, 1, 2]))
    ]
