"""Tag records in the adapter: what becomes of one, what waits for it, how it is counted, what is forgotten."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from openmetadata_bulksink import records, tags
from tests.python.adapter.recording_server import RecordingServer
from tests.python.adapter.test_sink import barrier, engine, table

Make = Callable[..., Any]

upstream = pytest.mark.upstream


def tag(name: str = "t", group: str = "G", of: str | None = None, text: str = "a tag", **more: Any) -> Any:
    from metadata.generated.schema.api.classification.createClassification import CreateClassificationRequest
    from metadata.generated.schema.api.classification.createTag import CreateTagRequest
    from metadata.ingestion.models.ometa_classification import OMetaTagAndClassification

    return OMetaTagAndClassification(
        fqn=of,
        classification_request=CreateClassificationRequest(name=group, description="a classification"),
        tag_request=CreateTagRequest(classification=group, name=name, description=text, **more),
    )


def labelled(name: str, *labels: str) -> Any:
    """A table whose column bears labels."""
    made = [{"tagFQN": one, "source": "Classification", "labelType": "Manual", "state": "Confirmed"} for one in labels]
    request = table(name)
    return type(request).model_validate(
        {**request.model_dump(exclude_unset=True), "columns": [{"name": "c", "dataType": "INT", "tags": made}]}
    )


def submissions(sink: Any, collection: str) -> list[Any]:
    return [one for one in engine(sink).submissions if one.collection == collection]


@upstream
def test_a_record_becomes_a_classification_and_its_tag(make_sink: Make) -> None:
    sink = make_sink()
    assert sink.run(tag(of="s.d.p.t1")) is None
    group, made = engine(sink).submissions
    assert (group.collection, group.fqn, group.parent) == ("classifications", "G", None)
    assert (made.collection, made.fqn, made.parent) == ("tags", "G.t", "G")
    assert made.first == group.sequence
    assert group.once
    assert made.once
    assert made.label == group.label == "OMetaTagAndClassification [s.d.p.t1]"
    assert json.loads(group.body) == {"name": "G", "description": "a classification"}
    assert json.loads(made.body) == {"classification": "G", "name": "t", "description": "a tag"}


@upstream
def test_bodies_are_those_that_upstream_sends(make_sink: Make) -> None:
    sink = make_sink()
    record = tag("ünï", mutuallyExclusive=True, displayName='with "quotes"')
    sink.run(record)
    for made, request in zip(
        engine(sink).submissions, (record.classification_request, record.tag_request), strict=True
    ):
        sent = request.model_dump_json(context={"mask_secrets": False}, by_alias=True)
        assert json.loads(made.body) == json.loads(sent)


@upstream
def test_one_entry_for_each_record_with_upstreams_text(make_sink: Make) -> None:
    sink = make_sink()
    for _ in range(3):
        sink.run(tag("a.b"))
    sink.close()
    assert sink.status.records == ["Tag [a.b]"] * 3
    assert sink.status.failures == []


@upstream
def test_a_failure_bears_upstreams_name_and_says_what_is_wrong(make_sink: Make, server: RecordingServer) -> None:
    server.refuse = {"G.bad": "no such owner", "Bad": "no such domain"}
    sink = make_sink()
    sink.run(tag("bad", of="s.d.p.t1"))
    sink.run(tag("t", group="Bad"))
    sink.run(tag("good"))
    sink.close()
    found = {failure.name: str(failure.error) for failure in sink.status.failures}
    assert sorted(found) == ["OMetaTagAndClassification [Bad]", "OMetaTagAndClassification [s.d.p.t1]"]
    assert "The Tag G.bad was not written: no such owner" in found["OMetaTagAndClassification [s.d.p.t1]"]
    assert "The Tag Bad.t was not written" in found["OMetaTagAndClassification [Bad]"]
    assert sink.status.records == ["Tag [good]"]


@upstream
def test_tables_wait_for_the_tags_that_they_bear(make_sink: Make) -> None:
    sink = make_sink()
    sink.run(tag("t"))
    sink.run(labelled("t1", "G.t", "Old.one"))
    assert submissions(sink, "tables")[0].needs == ("G.t", "Old.one")


@upstream
def test_no_body_is_searched_while_no_tag_is_pending(make_sink: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = make_sink()
    searched: list[bytes] = []
    monkeypatch.setattr(tags, "labels_in", lambda body: searched.append(body) or [])
    sink.run(labelled("t1", "G.t"))
    assert searched == []
    sink.run(tag("t"))
    sink.run(labelled("t2", "G.t"))
    assert len(searched) == 1
    engine(sink).drain()
    sink._writer.collect()
    sink.run(labelled("t3", "G.t"))
    assert len(searched) == 1, "the tag is written"


@upstream
def test_outcomes_of_tags_are_taken_together_and_before_a_table(
    make_sink: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make_sink()
    searched: list[bytes] = []
    monkeypatch.setattr(tags, "labels_in", lambda body: searched.append(body) or [])

    def known() -> int:
        return sum(entry.startswith("Tag [") for entry in sink.status.records)

    def write(count: int) -> None:
        for _ in range(count):
            sink.run(tag())
            engine(sink).drain()

    write(31)
    assert known() == 0
    sink.run(labelled("t1", "G.t"))
    assert (known(), searched) == (31, []), "they are written: the table waits for none of them"
    write(32)
    assert known() == 62, "the last one's outcome came after the others were taken"
    sink.close()
    assert known() == 63


@upstream
def test_a_record_does_not_wait_for_others_nor_for_a_barrier(make_sink: Make) -> None:
    sink = make_sink()
    sink.run(table("t1"))
    sink.run(barrier())
    sink.run(tag())
    assert engine(sink).waits == []


@upstream
def test_a_tag_without_a_name_is_upstreams(make_sink: Make) -> None:
    sink = make_sink()
    nameless = tag("x")
    nameless.tag_request.name.root = " "
    for record in (nameless, tag("t"), nameless):
        sink.run(record)
    sink.close()
    assert sink.status.records == ["Tag [t]"]


@upstream
@pytest.mark.parametrize(
    ("method", "path", "forgets"),
    [
        ("put", "/tags", True),
        ("patch", "/tags/0b3f3c2e-0000-4000-8000-000000000000", True),
        ("delete", "/classifications/name/G?recursive=true", True),
        ("get", "/tags/name/G.t", False),
        ("put", "/tables", False),
    ],
)
def test_what_the_client_writes_of_tags_makes_the_engine_forget(
    make_sink: Make, client: Any, method: str, path: str, forgets: bool
) -> None:
    sink = make_sink()
    sink.run(tag())
    body = {} if method in ("get", "delete") else {"data": '{"name": "n"}'}
    with contextlib.suppress(Exception):  # what the server says does not matter: it may have been written
        getattr(client.client, method)(path, **body)
    assert engine(sink).forgotten == int(forgets)


@upstream
def test_a_classification_with_a_dot_is_quoted_once(make_sink: Make) -> None:
    sink = make_sink()
    sink.run(tag("t", group="my.group"))
    group, made = engine(sink).submissions
    assert (group.fqn, made.fqn, made.parent) == ('"my.group"', '"my.group".t', '"my.group"')


@upstream
def test_a_tag_below_a_tag_names_it(make_sink: Make) -> None:
    sink = make_sink()
    sink.run(tag("below", parent="G.top"))
    (made,) = submissions(sink, "tags")
    assert (made.fqn, made.parent) == ("G.top.below", "G.top")


@upstream
def test_switched_off_upstream_writes_tags(
    make_sink: Make, server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OM_BULKSINK", "0")
    sink = make_sink()
    for _ in range(2):
        sink.run(tag())
    sink.close()
    assert [one.bare for one in server.requests if one.method == "PUT"] == ["/classifications", "/tags"] * 2


def test_labels_are_found_wherever_they_stand() -> None:
    body = {
        "tags": [{"tagFQN": 'G."a.b"'}],
        "columns": [{"tags": [{"tagFQN": "G.ü"}], "children": [{"tags": [{"tagFQN": "G.t"}, {"tagFQN": "G.t"}]}]}],
        "description": '"tagFQN":"G.no" and \\"tagFQN\\": "G.neither"',
    }
    for text in (
        json.dumps(body),
        json.dumps(body, separators=(",", ":"), ensure_ascii=False),
    ):
        assert tags.labels_in(text.encode()) == ['G."a.b"', "G.ü", "G.t"]


def test_what_is_known_of_bodies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "_MOST_KNOWN", 5)
    monkeypatch.setattr(records, "body_of", lambda _, request: json.dumps(vars(request)).encode())

    create_tag: Any = type("CreateTagRequest", (SimpleNamespace,), {})

    def record(number: int) -> Any:
        tag_request = create_tag(name=f"t{number}", classification="G", parent=None)
        return SimpleNamespace(fqn=None, classification_request=SimpleNamespace(name="G"), tag_request=tag_request)

    forms = tags.Forms(record(0))
    for number in range(50):
        assert forms.tagging(record(number % 7)).tag.fqn == f"G.t{number % 7}"
        assert len(forms._known) <= 5
