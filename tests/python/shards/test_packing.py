"""Schemas into shards, names that filters cannot tell apart, the plan as a document."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmetadata_bulksink.shard import documents
from openmetadata_bulksink.shard import plan as plans
from openmetadata_bulksink.shard.documents import BadDocument
from openmetadata_bulksink.shard.names import NOTHING, alike, pattern
from openmetadata_bulksink.shard.packing import Kept, Moved, Unit, key, load, pack
from openmetadata_bulksink.shard.plan import Plan

names = st.text(st.sampled_from("abAB.+*()[]|^$\\ \nİıſßKéÉ-"), min_size=1, max_size=6)
units = st.lists(
    st.builds(Unit, st.sampled_from(["db", "DB", "x.y"]), names, st.integers(0, 500), st.just(0)),
    unique_by=lambda unit: unit[:2],
    max_size=40,
)


def plan_of(shards: list[list[Unit]]) -> Plan:
    databases = tuple(dict.fromkeys(unit.database for shard in shards for unit in shard))
    return Plan("run", 1_000.0, "print", "svc", databases, tuple(map(tuple, shards)))


@given(names, names)
def test_names_whose_patterns_match_each_other_are_alike(one: str, other: str) -> None:
    if re.match(pattern([one]), other, re.IGNORECASE):
        assert alike(one) == alike(other)


def test_every_letter_that_python_matches_with_another_is_alike() -> None:
    letters = [chr(code) for code in range(0x20, 0x3000) if chr(code).lower() != chr(code).upper()]
    pairs = 0
    for letter in letters:
        found = re.compile(re.escape(letter), re.IGNORECASE).findall("".join(letters))
        pairs += len(found) > 1
        assert {alike(other) for other in found} == {alike(letter)}, letter
    assert pairs > 1_000


@given(st.lists(names, min_size=1, max_size=20))
def test_one_expression_matches_each_of_its_names(chosen: list[str]) -> None:
    assert all(re.match(pattern(chosen), name, re.IGNORECASE) for name in chosen)


def test_a_pattern_matches_the_whole_name_and_nothing_else() -> None:
    expression = pattern(["a.b", "area_000", "x|y"])
    assert re.match(expression, "AREA_000", re.IGNORECASE)
    for other in ("aXb", "area_0000", "xarea_000", "x", "y", ""):
        assert not re.match(expression, other, re.IGNORECASE), other
    assert pattern([]) == NOTHING
    assert not re.match(NOTHING, "anything")


@given(units, st.integers(1, 8))
def test_each_schema_is_in_one_shard_and_those_alike_are_together(found: list[Unit], shards: int) -> None:
    packed = pack(found, shards)
    assert len(packed) == shards
    assert sorted(unit for shard in packed for unit in shard) == sorted(found)
    places: dict[tuple[str, str], set[int]] = {}
    for number, shard in enumerate(packed):
        for unit in shard:
            places.setdefault(key(unit), set()).add(number)
    assert all(len(numbers) == 1 for numbers in places.values())


def test_longest_first_is_within_four_thirds_of_even() -> None:
    found = [Unit("db", f"s{number}", size) for number, size in enumerate([70, 60, 50, 40, 30, 20, 10, 10, 5, 5])]
    loads = [load(shard) for shard in pack(found, 3)]
    assert max(loads) <= load(found) / 3 * 4 / 3


@given(units, st.integers(1, 5))
def test_a_later_plan_keeps_what_an_earlier_one_had(found: list[Unit], shards: int) -> None:
    half = found[: len(found) // 2]
    first = plan_of(pack(half, shards))
    later = plan_of(pack(found, shards, first.places(), since=7))
    known = {unit[:2] for unit in half}
    whole = {at for at, kept in later.places().items() if kept.names <= known}
    for at, kept in first.places().items():
        assert later.places()[at].shard == kept.shard
    for at, kept in later.places().items():
        # What differs in case only is read by one workflow: it has no watermark for the new one of them.
        assert kept == first.places()[at] if at in whole else kept.since == 7


def test_a_schema_that_differs_in_case_from_one_before_it_has_no_watermark_nor_has_that_one() -> None:
    first = plan_of([[Unit("db", "area", 1), Unit("db", "other", 1)], []])
    found = [Unit("db", "area", 1), Unit("db", "Area", 1), Unit("db", "other", 1)]
    (here, there) = pack(found, 2, first.places(), since=7)
    assert not there
    assert here == [Unit("db", "area", 1, 7), Unit("db", "Area", 1, 7), Unit("db", "other", 1)]
    assert pack([Unit("DB", "other", 1)], 2, first.places(), since=7)[0] == [Unit("DB", "other", 1, 7)]


def test_a_schema_whose_shard_is_gone_is_refused() -> None:
    with pytest.raises(Moved, match=r"db\.s was in shard 3 and there would be 2 shards"):
        pack([Unit("db", "s", 1)], 2, {("db", "s"): Kept(3, 0, frozenset())})


@given(units, st.integers(1, 4))
def test_a_plan_survives_its_document(found: list[Unit], shards: int) -> None:
    plan = plan_of(pack(found, shards))
    assert plans.read(plan.to_json(), "plan.json") == plan


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 2}', "null", "\x00"])
def test_what_is_no_plan_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadDocument, match=r"plan\.json"):
        plans.read(text, "plan.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"area"', '"other"'),
        ('"made": 1000.0', '"made": 1e999'),
        ('"svc"', '"other"'),
        ('"sales",', '"sales", "hr",'),
        ("5,", "1e999,"),
        ("false", "true"),
    ],
)
def test_a_plan_that_was_changed_by_hand_is_refused_with_what_to_do(old: str, new: str) -> None:
    text = plan_of([[Unit("sales", "area", 5)], []]).to_json()
    changed = text.replace(old, new, 1)
    assert changed != text
    with pytest.raises(BadDocument, match=r"^plan\.json is not as `shard plan` wrote it: .* make a new plan$"):
        plans.read(changed, "plan.json")


def test_a_plan_from_which_a_schema_was_taken_is_refused() -> None:
    content = json.loads(plan_of([[Unit("sales", "area", 5)], [Unit("sales", "other", 5)]]).to_json())
    assert plans.read(json.dumps(content), "plan.json").shards[1], "however it is written"
    content["shards"][1].clear()
    with pytest.raises(BadDocument, match="is not as `shard plan` wrote it"):
        plans.read(json.dumps(content), "plan.json")


def test_a_plan_of_the_future_and_numbers_that_are_none_are_refused() -> None:
    plan = plan_of([[Unit("sales", "area", 5)], []])
    assert plans.read(plan.to_json(), "plan.json", 701.0) == plan
    with pytest.raises(BadDocument, match=r"^plan\.json was made in the future"):
        plans.read(plan.to_json(), "plan.json", 699.0)
    for value in (float("nan"), float("inf"), -1.0, True, "1000"):
        with pytest.raises(BadDocument, match=r"^plan\.json is not a plan"):
            plans.read(documents.sealed({**json.loads(plan.to_json()), "made": value}), "plan.json")


def test_a_schema_larger_than_an_even_shard_is_named() -> None:
    large = Unit("db", "large", 900)
    plan = plan_of(pack([large, *(Unit("db", f"s{number}", 10) for number in range(10))], 4))
    assert plan.too_large() == [large]
    assert plan.longest_share() > 0.85


def test_databases_that_filters_cannot_tell_apart_are_one_workflow() -> None:
    plan = plan_of([[Unit("Sales", "a", 1), Unit("sales", "b", 1), Unit("hr", "a", 1), Unit("hr", "new", 1, since=1)]])
    assert [(part.databases, part.since) for part in plan.parts(0)] == [
        (("Sales", "sales"), 0),
        (("hr",), 0),
        (("hr",), 1),
    ]
