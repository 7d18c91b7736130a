"""What the canary calls a difference, without a server."""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.canary import comparison, page
from openmetadata_bulksink.canary.catalogue import REFUSED, STAGES, Catalogue, Given, with_hash
from openmetadata_bulksink.canary.examination import Findings, Wrong
from openmetadata_bulksink.canary.expected import Expected
from openmetadata_bulksink.canary.reading import SERVICE, masked, normal
from openmetadata_bulksink.canary.speed import Speed, advised

SCHEMA = f"{SERVICE}.d.s"


def table(**more: Any) -> dict[str, Any]:
    return {"name": "t", "databaseSchema": SCHEMA, "columns": [{"name": "id", "dataType": "INT"}], **more}


def state(*tables: dict[str, Any]) -> Any:
    return {"tables": {(one["databaseSchema"], one["name"]): one for one in tables}}


def test_equal_states_have_no_difference() -> None:
    assert comparison.between(state(table(tags=["a"])), state(table(tags=["a"]))) == []


def test_a_difference_says_where_and_what() -> None:
    (one,) = comparison.between(state(table(description="ours")), state(table(description="theirs")))
    assert (one.collection, one.name, one.field) == ("tables", f"{SCHEMA}.t", "description")
    assert (one.one, one.other) == ('"ours"', '"theirs"')


def test_what_is_on_one_side_alone_is_a_difference() -> None:
    (one,) = comparison.between(state(table()), state())
    assert (one.field, one.one, one.other) == ("", "there", "missing")


def test_true_is_not_one() -> None:
    assert comparison.between(state(table(flag=True)), state(table(flag=1))) != []


def expected(*bodies: dict[str, Any], act: str = "create") -> Expected:
    """What is due in the service `svc` when tables were sent."""
    due = Expected("svc")
    due.take([(act, "tables", body) for body in bodies])
    return due


def test_what_is_held_otherwise_than_it_was_sent() -> None:
    sent = expected(table(databaseSchema="svc.d.s", description="new"))
    there = state(table(description="old", added="by the server"))
    (one,) = comparison.from_sent(there, sent)
    assert (one.field, one.one, one.other) == ("description", '"new"', '"old"')


def test_the_last_of_two_writes_counts() -> None:
    sent = expected(table(description="old"), table(description="new"))
    assert comparison.from_sent(state(table(description="new")), sent) == []


def test_what_must_be_refused_must_not_be_there() -> None:
    name = next(iter(REFUSED))
    sent = expected(table(name=name), table())
    assert comparison.from_sent(state(table()), sent) == []
    (one,) = comparison.from_sent(state(table(), table(name=name)), sent)
    assert (one.field, one.one, one.other) == ("", "missing", "there")


def test_a_life_cycle_is_due_until_another_one_is() -> None:
    times = {"created": {"timestamp": 1}}
    sent = expected(table())
    sent.take([("life_cycle", "tables", {"name": "t", "databaseSchema": SCHEMA, "lifeCycle": times})])
    sent.take([("create", "tables", table(description="later"))])
    (one,) = comparison.from_sent(state(table(description="later")), sent)
    assert (one.field, one.other) == ("lifeCycle", "absent")
    assert comparison.from_sent(state(table(description="later", lifeCycle=times)), sent) == []


def test_what_was_not_seen_is_due_as_deleted_until_it_is_sent_again() -> None:
    schemas = [("create", "databaseSchemas", {"name": name, "database": "svc.d"}) for name in ("s", "kept")]
    sent = expected(table())
    sent.take([*schemas, ("create", "tables", table(databaseSchema="svc.d.kept"))])
    sent.take([("stale", "databaseSchemas", {"database": "svc.d", "seen": ["svc.d.kept"]})])
    assert {(due.collection, due.key) for due in sent if due.deleted} == {
        ("databaseSchemas", (f"{SERVICE}.d", "s")),
        ("tables", (SCHEMA, "t")),
    }
    there = state(table(), table(databaseSchema=f"{SERVICE}.d.kept"))
    found = {one.name: (one.field, one.one, one.other) for one in comparison.from_sent(there, sent)}
    assert found[f"{SCHEMA}.t"] == ("deleted", "true", "false")
    assert f"{SERVICE}.d.kept.t" not in found
    sent.take([("create", "tables", table())])
    assert not [due for due in sent if due.deleted and due.collection == "tables"]


def test_refusals_are_named_once_each_and_nothing_else_is() -> None:
    every = [(f"svc.d.s.{name}", "why") for name in REFUSED]
    assert comparison.refusals(every, "svc", REFUSED) == ([], [])
    assert comparison.refusals(every[1:], "svc", REFUSED).unnamed == [next(iter(REFUSED))]
    assert comparison.refusals([("Entity Buffer", " and ".join(REFUSED))], "svc", REFUSED) == ([], [])
    assert comparison.refusals([*every, ("svc.d.s.good", "svc says no")], "svc", REFUSED).wrong == [
        f"{SERVICE}.d.s.good: {SERVICE} says no"
    ]


def test_where_nothing_is_refused_every_loss_is_wrong() -> None:
    (name, *_) = REFUSED
    assert comparison.refusals([(f"svc.d.s.{name}", "why")], "svc", ()).wrong == [f"{SERVICE}.d.s.{name}: why"]


def test_the_reason_of_a_row_is_the_text_that_is_about_it_alone() -> None:
    one, other, *_ = REFUSED
    failures = [(f"svc.d.s.{one}", "svc says no, id 0f3c-12"), ("Entity Buffer", f"{one} and {other}")]
    assert comparison.reasons(failures, "svc", REFUSED) == {one: f"{SERVICE} says no, id #"}
    again = [(f"svc.d.s.{one}", "svc says no, id 77aa-90")]
    assert comparison.reasons(again, "svc", REFUSED) == comparison.reasons(failures, "svc", REFUSED)


def test_people_are_seen_to_be_the_same_and_not_who_they_are() -> None:
    one = normal({"owners": [{"id": "1", "type": "user", "fullyQualifiedName": "ann"}]})
    other = normal({"owners": [{"id": "2", "type": "user", "fullyQualifiedName": "bob"}]})
    assert one != other
    assert "ann" not in str(one)
    assert one == normal({"owners": [{"id": "3", "type": "user", "fullyQualifiedName": "ann"}]})


def test_what_is_empty_is_as_good_as_not_there() -> None:
    assert normal({"name": "t", "tags": [], "domain": None, "extension": {}}) == {"name": "t"}
    assert normal({"name": "t", "deleted": False}) == {"name": "t", "deleted": False}


def test_two_services_get_the_same() -> None:
    """Their names aside, hashes included, and each stage writes something."""
    given = Given(("Tier.Tier1",), None)

    def bodies(service: str, stage: str) -> list[Any]:
        made = Catalogue(service, given).stage(stage)
        return [(one.act, masked(one.fqn, service), masked(with_hash(one.body, service), service)) for one in made]

    for stage in STAGES:
        assert bodies("bulksink_canary_00000000", stage) == bodies("bulksink_canary_ffffffff", stage)
        assert any(act == "create" for act, _, _ in bodies("s", stage))


def test_the_catalogue_is_as_large_as_it_says() -> None:
    made = [one for one in Catalogue("s", Given()).stage("first") if one.collection == "tables" and one.act == "create"]
    names = [(one.body["databaseSchema"], one.body["name"]) for one in made]
    assert len(set(names)) == len(names) == 120 + len(REFUSED)
    assert {len(one.body["columns"]) for one in made} >= {3, 60}


def test_more_workers_are_advised_only_where_they_bring_something() -> None:
    def by(*microseconds: int) -> list[Speed]:
        return [Speed(workers, one, 0, 0) for workers, one in zip((1, 2, 4, 8), microseconds, strict=True)]

    assert advised(by(1000, 500, 260, 250)) == 4
    assert advised(by(1000, 990, 1010, 1200)) == 1
    assert advised(by(1000, 500, 250, 125)) == 8


def test_no_workers_are_advised_from_rows_that_were_refused() -> None:
    refused = [Speed(1, 1000, 0, 0), Speed(2, None, 0, 50)]
    assert advised(refused) is None
    found = Findings(order=("ours", "upstream"), speeds=refused)
    assert "  a row, by workers     1: 1,000 us, 2: not known; no advice: rows were not taken" in page.lines(found)


def test_what_went_wrong_is_grouped_and_is_no_difference() -> None:
    lost = [Wrong("Reported as lost by ours, and nothing that must be refused", f"first: t{at}") for at in range(125)]
    *lines, last = page.lines(Findings(order=("ours", "upstream"), wrong=lost))
    (line,) = [line for line in lines if line.startswith("NO")]
    assert line.endswith("refused: 125 (such as first: t0)")
    assert last == "Both sinks left the same, and not all went as it should: see above."
