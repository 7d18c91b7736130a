"""What the canary calls a difference, without a server."""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.canary import comparison
from openmetadata_bulksink.canary.catalogue import REFUSED, STAGES, Catalogue, Given, with_hash
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


def test_what_is_held_otherwise_than_it_was_sent() -> None:
    sent = [("tables", table(databaseSchema="svc.d.s", description="new"))]
    there = state(table(description="old", added="by the server"))
    (one,) = comparison.from_sent(there, sent, "svc")
    assert (one.field, one.one, one.other) == ("description", '"new"', '"old"')


def test_the_last_of_two_writes_counts() -> None:
    sent = [("tables", table(description="old")), ("tables", table(description="new"))]
    assert comparison.from_sent(state(table(description="new")), sent, SERVICE) == []


def test_what_must_be_refused_must_not_be_there() -> None:
    name = next(iter(REFUSED))
    sent = [("tables", table(name=name)), ("tables", table())]
    assert comparison.from_sent(state(table()), sent, SERVICE) == []
    (one,) = comparison.from_sent(state(table(), table(name=name)), sent, SERVICE)
    assert (one.field, one.one, one.other) == ("", "missing", "there")


def test_refusals_are_named_once_each_and_nothing_else_is() -> None:
    every = [(f"svc.d.s.{name}", "why") for name in REFUSED]
    assert comparison.refusals(every, "svc") == ([], [])
    assert comparison.refusals(every[1:], "svc").unnamed == [next(iter(REFUSED))]
    assert comparison.refusals([("Entity Buffer", " and ".join(REFUSED))], "svc") == ([], [])
    assert comparison.refusals([*every, ("svc.d.s.good", "svc says no")], "svc").wrong == [
        f"{SERVICE}.d.s.good: {SERVICE} says no"
    ]


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
