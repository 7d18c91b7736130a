"""The faults, how often each strikes, and who waits meanwhile: the rows of the table in docs/reliability.md.

Data only. A case is fed twice by the same code, once with upstream's own sink and once with ours (`test_matrix.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Tables of each stream: two full requests, and fifty that are only sent at the end.
TABLES = 250

Action = Mapping[str, Any]
Rule = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """One way in which a request goes wrong.

    What must come of it is "written", or "told": each record has one outcome, and no loss is hidden. once: when it
    strikes once; series: three times; ever: when it never ends; alone: when it strikes once, and a request of one
    record at that. blind: it strikes before the request's body is read, so that no rule can ask for a table.
    """

    name: str
    title: str
    do: Action
    once: str = "written"
    series: str = "written"
    ever: str = "told"
    alone: str = "written"
    blind: bool = False


def _status(code: int, **more: Any) -> Action:
    return {"kind": "status", "status": code, **more}


CONNECTION = (
    Fault("refused", "connection refused", {"kind": "outage"}),
    Fault("reset_before_body", "reset before the body is read", {"kind": "reset", "at": "before_body"}, blind=True),
    Fault("reset_before_work", "reset, nothing done", {"kind": "reset", "at": "before_work"}),
    Fault("reset_after_work", "reset after the work", {"kind": "reset", "at": "after_work"}),
    Fault("half_an_answer", "half an answer", {"kind": "truncate"}),
    Fault("longer_than_sent", "answer shorter than its `Content-Length`", {"kind": "wrong_length", "delta": 40}),
    Fault("shorter_than_sent", "answer longer than its `Content-Length`", {"kind": "wrong_length", "delta": -40}),
    Fault("slow_body", "answer at 1,000 bytes a second", {"kind": "slow_body", "bytes_per_s": 1000}),
    Fault("stall", "no answer at all", {"kind": "stall"}),
    Fault("stall_then_reset", "silence, then a reset", {"kind": "stall", "seconds": 1, "then": "reset"}),
    Fault("restart", "the server restarts", {"kind": "restart"}),
    Fault("close_after", "connection closed after each answer", {"kind": "close_after"}, ever="written"),
)

ANSWERS = (
    Fault("status_408", "408", _status(408)),
    Fault("status_425", "425", _status(425)),
    Fault("status_429", "429", _status(429)),
    Fault("status_429_seconds", "429, `Retry-After: 1`", _status(429, retry_after=1)),
    Fault("status_429_date", "429, `Retry-After` as a date", _status(429, retry_after={"date_in_s": 1})),
    Fault("status_429_odd", "429, `Retry-After: soon`", _status(429, retry_after="soon")),
    Fault("status_500", "500", _status(500)),
    Fault("status_502", "502 of a proxy", _status(502, body="<html>Bad Gateway</html>", content_type="text/html")),
    Fault("status_502_done", "502, the work done", _status(502, work=True)),
    Fault("status_503", "503", _status(503)),
    Fault("status_504", "504", _status(504)),
    Fault("status_504_done", "504, the work done", _status(504, work=True)),
    Fault("status_504_late", "504, the work done 2 s later", _status(504, work_after_s=2)),
    Fault("empty", "200 without a body", {"kind": "empty", "work": False}),
    Fault("empty_done", "200 without a body, the work done", {"kind": "empty"}),
    Fault("html", "200 with a page", {"kind": "html", "work": False}),
    Fault("html_done", "200 with a page, the work done", {"kind": "html"}),
    Fault("text", "200 with another text", _status(200, body="OK", content_type="text/plain")),
    Fault("invalid_utf8", "bytes that are no UTF-8", {"kind": "invalid_utf8"}),
    Fault("deep_json", "JSON nested 100,000 deep", {"kind": "deep_json", "depth": 100_000, "work": False}),
    Fault("header_flood", "5,000 headers", {"kind": "header_flood", "headers": 5_000}),
    Fault("status_401", "401", _status(401)),
    Fault("status_400", "400", _status(400), alone="told"),
    Fault("status_403", "403", _status(403), alone="told"),
    Fault("status_409", "409", _status(409), alone="told"),
    Fault("status_412", "412", _status(412), alone="told"),
    Fault("status_413", "413", _status(413), alone="told"),
    Fault("status_415", "415", _status(415), alone="told"),
    Fault("status_422", "422", _status(422), alone="told"),
    Fault("status_404", "404 at `/bulk`", _status(404), ever="written"),
    Fault("status_405", "405 at `/bulk`", _status(405), ever="written"),
    Fault("status_407", "407 of a proxy", _status(407), once="told", series="told"),
    Fault(
        "status_302", "302", _status(302, headers={"Location": "http://127.0.0.1:9/api"}), once="told", series="told"
    ),
)

_DEADLOCK = "Deadlock found when trying to get lock; try restarting transaction"

ROWS = (
    Fault("rows_503", "rows 503", {"kind": "fail_rows", "status": 503, "message": "System overloaded"}),
    Fault("rows_deadlock", "rows with a deadlock", {"kind": "fail_rows", "count": 3, "message": _DEADLOCK}),
    # Three times is what a row's own server error is given before it counts as the row's fault.
    Fault("rows_500", "rows 500", {"kind": "fail_rows", "count": 3, "status": 500, "message": "boom"}, series="told"),
    Fault(
        "rows_400", "three rows refused", {"kind": "fail_rows", "count": 3, "message": "no"}, once="told", series="told"
    ),
    Fault("rows_dropped", "written rows that the answer does not name", {"kind": "drop_rows", "count": 3}),
    Fault("rows_extra", "rows in the answer that were never sent", {"kind": "extra_rows", "count": 30}, ever="written"),
    Fault("rows_null", "nulls in every field", {"kind": "odd_answer", "nulls": True}, ever="written"),
    Fault("rows_unknown", "unknown fields", {"kind": "odd_answer", "unknown_fields": True}, ever="written"),
    Fault("rows_lower", "names in lower case", {"kind": "odd_answer", "lower_case": True}, ever="written"),
)

FAULTS = (*CONNECTION, *ANSWERS, *ROWS)

#: How often it strikes, and with which request it begins.
OFTEN = {
    "first": "once, in the first request",
    "last": "once, in the last request",
    "series": "three times",
    "ever": "for ever",
}

#: What stands still meanwhile.
WAITS: dict[str, Sequence[Sequence[Any]]] = {
    "close": (),
    "status": (("status",),),
    "fence": (("read", "t39"),),
    "barrier": (("barrier",), ("list",)),
}


@dataclass(frozen=True)
class Kind:
    """A kind of request that faults strike.

    match: how the fault plan knows it; blind: the same before the body is read. switches: what the server is told so
    that such requests are sent.
    """

    name: str
    title: str
    match: Action
    blind: Action
    switches: Action
    tables: int
    life_cycles: int = 0


_BULK: Action = {"class": "bulk", "collection": "tables"}
_BY_ID: Action = {"patch_by_name": False}

KINDS = {
    kind.name: kind
    for kind in (
        Kind("bulk", "the bulk PUT", _BULK, _BULK, {}, TABLES),
        Kind("single", "the single PUT", *[{"class": "single", "collection": "tables"}] * 2, {"bulk": False}, 40),
        Kind("life_cycle", "the life cycle PATCH", {"class": "life_cycle"}, {"method": "PATCH"}, {}, 40, 40),
        Kind("get", "the GET before a PATCH by id", *[{"class": "get", "path": "/tables/name/"}] * 2, _BY_ID, 40, 40),
        Kind("patch_by_id", "the PATCH by id", {"class": "life_cycle"}, {"method": "PATCH"}, _BY_ID, 40, 40),
        Kind("version", "the first GET of all", *[{"path": "/system/version"}] * 2, {}, 40),
    )
}


@dataclass(frozen=True)
class Case:
    """One fault of one kind of request, so many times, while somebody waits."""

    fault: Fault
    often: str
    wait: str
    kind: Kind = KINDS["bulk"]

    @property
    def name(self) -> str:
        """What the test's parameter is called."""
        kind = "" if self.kind.name == "bulk" else f"{self.kind.name}-"
        return f"{kind}{self.fault.name}-{self.often}-{self.wait}"

    @property
    def tables(self) -> int:
        """How many tables the sink is fed with."""
        return self.kind.tables

    @property
    def life_cycles(self) -> int:
        """How many life cycles, of the first tables."""
        return self.kind.life_cycles

    @property
    def stream(self) -> list[list[Any]]:
        """What the sink is fed with."""
        if self.kind.name != "bulk":
            life_cycles = [["life_cycles", 0, self.life_cycles]] if self.life_cycles else []
            wait = WAITS[self.wait]
            return [["tables", 0, self.tables], *life_cycles, *[list(step) for step in wait], ["close"]]
        strikes: list[list[Any]] = []
        if self.fault.do["kind"] == "outage":
            seconds = {"first": 0.5, "last": 0.5, "series": 2.0, "ever": 600.0}[self.often]
            strikes = [["ask", "POST", "/outage", {"seconds": seconds}]]
        early = strikes if self.often != "last" else []
        late = strikes if self.often == "last" else []
        reads = [["read", f"t{TABLES - 1}"] if step[0] == "read" else list(step) for step in WAITS[self.wait]]
        tables = [["tables", 0, 10], *early, ["tables", 10, TABLES - 60], *late, ["tables", TABLES - 50, 50]]
        return [*tables, *reads, ["close"]]

    @property
    def rules(self) -> list[Rule]:
        """The server's fault plan."""
        if self.fault.do["kind"] == "outage":
            return []
        match = dict(self.kind.blind if self.fault.blind else self.kind.match)
        when: dict[str, Any] = {"first": {"nth": [1]}, "series": {"first": 3}, "ever": {}}.get(self.often, {"nth": [1]})
        if self.often == "last":
            if self.fault.blind:
                when = {"nth": [3]}
            else:
                match["fqn"] = f"lake.main.public.t{TABLES - 1}"
        return [{"match": match, "when": when, "do": dict(self.fault.do)}]

    @property
    def delivery_timeout(self) -> float:
        """Seconds; scaled down where nothing ever gets through. What is written has time for it anywhere."""
        return 4.0 if self.often == "ever" and self.expected != "written" else 60.0

    @property
    def expected(self) -> str:
        """What must come of it."""
        if self.often == "last" and self.wait == "fence" and self.fault.alone == "told":
            return "told"
        kind = "once" if self.often in ("first", "last") else self.often
        expected: str = getattr(self.fault, kind)
        return expected


def cases() -> list[Case]:
    """Every fault, so often in each way; who waits goes round, so that each fault meets each wait."""
    found = []
    waits = list(WAITS)
    for number, fault in enumerate(FAULTS):
        for turn, often in enumerate(OFTEN):
            found.append(Case(fault, often, waits[(number + turn) % len(waits)]))
    return found


#: Faults that any kind of request may meet.
COMMON = (
    "reset_before_body",
    "reset_after_work",
    "half_an_answer",
    "stall",
    "restart",
    "close_after",
    "status_429",
    "status_500",
    "status_503",
    "status_504_done",
    "empty_done",
    "html",
    "status_401",
)


def other_cases() -> list[Case]:
    """The common faults, at the other kinds of request."""
    faults = [fault for fault in FAULTS if fault.name in COMMON]
    found = []
    waits = list(WAITS)
    for kind in KINDS.values():
        if kind.name == "bulk":
            continue
        for number, fault in enumerate(faults):
            for turn, often in enumerate(("first", "series", "ever")):
                found.append(Case(fault, often, waits[(number + turn) % len(waits)], kind))
    return found
