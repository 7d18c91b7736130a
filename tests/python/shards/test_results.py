"""Which results `close` may act on, what it may delete, and how much."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmetadata_bulksink.shard import closing, deletion, documents, results
from openmetadata_bulksink.shard.deletion import Sightings
from openmetadata_bulksink.shard.documents import BadDocument
from openmetadata_bulksink.shard.packing import Unit
from openmetadata_bulksink.shard.plan import Plan
from openmetadata_bulksink.shard.results import Gap, PartResult, Result, Stale, Step, Unacceptable

PLAN = Plan(
    "run",
    1_000.0,
    "print",
    "svc",
    ("first", "second"),
    ((Unit("first", "a", 1), Unit("second", "b", 1)), (Unit("second", "c", 1),)),
)


KEY = {"column": {"referred_table": "u"}, "table_name": "t", "schema_name": "a", "db_name": "first"}


def part(database: str, *, seen: int = 1, stale: tuple[Stale, ...] = (), failed: str = "") -> PartResult:
    failures = ((failed, "unreadable"),) if failed else ()
    return PartResult((database,), "well", seen={"tables": {database: seen}}, stale=stale, failures=failures)


def result(shard: int, *parts: PartResult, started: float = 2_000.0) -> Result:
    whole = parts or tuple(part(one.databases[0]) for one in PLAN.parts(shard))
    return Result("run", "print", shard, started, "well", parts=whole)


def stale(name: str, *, only_if_seen: bool = True, collection: str = "tables") -> Stale:
    return Stale(collection, name, "id", 0.1, only_if_seen)


def test_one_good_result_of_each_shard_is_acceptable_in_any_order() -> None:
    assert [one.shard for one in results.acceptable(PLAN, [result(1), result(0)], 3_000.0)] == [0, 1]


def test_the_newest_attempt_counts() -> None:
    bad = replace(result(0, started=1_500.0), ended="badly")
    assert results.acceptable(PLAN, [result(0), bad, result(1)], 3_000.0)[0].ended == "well"
    with pytest.raises(Unacceptable, match="shard 0 did not end well"):
        results.acceptable(PLAN, [result(0), replace(bad, started=2_500.0), result(1)], 3_000.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(result(0), run="other"), "another plan"),
        (replace(result(0), fingerprint="other"), "another workflow file"),
        (replace(result(0), started=10.0), "older than the plan"),
        (replace(result(0), started=3_301.0), "of the future"),
        (replace(result(0), shard=7), "the plan has 2"),
        (replace(result(0), shard=-1), "the plan has 2"),
        (replace(result(0), ended="running"), "running, or was killed"),
        (replace(result(0), ended="badly", why="no space left"), "no space left"),
        (replace(result(0), parts=result(0).parts[:1]), "does not hold all of its databases"),
    ],
)
def test_any_doubt_is_refused_with_its_reason(wrong: Result, said: str) -> None:
    with pytest.raises(Unacceptable, match=said):
        results.acceptable(PLAN, [wrong, result(1)], 3_000.0)


def test_a_shard_that_ended_half_a_day_ago_is_to_run_again() -> None:
    took_long = replace(result(0), parts=(replace(part("first"), seconds=20 * 3600.0), part("second")))
    now = 2_000.0 + 13 * 3600
    with pytest.raises(Unacceptable, match="shard 0, 1 ended more than half a day ago"):
        results.acceptable(PLAN, [result(0), result(1)], now)
    with pytest.raises(Unacceptable, match="shard 1 ended"):
        results.acceptable(PLAN, [took_long, result(1)], now)
    assert len(results.acceptable(PLAN, [result(0), result(1)], None)) == 2, "of one command"


def test_a_missing_result_is_named() -> None:
    with pytest.raises(Unacceptable, match="no result of shard 0, 1"):
        results.acceptable(PLAN, [], 3_000.0)


def test_a_result_survives_its_document() -> None:
    full = result(0, part("first", stale=(stale("svc.first.a.t"),), failed="x"), part("second"))
    first = replace(full.parts[0], keys=(KEY,), unread=(Gap("svc.first.b", "denied"),), steps=(Step("Postgres", 3, 1),))
    full = replace(full, parts=(first, full.parts[1]))
    assert results.read(full.to_json(), "r.json") == full
    assert full.to_json().count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"format": 1}',
        '{"format": 1, "run": "x"}',
        result(0).to_json()[:-30],
        result(0).to_json().replace('"seen": {"tables"', '"seen": [], "unseen": {"tables"'),
        "[" * 100_000,
    ],
)
def test_what_is_no_result_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadDocument, match=r"r\.json"):
        results.read(text, "r.json")


FULL = replace(
    result(0),
    parts=(
        replace(
            part("first", stale=(stale("svc.first.a.t"),), failed="x"),
            keys=(KEY,),
            unread=(Gap("svc.first.b", "denied"),),
        ),
    ),
)


def test_a_result_that_was_changed_by_hand_is_refused_with_what_to_do() -> None:
    text = FULL.to_json()
    assert results.read(json.dumps(json.loads(text), indent=2), "r.json") == FULL, "however it is written"
    for old, new in (("svc.first.a.t", "svc.first.a.u"), ('"well"', '"badly"'), ("2000.0", "2001.0")):
        changed = text.replace(old, new, 1)
        assert changed != text
        with pytest.raises(BadDocument, match=r"^r\.json is not as `shard run` wrote it; run the shard again$"):
            results.read(changed, "r.json")


#: A value of each kind that JSON has, and numbers that it has not.
VALUES: tuple[Any, ...] = (None, True, "x", "", -1, 0.5, 7, [], [["a"]], [5], {}, {"a": 1}, float("nan"), float("inf"))


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a document, at any depth."""
    for name, below in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*at, name)
        if isinstance(below, (dict, list)) and name != "column":
            yield from places(below, (*at, name))


def test_a_result_of_any_other_shape_is_refused_by_name_or_means_the_same_to_everybody() -> None:
    """No value of a wrong kind comes as far as to where it would be used."""
    content = json.loads(FULL.to_json())
    tried = refused = 0
    said: set[str] = set()
    for at in places(content):
        for value in VALUES:
            changed = json.loads(json.dumps(content))
            holder = reduce(lambda below, name: below[name], at[:-1], changed)
            holder[at[-1]] = value
            tried += 1
            try:
                read = results.read(documents.sealed(changed), "r.json")
            except BadDocument as error:
                refused += 1
                said.add(str(error).partition(" ")[0])
                continue
            assert math.isfinite(read.started)
            assert results.read(read.to_json(), "again.json") == read
            deletion.allowed(PLAN, [read])
            closing._unasked([read])
    assert said == {"r.json"}
    assert refused > tried / 2 > 150


def test_nothing_goes_before_a_run_would_have_seen_anything() -> None:
    """Upstream asks at the end of each database with all that it has seen by then; an empty list deletes nothing."""
    gone_first, gone_second = stale("svc.first.a.t"), stale("svc.second.b.t")
    found = [result(0, part("first", seen=0, stale=(gone_first,)), part("second", stale=(gone_second,))), result(1)]
    allowed, spared = deletion.allowed(PLAN, found)
    assert allowed == [gone_second]
    assert [one.fqn for one in spared] == ["svc.first.a.t"]


def test_what_another_shard_has_seen_by_then_counts() -> None:
    gone = stale("svc.second.b.t")
    found = [result(0, part("first", seen=0), part("second", seen=0, stale=(gone,))), result(1, part("second"))]
    assert deletion.allowed(PLAN, found)[0] == [gone]


def test_what_was_seen_counts_by_the_name_that_the_server_has() -> None:
    plan = replace(PLAN, databases=("od>d",), shards=((Unit("od>d", "a", 2),),))
    gone = stale("svc.od__reserved__arrow__d.a.t")
    found = [result(0, part("od__reserved__arrow__d", seen=1, stale=(gone,)))]
    assert deletion.allowed(plan, found)[0] == [gone]


@pytest.mark.parametrize(("walked", "said"), [("od__reserved__arrow__d", ""), ("other", "did not walk od>d")])
def test_a_database_is_walked_by_the_name_that_the_server_has(
    walked: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = replace(PLAN, databases=("od>d",), shards=((Unit("od>d", "a", 2),),))
    ran = PartResult(("od>d",), "well", seen={"databases": {walked: 1}})
    closing._tell_of_unwalked(plan, [result(0, ran)])
    assert (said in capsys.readouterr().err) if said else capsys.readouterr().err == ""


def test_the_older_way_of_deleting_does_not_ask_what_was_seen() -> None:
    gone = stale("svc.first.a.t", only_if_seen=False)
    found = [result(0, part("first", seen=0, stale=(gone,)), part("second", seen=0)), result(1, part("second", seen=0))]
    assert deletion.allowed(PLAN, found)[0] == [gone]


@pytest.mark.parametrize("failed", ["t", "svc.first.a.t"])
def test_what_could_not_be_read_is_not_stale(failed: str) -> None:
    found = [result(0, part("first", stale=(stale("svc.first.a.t"),), failed=failed), part("second")), result(1)]
    allowed, spared = deletion.allowed(PLAN, found)
    assert not allowed
    assert "could not read" in spared[0].why


@pytest.mark.parametrize("unread", ["svc.first", "svc.first.a"])
def test_what_lies_in_something_that_could_not_be_listed_is_not_stale(unread: str) -> None:
    blind = replace(part("first", stale=(stale("svc.first.a.t"),)), unread=(Gap(unread, "permission denied"),))
    gone = stale("svc.second.b.t")
    allowed, spared = deletion.allowed(PLAN, [result(0, blind, part("second", stale=(gone,))), result(1)])
    assert allowed == [gone]
    assert [one.fqn for one in spared] == ["svc.first.a.t"]
    assert f"{unread} could not be read (permission denied)" in spared[0].why


TABLES = ("tables", "svc.first.a")


@pytest.mark.parametrize(
    ("found", "asked", "there", "unread", "said"),
    [
        (stale("svc.first.a.t"), [TABLES], [], [], None),
        (stale("svc.first.a.t"), [TABLES], [("tables", "svc.first.a.t")], [], "has it again"),
        (stale("svc.first.a.t"), [TABLES], [("storedProcedures", "svc.first.a.t")], [], None),
        (stale("svc.first.a.t"), [("storedProcedures", "svc.first.a")], [], [], "no more to say of its schema"),
        (stale("svc.first.a.t"), [TABLES], [], [Gap("svc.first.a", "denied")], r"could not be read \(denied\)"),
        (stale("svc.first.a", collection="databaseSchemas"), [], [], [], None),
        (stale("svc.first.a", collection="databaseSchemas"), [], [], [Gap("svc.first", "denied")], "could not be read"),
        (stale("svc.first", collection="databases"), [], [], [Gap("svc", "denied")], "could not be read"),
        (stale("svc.first", collection="databases"), [], [], [Gap("svc.second", "denied")], None),
    ],
)
def test_only_what_the_source_is_seen_to_have_no_more_goes(
    found: Stale,
    asked: list[tuple[str, str]],
    there: list[tuple[str, str]],
    unread: list[Gap],
    said: str | None,
) -> None:
    now = PartResult(PLAN.databases, "well", unread=tuple(unread))
    gone, spared = deletion.confirmed([found], Sightings(frozenset(asked), frozenset(there)), now)
    assert gone == ([] if said else [found])
    assert [one.fqn for one in spared] == ([found.fqn] if said else [])
    assert all(re.search(str(said), one.why) for one in spared)


def test_what_close_itself_could_not_write_does_not_go() -> None:
    found = stale("svc.first.a", collection="databaseSchemas")
    now = PartResult(PLAN.databases, "well", failures=(("a", "refused"),))
    gone, spared = deletion.confirmed([found], Sightings(frozenset(), frozenset()), now)
    assert (gone, [one.fqn for one in spared]) == ([], [found.fqn])


def test_where_most_failed_nothing_is_called_stale() -> None:
    failures = tuple((f"other_{number}", "lost") for number in range(results.MOST_FAILURES))
    bad = replace(part("first", stale=(stale("svc.first.a.t"),)), failures=failures)
    assert not deletion.allowed(PLAN, [result(0, bad, part("second")), result(1)])[0]


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 100))
def test_the_limit(going: int, more: int, percent: float) -> None:
    live = going + more
    refused = deletion.above_limit(going, live, percent)
    assert (refused is None) == (going < 50 or going <= live * percent / 100)
    if refused:
        assert "\n" not in refused
        assert str(going) in refused


def test_a_hundred_percent_lifts_the_limit() -> None:
    assert deletion.above_limit(1_000, 1_000, 20) is not None
    assert deletion.above_limit(1_000, 1_000, 100) is None


def test_what_lies_below_something_that_goes_is_not_deleted_by_itself() -> None:
    found = [
        stale("svc.d.s.t"),
        stale('svc.d."s.x".t'),
        stale("svc.d.s", collection="databaseSchemas"),
        stale("svc.other", collection="databases"),
    ]
    assert [one.fqn for one in deletion.tops(found)] == ["svc.other", "svc.d.s", 'svc.d."s.x".t']
