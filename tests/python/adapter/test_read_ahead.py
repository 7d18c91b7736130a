"""What may be asked ahead, what is guessed, when it pays and when it ends: rules without a database."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmetadata_bulksink.accelerators import read_ahead
from openmetadata_bulksink.accelerators.read_ahead import texts
from openmetadata_bulksink.accelerators.read_ahead.guesses import Guesses, Job
from openmetadata_bulksink.accelerators.read_ahead.learning import Learning
from openmetadata_bulksink.accelerators.read_ahead.templates import Asked, Place, Step, filled, steps_of
from openmetadata_bulksink.accelerators.read_ahead.texts import Statement, key_of
from openmetadata_bulksink.accelerators.read_ahead.worth import Worth

pytestmark = pytest.mark.upstream


class Backticks:
    """MySQL's way of writing names."""

    def quote_identifier(self, value: str) -> str:
        return "`" + value.replace("`", "``").replace("%", "%%") + "`"

    def quote(self, ident: str) -> str:
        return ident if ident.islower() and ident.isidentifier() and ident != "select" else self.quote_identifier(ident)


QUOTING = Backticks()
A, B = Place("shop", "orders"), Place("shop", "people")


# --- texts ---


@pytest.mark.parametrize(
    "text",
    [
        "SELECT oid FROM pg_class WHERE relname = %(name)s",
        "/* {'app': 'OpenMetadata'} */ SHOW CREATE TABLE `a`.`b`",
        "-- a line\n  (select 1)",
        "WITH t AS (SELECT 1) SELECT * FROM t",
        "DESCRIBE `a`.`b`",
        "SELECT last_update, is_updated, delete_rule FROM t",
        "SELECT current_database(), pg_get_expr(a, b), knowledge FROM t",
        "SHOW TABLE STATUS FROM `shop`",
    ],
)
def test_what_reads_the_same_everywhere_may_be_ahead(text: str) -> None:
    assert texts.reads(text)
    assert texts.may_be_ahead(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT now()",
        "SELECT CURRENT_TIMESTAMP",
        "select clock_timestamp ()",
        "SELECT * FROM t WHERE owner = current_user",
        "SELECT @@sql_mode",
        "SELECT @x := 1",
        "SELECT connection_id()",
        "SELECT DATABASE()",
        "SELECT last_insert_id()",
        "SELECT nextval('s')",
        "SELECT pg_advisory_lock(1)",
        "SELECT * FROM pg_temp_3.t",
        "SELECT set_config('a', 'b', false)",
        "SHOW VARIABLES LIKE 'lower_case_table_names'",
        "SHOW WARNINGS",
        "SELECT random()",
    ],
)
def test_what_belongs_to_a_session_or_a_clock_is_left_alone(text: str) -> None:
    assert texts.reads(text)
    assert not texts.may_be_ahead(text)


@pytest.mark.parametrize(
    "text",
    [
        "USE shop",
        "SET search_path TO a",
        "CREATE TEMPORARY TABLE t (x int)",
        "INSERT INTO t SELECT 1",
        "SELECT 1 INTO OUTFILE 'x'",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t FOR NO KEY UPDATE",
        "SELECT * FROM t LOCK IN SHARE MODE",
        "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
        "CALL p()",
        "COMMIT",
        "",
    ],
)
def test_what_does_more_than_read_is_no_reading(text: str) -> None:
    assert not texts.reads(text)
    assert not texts.may_be_ahead(text)


def test_statements_are_the_same_only_with_the_same_parameters_of_the_same_classes() -> None:
    from sqlalchemy.util import immutabledict

    text = "SELECT 1"
    values = [None, (), (1,), [1], (True,), (1.0,), ("1",), (Decimal(1),), {"a": 1}, {"a": True}, {"b": 1}, {"a": [1]}]
    keys = [key_of(Statement(text, value)) for value in values]
    assert None not in keys
    assert len(set(keys)) == len(values)
    assert key_of(Statement(text, {"a": 1, "b": 2})) == key_of(Statement(text, {"b": 2, "a": 1}))
    assert key_of(Statement(text, immutabledict({"a": 1}))) == key_of(Statement(text, {"a": 1}))
    assert key_of(Statement(text, {"a": object()})) is None


# --- templates ---


def guess(asked: Sequence[Asked], learned_from: Place, place: Place) -> list[Any]:
    return [filled(step, place, QUOTING, {}) for step in steps_of(asked, learned_from, QUOTING)]


def test_names_in_a_text_become_those_of_the_other_table() -> None:
    text = "SELECT 'orders', orders.x, `orders`, orders_2, 'shop.orders' FROM `shop`.`orders`"
    (found,) = guess([Asked(Statement(text, ()), None)], A, B)
    assert found.text == "SELECT 'people', people.x, `people`, orders_2, 'shop.people' FROM `shop`.`people`"
    (found,) = guess([Asked(Statement(text, ()), None)], A, Place("mart", "orders"))
    assert found.text == "SELECT 'orders', orders.x, `orders`, orders_2, 'mart.orders' FROM `mart`.`orders`"


def test_parameters_become_those_of_the_other_table() -> None:
    parameters = {"table": "orders", "schema": "shop", "kinds": ["r", "v"], "both": ("shop", "orders"), "n": 3}
    (found,) = guess([Asked(Statement("SELECT 1", parameters), None)], A, Place("mart", "it's"))
    assert found.parameters == {
        "table": "it's",
        "schema": "mart",
        "kinds": ["r", "v"],
        "both": ("mart", "it's"),
        "n": 3,
    }


def test_a_number_of_an_earlier_answer_becomes_that_of_the_other_table() -> None:
    asked = [
        Asked(Statement("SELECT oid", {"name": "orders"}), [(4711, "orders")]),
        Asked(Statement("SELECT columns", {"oids": [4711], "n": 2}), []),
    ]
    steps = steps_of(asked, A, QUOTING)
    assert [sorted(step.needs) for step in steps] == [[], [0]]
    assert filled(steps[1], B, QUOTING, {}) is None
    assert filled(steps[1], B, QUOTING, {0: []}) is None, "the other table is not there"
    assert filled(steps[1], B, QUOTING, {0: [(1,), (2,)]}) is None
    assert filled(steps[1], B, QUOTING, {0: [(815, "people")]}) == Statement("SELECT columns", {"oids": [815], "n": 2})


STRANGE = ["it's", 'a"b', "back`tick", "100%s", "a\\b", "a; DROP TABLE b", "line\nfeed", ":name", "nul\0"]


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("text", ["SHOW CREATE TABLE `orders`", "SELECT 'orders'", "SELECT * FROM orders"])
def test_a_name_that_could_end_what_it_stands_in_is_not_written(name: str, text: str) -> None:
    assert guess([Asked(Statement(text, None), None)], A, Place("shop", name)) == [None]


@given(name=st.text(min_size=1, max_size=12))
def test_whatever_a_table_is_called_it_stays_within_its_quotes(name: str) -> None:
    """Between the quotes of an identifier, of a literal, and as a word there is what was written, and nothing ends."""
    for text, before, after in (
        ("SHOW CREATE TABLE `orders` x", "SHOW CREATE TABLE `", "` x"),
        ("SELECT 'orders' x", "SELECT '", "' x"),
        ("SELECT orders x", "SELECT ", " x"),
    ):
        (found,) = guess([Asked(Statement(text, None), None)], A, Place("shop", name))
        if found is not None:
            inside = found.text.removeprefix(before).removesuffix(after)
            assert inside == name
            assert not set(inside) & set("'\"`\\%;:\n\0")
            assert before.endswith(("`", "'")) or inside.isidentifier()


def test_a_reserved_word_is_not_written_as_a_word() -> None:
    asked = [Asked(Statement("SELECT * FROM orders", None), None), Asked(Statement("SELECT `orders`", None), None)]
    assert guess(asked, A, Place("shop", "select")) == [None, Statement("SELECT `select`", None)]


def test_a_table_that_is_called_like_its_schema_teaches_nothing() -> None:
    assert steps_of([Asked(Statement("SELECT `a`.`a`", None), None)], Place("a", "a"), QUOTING) == []


# --- learning ---


def of_table(place: Place, number: int, *more: str) -> list[Asked]:
    """What a made-up source asks for a table."""
    asked = [
        Asked(Statement("SELECT oid WHERE name = %s", (place.table,)), [(number,)]),
        Asked(Statement("SELECT * WHERE oid = %s", (number,)), []),
        Asked(Statement("SELECT the same", None), []),
    ]
    return [*asked, *(Asked(Statement(text, None), []) for text in more)]


def test_what_two_tables_ask_alike_is_believed() -> None:
    learning = Learning(QUOTING)
    learning.table_was_read("r", A, of_table(A, 1001, "SELECT comments of `shop`", "SELECT now()"))
    assert learning.plan("r") is None
    learning.table_was_read("r", B, of_table(B, 2002, "SELECT now()"))
    plan = learning.plan("r")
    assert plan is not None
    texts_of = [step.text for step in plan]
    assert texts_of == [("SELECT oid WHERE name = %s",), ("SELECT * WHERE oid = %s",), ("SELECT the same",)]
    assert learning.plan("v") is None
    assert learning.wants("v")
    assert not learning.wants("r")


def test_what_is_asked_twice_is_guessed_twice() -> None:
    learning = Learning(QUOTING)
    for place in (A, B):
        text = f"SHOW CREATE TABLE `{place.table}`"
        learning.table_was_read("v", place, [Asked(Statement(text, None), [])] * 2)
    plan = learning.plan("v")
    assert plan is not None
    assert len(plan) == 2


def test_a_kind_is_learned_anew_where_most_was_missed() -> None:
    learning = Learning(QUOTING)
    for place, number in ((A, 1001), (B, 2002)):
        learning.table_was_read("r", place, of_table(place, number))
    learning.table_was_guessed("r", asked=4, missed=2)
    assert not learning.wants("r")
    learning.table_was_guessed("r", asked=4, missed=3)
    assert learning.wants("r")
    assert learning.plan("r"), "the old one is used meanwhile"


def test_tables_that_have_nothing_in_common_are_given_up() -> None:
    learning = Learning(QUOTING)
    lessons = 0
    while learning.wants("r"):
        lessons += 1
        learning.table_was_read("r", A, [Asked(Statement(f"SELECT {lessons}", None), [])])
    assert lessons == 40
    assert learning.plan("r") == []


# --- when it pays ---


def test_statements_below_two_milliseconds_are_not_asked_ahead() -> None:
    worth = Worth(4)
    for _ in range(100):
        worth.took(0.0019)
    assert not worth.pays
    for _ in range(4):
        worth.took(10.0)
    assert not worth.pays, "some slow ones are not the usual"
    worth.took(10.0)
    assert worth.pays


def test_a_few_statements_are_needed_to_tell() -> None:
    worth = Worth(4)
    for _ in range(4):
        worth.took(0.01)
    assert not worth.pays
    worth.took(0.01)
    assert worth.pays
    for _ in range(100):
        worth.took(0.0001)
    assert worth.pays, "what is asked ahead leaves only quick ones"


def test_the_window_grows_with_the_connections() -> None:
    assert [Worth(connections).window for connections in (1, 4, 8)] == [4, 13, 25]


def test_half_of_the_guesses_unused_end_it() -> None:
    worth = Worth(4)
    worth.was_for_nothing(19)
    assert worth.end is None
    worth.was_for_nothing()
    assert worth.end == "half of what was asked ahead was not used"
    worth = Worth(4)
    for _ in range(11):
        worth.was_used()
    worth.was_for_nothing(10)
    assert worth.end is None
    worth.was_for_nothing()
    assert worth.end is not None


def test_connections_that_do_not_answer_end_it() -> None:
    worth = Worth(4)
    worth.was_stuck()
    assert worth.end is None
    worth.was_stuck()
    assert worth.end == "its connections do not answer"


def test_no_connection_ends_it() -> None:
    worth = Worth(4)
    worth.all_refused()
    assert worth.end == "the database gave it no connection"


def test_patience_is_a_multiple_of_the_usual_and_some_seconds_at_least() -> None:
    worth = Worth(4)
    assert worth.patience == 3.0
    for _ in range(9):
        worth.took(2.0)
    assert worth.patience == 40.0


# --- guesses ---


def a_step(number: int, text: str, needs: frozenset[int] = frozenset()) -> Step:
    return Step(number, (text,), None, needs)


def key(text: str) -> Any:
    return key_of(Statement(text, None))


def test_what_nobody_has_begun_is_the_sources_own() -> None:
    guesses, job = Guesses(QUOTING), Job(A, [a_step(0, "SELECT 1")])
    guesses.announce(job)
    assert guesses.take(key("SELECT 1")) is None
    assert not guesses.begin(job.guesses[0])
    assert guesses.drop([job]) == 0


def test_what_is_on_its_way_is_waited_for_and_given_once() -> None:
    guesses, job = Guesses(QUOTING), Job(A, [a_step(0, "SELECT 1")])
    guesses.announce(job)
    assert guesses.begin(job.guesses[0])
    answering = threading.Thread(target=lambda: guesses.answered(job, 0, [(1,)], "description"))
    taken = guesses.take(key("SELECT 1"))
    assert taken is job.guesses[0]
    answering.start()
    assert guesses.wait(taken, 60)
    answering.join()
    assert (taken.rows, taken.description) == ([(1,)], "description")
    assert guesses.take(key("SELECT 1")) is None
    assert guesses.drop([job]) == 0


def test_what_follows_from_an_answer_is_announced_before_the_source_hears_of_it() -> None:
    guesses = Guesses(QUOTING)
    job = Job(A, [a_step(0, "SELECT 1"), a_step(1, "SELECT 2", frozenset({0})), a_step(2, "SELECT 3", frozenset({1}))])
    guesses.announce(job)
    assert not guesses.is_announced(key("SELECT 2"))
    guesses.begin(job.guesses[0])
    guesses.answered(job, 0, [(1,)], None)
    assert guesses.is_announced(key("SELECT 2"))
    assert not guesses.is_announced(key("SELECT 3"))


def test_what_failed_or_does_not_come_is_the_sources_own() -> None:
    guesses, job = Guesses(QUOTING), Job(A, [a_step(0, "SELECT 1"), a_step(1, "SELECT 2")])
    guesses.announce(job)
    for number in (0, 1):
        guesses.begin(job.guesses[number])
    guesses.failed(job.guesses[0])
    failed, late = guesses.take(key("SELECT 1")), guesses.take(key("SELECT 2"))
    assert failed is not None
    assert late is not None
    assert not guesses.wait(failed, 60)
    assert not guesses.wait(late, 0)
    guesses.answered(job, 1, [(1,)], None)
    assert guesses.take(key("SELECT 2")) is None, "it came too late"


def test_a_table_that_had_its_turn_leaves_nothing_behind() -> None:
    guesses = Guesses(QUOTING)
    job = Job(A, [a_step(0, "SELECT 1"), a_step(1, "SELECT 2"), a_step(2, "SELECT 3", frozenset({0}))])
    other = Job(B, [a_step(0, "SELECT 1")])
    guesses.announce(job)
    guesses.announce(other)
    guesses.begin(job.guesses[0])
    assert guesses.drop([job]) == 1, "one was sent"
    guesses.answered(job, 0, [(1,)], None)
    assert not guesses.is_announced(key("SELECT 2"))
    assert not guesses.is_announced(key("SELECT 3"))
    assert guesses.begin(other.guesses[0])
    assert guesses.take(key("SELECT 1")) is other.guesses[0]


# --- which sources ---


def test_only_sources_that_were_tried() -> None:
    made = type("SQLiteSource", (), {"__module__": "metadata.ingestion.source.database.sqlite.metadata"})
    assert not read_ahead.may_help(made())
    of_list = type("MysqlSource", (), {"__module__": "metadata.ingestion.source.database.mysql.metadata"})
    assert read_ahead.may_help(of_list())
    assert not read_ahead.may_help(type("MyOwn", (of_list,), {"__module__": "mine"})()), "a user's own may do anything"


def test_nothing_is_opened_without_a_grant() -> None:
    readers = read_ahead._Readers()
    assert read_ahead.granted(object()) is None
    of_list = type("MysqlSource", (), {"__module__": "metadata.ingestion.source.database.mysql.metadata"})
    source = of_list()
    source.metadata, source.context = object(), SimpleNamespace(threads=1)
    assert readers.window(source) is None
    undo = read_ahead.grant(source.metadata, 4)
    source.context.threads = 4
    assert readers.window(source) is None, "upstream's threads are at work"
    undo()
    source.context.threads = 1
    assert readers.window(source) is None


def test_whether_a_grant_would_help_is_known_at_the_end() -> None:
    readers = read_ahead._Readers()
    for name, expected in (("MysqlSource", 0), ("AnotherSource", None)):
        made = type(name, (), {"__module__": "metadata.ingestion.source.database.mysql.metadata"})()
        made.metadata, made.context = object(), SimpleNamespace(threads=1)
        undo = read_ahead.grant(made.metadata, None)
        assert readers.window(made) is None
        assert read_ahead.granted(made.metadata) == expected
        undo()
        assert read_ahead.granted(made.metadata) is None
        undo = read_ahead.grant(made.metadata, 0)
        assert readers.window(made) is None
        assert read_ahead.granted(made.metadata) is None, "somebody wants none"
        undo()
