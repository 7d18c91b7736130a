"""Tag records: few requests, and the catalogue and the counts of upstream's own sink, also where the server refuses.

Upstream PUTs a classification and a tag for every record. Here the same records go to both sinks, each with a reference
server of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.ingest import ReferenceServer, compare, describe
from tests.python.order.comparison import Comparison, variables
from tests.python.order.sides import new_client
from tests.python.order.upstream_classes import Classes

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

TABLES, TAGS_OF_A_TABLE = 100, 9
GROUPS, DISTINCT = 4, 40
SCHEMA = "shop.db.public"

#: What both servers answer to a body that they do not like.
REFUSED = {"kind": "status", "status": 400, "body": {"code": 400, "message": "poison"}}

Records = Sequence[Any]


class Maker:
    """Records of upstream's classes."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes

    def tag(self, group: str, name: str, *, text: str = "a tag", of: str | None = None, **more: Any) -> Any:
        model = self._classes.other("metadata.ingestion.models.ometa_classification.OMetaTagAndClassification")
        above = more.pop("above", "a classification")
        return model(
            fqn=of,
            classification_request=self._classes.request("classification", {"name": group, "description": above}),
            tag_request=self._classes.request(
                "tag", {"classification": group, "name": name, "description": text, **more}
            ),
        )

    def table(self, name: str, *labels: str) -> Any:
        """With its first label, and the others on its column."""
        tags = [
            {"tagFQN": label, "source": "Classification", "labelType": "Automated", "state": "Suggested"}
            for label in labels
        ]
        column = {"name": "c", "dataType": "INT", "tags": tags[1:]}
        body = {"name": name, "databaseSchema": SCHEMA, "columns": [column], "tags": tags[:1]}
        return self._classes.request("table", body)

    def above(self) -> Records:
        return [
            self._classes.request("databaseService", {"name": "shop", "serviceType": "Postgres"}),
            self._classes.request("database", {"name": "db", "service": "shop"}),
            self._classes.request("databaseSchema", {"name": "public", "database": "shop.db"}),
        ]


class Both:
    """The two sinks."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self.make = Maker(comparison.classes)
        self.theirs, self.ours = comparison._theirs, comparison._ours

    def run(
        self, records: Records, *, faults: Sequence[Mapping[str, Any]] = (), latency: Mapping[str, Any] | None = None
    ) -> tuple[Any, Any]:
        """Both sinks after all records. Upstream writes one record at a time, so that its buffer is no matter."""
        found = []
        for cls, server, size in (
            (self._comparison.their_class, self.theirs, 1),
            (self._comparison.our_class, self.ours, 100),
        ):
            server.reset()
            server.set_faults(list(faults))
            if latency is not None and server is self.ours:
                server.set_latency(latency)
            sink = cls.create({"bulk_sink_batch_size": size}, new_client(server))
            for record in records:
                sink.run(record)
            sink.close()
            found.append(sink)
        return found[0], found[1]

    def same_catalogue(self) -> None:
        differences = compare(self.theirs.state(), self.ours.state())
        assert not differences, describe(differences)
        assert self.ours.violations() == []


@pytest.fixture
def both(comparison: Comparison) -> Iterator[Both]:
    yield Both(comparison)
    for server in (comparison._theirs, comparison._ours):
        server.reset()


def requests_for_tags(server: ReferenceServer) -> list[dict[str, Any]]:
    return [
        one for one in server.requests() if one["path"].rpartition("/v1/")[2].startswith(("tags", "classifications"))
    ]


def tagged(sink: Any) -> list[str]:
    return sorted(text for text in sink.status.records if text.startswith("Tag ["))


def failures(sink: Any) -> list[str]:
    return sorted(failure.name for failure in sink.status.failures)


def test_few_requests_for_many_records(both: Both) -> None:
    records = [*both.make.above()]
    for table in range(TABLES):
        used = [(table * TAGS_OF_A_TABLE + at) % DISTINCT for at in range(TAGS_OF_A_TABLE)]
        records += [both.make.tag(f"G{one % GROUPS}", f"t{one}", of=f"{SCHEMA}.t{table}") for one in used]
        records.append(both.make.table(f"t{table}", *(f"G{one % GROUPS}.t{one}" for one in used)))
    theirs, ours = both.run(records, latency={"other": {"request_ms": 2}, "bulk": {"request_ms": 2}})
    assert len(requests_for_tags(both.theirs)) == 2 * TABLES * TAGS_OF_A_TABLE
    assert len(requests_for_tags(both.ours)) == GROUPS + DISTINCT
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs)
    assert failures(ours) == failures(theirs) == []
    assert len({id(text) for text in tagged(ours)}) == DISTINCT, "the entries share their texts"


def test_a_body_that_changes_is_sent_and_the_last_one_stays(both: Both) -> None:
    texts = ["one", "one", "two", "two", "one", "one"]
    records = [both.make.tag("G", "t", text=text, above=text) for text in texts]
    theirs, ours = both.run(records)
    assert 2 <= len(requests_for_tags(both.ours)) <= 6
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs) == ["Tag [t]"] * 6


def test_what_the_server_refuses_fails_by_name_each_time(both: Both) -> None:
    faults = [
        {"match": {"collection": "tags", "fqn": "G.bad"}, "do": REFUSED},
        {"match": {"collection": "classifications", "fqn": "Bad"}, "do": REFUSED},
    ]
    records = [*both.make.above()]
    for number in range(4):
        records += [
            both.make.tag("G", "good", of=f"{SCHEMA}.t{number}"),
            both.make.tag("G", "bad", of=f"{SCHEMA}.t{number}"),
            both.make.tag("Bad", "lost"),
            both.make.table(f"t{number}", "G.good"),
            both.make.table(f"u{number}", "G.good", "G.bad"),
        ]
    theirs, ours = both.run(records, faults=faults)
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs) == ["Tag [good]"] * 4
    named = [name for name in failures(theirs) if name.startswith("OMetaTagAndClassification")]
    assert [name for name in failures(ours) if name.startswith("OMetaTagAndClassification")] == named
    assert len(named) == 8
    texts = [str(failure.error) for failure in ours.status.failures]
    assert sum("The Tag G.bad was not written" in text and "poison" in text for text in texts) == 4
    assert sum("The Tag Bad.lost was not written: Bad failed" in text and "poison" in text for text in texts) == 4
    assert [one for one in requests_for_tags(both.ours) if "Bad" in str(one.get("fqn", ""))] == []


def test_a_tag_is_not_written_where_its_classification_is_refused(both: Both) -> None:
    """Also where the classification is there from an earlier run: upstream does not get as far as the tag."""
    records = [both.make.tag("G", "first"), both.make.tag("G", "second", above="poison"), both.make.tag("G", "third")]
    faults = [{"match": {"collection": "classifications"}, "when": {"nth": [2]}, "do": REFUSED}]
    theirs, ours = both.run(records, faults=faults)
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs) == ["Tag [first]", "Tag [third]"]
    assert failures(ours) == failures(theirs) == ["OMetaTagAndClassification [G]"]


def test_a_fault_that_passes_loses_nothing(both: Both) -> None:
    faults = [{"match": {"collection": "tags"}, "when": {"first": 2}, "do": {"kind": "status", "status": 503}}]
    _, ours = both.run([both.make.tag("G", f"t{number % 2}") for number in range(6)], faults=faults)
    assert failures(ours) == []
    assert len(tagged(ours)) == 6
    assert set(both.ours.state()["tags"]) == {"G.t0", "G.t1"}


def test_a_name_that_is_empty_is_skipped_as_upstream_skips_it(both: Both) -> None:
    nameless = both.make.tag("G", "x")
    nameless.tag_request.name.root = "  "
    theirs, ours = both.run([both.make.tag("G", "t"), nameless, both.make.tag("G", "t")])
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs) == ["Tag [t]"] * 2
    assert ours.status.warnings == theirs.status.warnings
    assert failures(ours) == failures(theirs) == []


@pytest.mark.parametrize(("group", "name"), [("G", "a.b"), ("G", "two words/é"), ("G", "p>q::r"), ("G", "x" * 60)])
def test_names_are_counted_as_upstream_counts_them(both: Both, group: str, name: str) -> None:
    theirs, ours = both.run([both.make.tag(group, name)] * 3)
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs)
    assert len(requests_for_tags(both.ours)) == 2


def test_a_tag_below_a_tag_waits_for_it(both: Both) -> None:
    records = [both.make.tag("G", "top"), both.make.tag("G", "below", parent="G.top"), both.make.tag("G", "top")]
    theirs, ours = both.run(records)
    both.same_catalogue()
    assert tagged(ours) == tagged(theirs) == ["Tag [below]", "Tag [top]", "Tag [top]"]
    assert failures(ours) == failures(theirs) == []


@pytest.mark.parametrize("touch", ["patch", "put", "delete"])
def test_what_somebody_else_has_touched_is_sent_again(both: Both, touch: str) -> None:
    """Through the client that the sink shares with its source."""
    found = []
    for cls, server in ((both._comparison.their_class, both.theirs), (both._comparison.our_class, both.ours)):
        server.reset()
        client = new_client(server)
        sink = cls.create({"bulk_sink_batch_size": 1}, client)
        record = both.make.tag("G", "t")
        sink.run(record)
        entity = both._comparison.classes.entity("tag")
        tag = client.get_by_name(entity=entity, fqn="G.t")
        assert tag is not None, "a read sees what was yielded"
        if touch == "patch":
            client.client.patch(
                path=f"/tags/{tag.id.root}", data='[{"op": "add", "path": "/displayName", "value": "patched"}]'
            )
        elif touch == "put":
            client.create_or_update(both.make.tag("G", "t", text="by the source").tag_request)
        else:
            client.delete(entity=entity, entity_id=tag.id, hard_delete=True)
        sink.run(record)
        again = client.get_by_name(entity=entity, fqn="G.t")
        assert again is not None, "it is there again"
        sink.close()
        found.append((again.displayName, again.description.root, tagged(sink), failures(sink)))
    both.same_catalogue()
    assert found[0] == found[1]


def test_reads_of_tags_wait_for_them(both: Both) -> None:
    both.ours.reset()
    both.ours.set_latency({"single": {"request_ms": 60}})
    client = new_client(both.ours)
    with variables(OM_BULKSINK_WORKERS="2"):
        sink = both._comparison.our_class.create({}, client)
    for number in range(3):
        sink.run(both.make.tag("G", f"t{number}"))
    classes = both._comparison.classes
    assert client.get_by_name(entity=classes.entity("tag"), fqn="G.t1") is not None
    assert client.get_by_name(entity=classes.entity("classification"), fqn="G") is not None
    listed = client.list_all_entities(entity=classes.entity("tag"), params={"parent": "G"})
    assert sorted(tag.name.root for tag in listed) == ["t0", "t1", "t2"]
    sink.close()


def test_a_second_run_sends_what_the_first_has_sent(both: Both) -> None:
    """What was written is known for one run only."""
    both.ours.reset()
    for run in (1, 2):
        sink = both._comparison.our_class.create({}, new_client(both.ours))
        for _ in range(3):
            sink.run(both.make.tag("G", "t"))
        sink.close()
        assert len(requests_for_tags(both.ours)) == 2 * run
