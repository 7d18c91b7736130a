"""The pure part of `postgres_bulk`: which tables make a chunk, what is asked for them, whose the answers are."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmetadata_bulksink.accelerators.postgres_bulk import questions
from openmetadata_bulksink.accelerators.postgres_bulk.chunk import (
    MOST_COLUMNS,
    MOST_TABLES,
    MOST_TRIES,
    Chunk,
    Expected,
    Relation,
    find_out,
    that_fit,
)
from openmetadata_bulksink.accelerators.postgres_bulk.questions import Answer, NotHere, Question


def relation(number: int, columns: int = 3) -> Relation:
    return Relation(number, f"table_{number}", columns, is_partitioned=False)


# --- which tables ---


def test_a_chunk_begins_with_the_table_that_is_asked_for() -> None:
    expected = Expected()
    expected.add("shop", ["a", "b"])
    expected.add("shop", ["c"])
    assert expected.take("shop", "b") == ["b", "c"]
    assert expected.take("shop", "a") == [], "what comes before is forgotten"
    expected.drop(["b"])
    assert expected.take("shop", "c") == ["c"]


def test_only_names_that_come_make_a_chunk() -> None:
    expected = Expected()
    expected.add("shop", ["a", "b"])
    assert expected.take("shop", "z") == []
    assert expected.take("other", "a") == []
    expected.add("other", ["z"])
    assert expected.take("shop", "a") == [], "the names of a schema that was left are forgotten"


def test_a_chunk_has_at_most_so_many_tables() -> None:
    expected = Expected()
    expected.add("shop", [str(number) for number in range(MOST_TABLES + 1)])
    assert len(expected.take("shop", "0")) == MOST_TABLES


def test_a_chunk_has_at_most_so_many_columns_and_never_no_table() -> None:
    wide = [relation(1, MOST_COLUMNS - 1), relation(2, 1), relation(3, 1)]
    names = [one.name for one in wide]
    assert that_fit(names, reversed(wide)) == (wide[:2], names[:2])
    one = [relation(1, MOST_COLUMNS + 1), relation(2)]
    assert that_fit([each.name for each in one], one) == (one[:1], ["table_1"])


def test_names_that_are_not_found_are_taken_too() -> None:
    """Else they would be looked for again with the next chunk, and the one behind it."""
    found = [relation(1), relation(3)]
    assert that_fit(["gone", "table_1", "gone_too", "table_3"], found) == (
        found,
        ["gone", "table_1", "gone_too", "table_3"],
    )


# --- what is asked ---


def test_the_text_for_one_table_stands_in_the_one_for_many_word_for_word() -> None:
    single = "SELECT a::text FROM t WHERE t.oid = :table AND t.name = ':x' ORDER BY 1\n;"
    many = questions.for_many(single, "table")
    assert "(SELECT a::text FROM t WHERE t.oid = bulk.number AND t.name = ':x' ORDER BY 1\nOFFSET 0)" in many
    assert "x = :table_oid" in questions.for_many("x = :table_oid", "table"), "another parameter is not touched"


def statement(text: str, *types: str) -> Any:
    columns = [SimpleNamespace(type=type(name, (), {})()) for name in types]
    return SimpleNamespace(element=SimpleNamespace(text=text), selected_columns=columns)


def ask_for_seven(stated: Any, parameters: dict[str, Any] | None) -> Question:
    return questions.question_of(stated, parameters, 7, str)


def test_the_kinds_of_questions() -> None:
    kept = object()
    of_all = ask_for_seven(kept, None)
    assert of_all.asked_for([7, 8]) == (kept, {})
    with_list = ask_for_seven(kept, {"oids": [7], "contype": "u"})
    assert with_list.asked_for([7, 8]) == (kept, {"oids": [7, 8], "contype": "u"})
    assert with_list.key != ask_for_seven(kept, {"oids": [7], "contype": "p"}).key
    text = ask_for_seven(statement("SELECT a FROM t WHERE n = :oid ORDER BY a", "Unicode", "Integer"), {"oid": 7})
    many = questions.for_many("SELECT a FROM t WHERE n = :oid ORDER BY a", "oid")
    assert text.asked_for([7, 8]) == (many, {"oids": [7, 8]})


def test_rows_without_an_order_are_asked_for_one_by_one_in_one_statement() -> None:
    """Their order is that of the plan for this number, and some of it reaches the catalogue."""
    text = ask_for_seven(statement("SELECT a FROM t WHERE n = :oid", "Unicode"), {"oid": 7})
    sent, parameters = text.asked_for([7, 8])
    assert " ".join(sent.split()) == (
        "SELECT 7 AS number, answer.* FROM ( SELECT a FROM t WHERE n = 7 ) AS answer UNION ALL "
        "SELECT 8 AS number, answer.* FROM ( SELECT a FROM t WHERE n = 8 ) AS answer"
    )
    assert parameters == {}


@pytest.mark.parametrize(
    ("stated", "parameters"),
    [
        (object(), {"oid": 7}),
        (object(), {"oids": [7, 8], "contype": "u"}),
        (statement("SELECT :oid"), {"oid": 8}),
        (statement("SELECT :oid, :more"), {"oid": 7, "more": 1}),
        (statement("SELECT :oid", "JSON"), {"oid": 7}),
    ],
)
def test_what_is_not_known_is_not_answered(stated: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(NotHere):
        ask_for_seven(stated, parameters)


def test_a_statement_for_another_table_is_not_answered() -> None:
    assert questions.is_about(7, {"oids": [7], "contype": "u"})
    assert questions.is_about(7, None)
    assert not questions.is_about(7, {"table_oid": 8})
    assert not questions.is_about(7, {"oids": [7, 8], "contype": "u"})


# --- whose the answers are ---


@given(st.lists(st.tuples(st.integers(1, 5), st.integers()), max_size=30), st.booleans())
def test_each_table_gets_its_rows_in_their_order(rows: list[tuple[int, int]], keeps_number: bool) -> None:
    question = Question("key", None, 0, keeps_number)
    answer = questions.sorted_out(question, ["number", "value"], rows)
    assert answer.keys == (["number", "value"] if keeps_number else ["value"])
    for number in range(1, 7):
        own = [row if keeps_number else row[1:] for row in rows if row[0] == number]
        assert list(answer.rows_of(number)) == own


def test_an_answer_for_all_is_the_same_for_each() -> None:
    answer = questions.sorted_out(Question("key", None, None, keeps_number=False), ["name"], [("a",), ("b",)])
    assert answer.rows_of(1) == answer.rows_of(2) == [("a",), ("b",)]


@given(st.integers(1, 250), st.sets(st.integers(0, 249), max_size=3))
def test_tables_that_make_a_question_fail_are_found_out(count: int, faulty: set[int]) -> None:
    tries: list[int] = []

    def ask(numbers: Sequence[int]) -> Answer | None:
        tries.append(len(numbers))
        if faulty.intersection(numbers):
            return None
        return Answer(["n"], {number: [(number,)] for number in numbers})

    answer, lost = find_out(range(count), ask, questions.together)
    got = set(answer.of_table or ()) if answer else set()
    assert len(tries) <= MOST_TRIES
    assert got.isdisjoint(lost)
    assert got | set(lost) == set(range(count))
    assert faulty.intersection(range(count)) <= set(lost)
    if len(faulty.intersection(range(count))) <= 1:
        assert len(lost) <= max(1, count // 64), "one table costs itself and few others"


def test_a_table_without_one_of_its_answers_has_none() -> None:
    chunk = Chunk("shop", None, frozenset({"table_1", "table_2"}), {f"table_{n}": relation(n) for n in (1, 2)})
    chunk.lose([1])
    assert chunk.relation("table_1") is None
    assert chunk.has("table_1"), "it is not read again"
    assert chunk.relation("table_2") == relation(2)
