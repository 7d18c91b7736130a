"""Which of the keys that `close` completes one run would have written together with their tables."""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.shard.keys import MARK, KeysBetweenShards


def key(schema: str, table: str, referred: str | None, database: str = "sales") -> dict[str, Any]:
    column = {"referred_schema": referred, "referred_table": "t"}
    return {"db_name": database, "schema_name": schema, "table_name": table, "column": column}


def walked(*keys: dict[str, Any]) -> KeysBetweenShards:
    found = KeysBetweenShards(keys)
    for database in ("sales", '"h.r"'):
        for schema in ("first", "a.b", "last"):
            found.walked(f"svc.{database}", schema)
    return found


def test_a_key_to_a_schema_before_would_have_come_with_its_table_and_one_to_a_schema_behind_later() -> None:
    found = walked(key("a.b", "to_first", "first"), key("a.b", "to_last", "last"), key("last", "to_second", "a.b"))
    assert found.would_have_come_with('svc.sales."a.b".to_first')
    assert not found.would_have_come_with('svc.sales."a.b".to_last')
    assert found.would_have_come_with("svc.sales.last.to_second")


def test_one_such_key_of_several_is_enough() -> None:
    found = walked(key("a.b", "t", "last"), key("a.b", "t", "first"))
    assert found.would_have_come_with('svc.sales."a.b".t')


def test_databases_are_apart_and_what_was_not_walked_is_left_alone() -> None:
    found = walked(key("last", "t", "first", database="h.r"), key("gone", "t", "first"), key("last", "u", "gone"))
    assert found.would_have_come_with('svc."h.r".last.t')
    assert not found.would_have_come_with("svc.sales.last.t")
    assert not found.would_have_come_with("svc.sales.gone.t")
    assert not found.would_have_come_with("svc.sales.last.u")


def test_a_key_within_a_schema_is_none_between_shards() -> None:
    assert not walked(key("last", "t", None)).would_have_come_with("svc.sales.last.t")


def test_the_mark_fits_where_a_hash_stands_and_is_none() -> None:
    assert 1 <= len(MARK) <= 32
    assert not all(letter in "0123456789abcdef" for letter in MARK)
