"""Comparing two states: what counts as a difference, and the one documented exception."""

from __future__ import annotations

from typing import Any

from tests.ingest import compare, describe


def _state(**changes: Any) -> dict[str, dict[str, dict[str, Any]]]:
    table = {"name": "t", "columns": [{"name": "a", "dataType": "INT"}], "sourceHash": "1", **changes}
    return {"tables": {"s.d.p.t": table}}


def test_equal_states_have_no_differences() -> None:
    assert compare(_state(), _state()) == []
    assert describe([]) == "no differences"


def test_each_difference_is_named_with_its_place() -> None:
    other = _state(columns=[{"name": "a", "dataType": "TEXT"}], description="new")
    found = compare(_state(), other)
    assert [str(difference) for difference in found] == [
        'tables s.d.p.t columns[0].dataType: "INT" | "TEXT"',
        'tables s.d.p.t description: absent | "new"',
    ]
    assert describe(found).startswith("2 differences:")


def test_missing_entities_and_collections_are_differences() -> None:
    found = compare(_state(), {"charts": {"s.c": {}}})
    assert [str(difference) for difference in found] == [
        "charts s.c: missing | there",
        "tables s.d.p.t: there | missing",
    ]


def test_types_and_lengths_count() -> None:
    assert compare(_state(retention=1), _state(retention=True))
    assert compare(_state(columns=[]), _state())
    assert compare(_state(description=None), _state())


def test_the_source_hash_counts_where_no_foreign_key_is() -> None:
    assert compare(_state(), _state(sourceHash="2"))
    primary = [{"constraintType": "PRIMARY_KEY", "columns": ["a"]}, {"constraintType": "UNIQUE", "columns": ["b"]}]
    assert compare(_state(tableConstraints=primary), _state(tableConstraints=primary[::-1]))


def test_foreign_keys_may_have_come_later() -> None:
    constraints = [
        {"constraintType": "PRIMARY_KEY", "columns": ["a"]},
        {"constraintType": "FOREIGN_KEY", "columns": ["b"], "referredColumns": ["s.d.p.u.a"]},
    ]
    first = _state(tableConstraints=constraints)
    assert compare(first, _state(tableConstraints=constraints[::-1], sourceHash="2")) == []
    constraints_elsewhere = [constraints[0], {**constraints[1], "referredColumns": ["s.d.p.v.a"]}]
    assert compare(first, _state(tableConstraints=constraints_elsewhere))
    assert compare(first, _state(tableConstraints=constraints[:1]))


def test_columns_may_be_numbered_by_their_place_where_keys_came_later() -> None:
    key = [{"constraintType": "FOREIGN_KEY", "columns": ["a"], "referredColumns": ["s.d.p.u.a"]}]
    plain, numbered, misnumbered = (
        [{"name": "a", **place}] for place in ({}, {"ordinalPosition": 1}, {"ordinalPosition": 2})
    )
    first = _state(tableConstraints=key, columns=plain)
    assert compare(first, _state(tableConstraints=key, columns=numbered)) == []
    assert compare(first, _state(tableConstraints=key, columns=misnumbered))
    assert compare(_state(columns=plain), _state(columns=numbered))


def test_upstream_up_to_1_13_may_have_lost_keys() -> None:
    primary = {"constraintType": "PRIMARY_KEY", "columns": ["a"]}
    foreign = {"constraintType": "FOREIGN_KEY", "columns": ["b"], "referredColumns": ["s.d.p.u.a"]}
    whole = _state(tableConstraints=[primary, foreign])
    for lossy in (_state(tableConstraints=[primary], sourceHash="2"), _state(tableConstraints=[foreign])):
        assert compare(lossy, whole, first_loses_keys=True) == []
        assert compare(lossy, whole)
        assert compare(whole, lossy, first_loses_keys=True)
    assert compare(_state(), _state(tableConstraints=[primary]), first_loses_keys=True)


def test_ignored_keys_do_not_count() -> None:
    assert compare(_state(), _state(sourceHash="2"), ignore=["sourceHash"]) == []
