"""One side of a comparison: a sink, its client, its reference server. Takes steps, gives answers that can be compared.

Both sides are the real thing: upstream's own sink class, and ours in its place, each with a client of its own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tests.ingest import ReferenceServer
from tests.python.order.kinds import KINDS, Body
from tests.python.order.streams import Step
from tests.python.order.upstream_classes import Classes

Answer = Any

#: How our sink begins the text of a failure of its own.
_NATIVE_FAILURE = re.compile(r"^The (life cycle of )?\S+ .* was not written: |cannot be (sent|written): ", re.DOTALL)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: Kinds that upstream's sink buffers, the last two in older versions, and no server takes in bulk.
NO_BULK_ROUTE = frozenset({"classification", "tag", "glossaryTerm", "user", "glossary", "dataProduct"})

#: What differs between any two runs of the same work; life cycles, too: upstream writes them when the sink is closed.
_ACCIDENTAL = frozenset(
    {
        "lifeCycle",
        "id",
        "href",
        "version",
        "updatedAt",
        "updatedBy",
        "changeDescription",
        "incrementalChangeDescription",
    }
)
_REFERENCE = frozenset({"id", "type", "name", "fullyQualifiedName", "deleted", "displayName", "description", "href"})
_UNORDERED = frozenset({"tags", "owners", "domains", "dataProducts", "charts", "dataModels"})


def new_client(server: ReferenceServer) -> Any:
    """Upstream's own client."""
    from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
        OpenMetadataConnection,
    )
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    return OpenMetadata(
        OpenMetadataConnection(
            hostPort=server.url,
            authProvider="openmetadata",
            securityConfig={"jwtToken": server.token},
            enableVersionValidation=False,
        )
    )


def forget_lineage() -> None:
    """Upstream remembers edges for the life of the process, by ids, which are the same on both servers."""
    from metadata.ingestion.ometa.mixins import lineage_mixin

    lineage_mixin.search_cache = type(lineage_mixin.search_cache)(lineage_mixin.LRU_CACHE_SIZE)


class Side:
    """One sink at work. `failed` counts what it has reported as lost, by a label that both sides share.

    one_by_one: write kinds without a bulk route by single requests, past the sink. Upstream's sink cannot write them at
    all, except by records of their own; ours sends single requests for them.
    """

    def __init__(
        self,
        sink_class: Any,
        config: Mapping[str, Any],
        server: ReferenceServer,
        classes: Classes,
        *,
        one_by_one: bool = False,
    ) -> None:
        self._one_by_one = NO_BULK_ROUTE if one_by_one else frozenset()
        forget_lineage()
        self.server = server
        self.client = new_client(server)
        self.sink = sink_class.create(dict(config), self.client)
        self.failed: Counter[str] = Counter()
        self._classes = classes
        self._known = 0
        self._memory: dict[tuple[str, str], Any] = {}

    def take(self, number: int, step: Step) -> Answer:
        """One step; its answer, or None where it has none."""
        try:
            answer = _ACTS[step.act](self, step)
        except Exception as error:  # noqa: BLE001 - an error is an answer, too
            answer = {"error": type(error).__name__, "text": _UUID.sub("(id)", str(error))}
        self._note_failures(self._label(number, step))
        return answer

    @staticmethod
    def _label(number: int, step: Step) -> str:
        if step.act == "tag":
            return f"tag for {step.body['for']}"
        return f"{step.kind} {step.fqn}" if "create" in step.act else f"{number} {step.act}"

    def close(self) -> None:
        self.sink.close()
        self._note_failures("close")

    def _note_failures(self, label: str) -> None:
        """Failures since the last step. What we report of a record comes later than the record, under its name; what
        upstream reports comes at once, and twice.
        """
        failures = self.sink.status.failures[self._known :]
        self._known += len(failures)
        at_once = False
        for failure in failures:
            if _NATIVE_FAILURE.match(str(failure.error)):
                self.failed[_collection_label(failure, self._classes)] += 1
            else:
                at_once = True
        if at_once:
            self.failed[label] += 1

    # --- records ---

    def create(self, step: Step) -> Answer:
        request = self._request(step)
        if step.kind not in self._one_by_one:
            self.sink.run(request)
            return
        try:
            self.client.create_or_update(request)
        except Exception:  # noqa: BLE001
            self.failed[f"{step.kind} {step.fqn}"] += 1

    def read_and_create(self, step: Step) -> Answer:
        """A change of something of which the first record wins while it is pending: read, so that it no longer is."""
        before = plain(self._read(step.kind, step.fqn))
        self.create(step)
        return before

    def direct(self, step: Step) -> Answer:
        """A source that writes by itself, past the sink."""
        return plain(self.client.create_or_update(self._request(step)))

    def barrier(self, _: Step) -> Answer:
        self.sink.run(self._classes.other("barrier")(reason="test"))

    def life_cycle(self, step: Step) -> Answer:
        model = self._classes.other("metadata.ingestion.models.life_cycle.OMetaLifeCycleData")
        cycle = self._classes.other("metadata.generated.schema.type.lifeCycle.LifeCycle")
        entity = self._classes.entity(step.kind)
        self.sink.run(model(entity=entity, entity_fqn=step.fqn, life_cycle=cycle.model_validate(step.body)))

    def patch(self, step: Step) -> Answer:
        """Against what was read last, which may be old, as a source's comparison is."""
        before = self._remembered(step)
        if before is None:
            return "not there"
        after = before.model_copy(deep=True, update=self._patched_fields(before, step.body))
        model = self._classes.other("metadata.ingestion.models.patch_request.PatchRequest")
        return plain(self.sink.run(model(original_entity=before, new_entity=after, override_metadata=True)))

    def _patched_fields(self, entity: Any, change: Body) -> Body:
        markdown = self._classes.other("metadata.generated.schema.type.basic.Markdown")
        return {
            name: markdown(value) if name == "description" and hasattr(entity, "description") else value
            for name, value in change.items()
        }

    def delete(self, step: Step) -> Answer:
        entity = self._remembered(step)
        if entity is None:
            return "not there"
        model = self._classes.other("metadata.ingestion.models.delete_entity.DeleteEntity")
        self.sink.run(model(entity=entity, recursive=True))
        return "deleted"

    def delete_stale(self, step: Step) -> Answer:
        """What upstream's sources do when they are through with a scope."""
        self.barrier(step)
        result = self.client.delete_stale_entities(
            entity=self._classes.entity(step.kind),
            scope_params={step.body["parameter"]: step.fqn},
            live_fqns=step.body["seen"],
        )
        return None if result is None else [result.status.value, result.numberOfRowsPassed.root]

    def tag(self, step: Step) -> Answer:
        model = self._classes.other("metadata.ingestion.models.ometa_classification.OMetaTagAndClassification")
        request = model(
            fqn=step.body["for"],
            classification_request=self._classes.request("classification", step.body["group"]),
            tag_request=self._classes.request("tag", step.body["tag"]),
        )
        self.sink.run(request)

    def user_profile(self, step: Step) -> Answer:
        model = self._classes.other("metadata.ingestion.models.user.OMetaUserProfile")
        user = {"name": step.body["name"], "email": f"{step.fqn.strip(chr(34))}@example.org"}
        teams = [self._classes.request("team", {"name": team, "teamType": "Group"}) for team in step.body["teams"]]
        return plain(self.sink.run(model(user=self._classes.request("user", user), teams=teams, roles=[])))

    def custom_property(self, step: Step) -> Answer:
        model = self._classes.other("metadata.ingestion.models.custom_properties.OMetaCustomProperties")
        request = self._classes.other(
            "metadata.generated.schema.api.data.createCustomProperty.CreateCustomPropertyRequest"
        )
        types = self._classes.other("metadata.ingestion.models.custom_properties.CustomPropertyDataTypes")
        kind = self.client.get_property_type_ref(types.STRING)
        wanted = request(name=step.body["name"], description="of the source", propertyType=kind)
        self.sink.run(model(entity_type=self._classes.entity("table"), createCustomPropertyRequest=wanted))

    def lineage(self, step: Step) -> Answer:
        """By id, from entities that were read."""
        request = self._lineage_by_id(step)
        return "not there" if request is None else plain(self.sink.run(request))

    def _lineage_by_id(self, step: Step) -> Any:
        ends = []
        for kind, fqn in (step.body["from"], step.body["to"]):
            entity = self._read(kind, fqn)
            if entity is None:
                return None
            ends.append({"id": str(entity.id.root), "type": kind})
        edge: Body = {"fromEntity": ends[0], "toEntity": ends[1]}
        if step.body["sql"]:
            edge["lineageDetails"] = {"sqlQuery": step.body["sql"], "source": "QueryLineage"}
        return self._classes.other("lineage").model_validate({"edge": edge})

    def lineage_by_name(self, step: Step) -> Answer:
        return plain(self.sink.run(self._lineage_by_name(step)))

    def _lineage_by_name(self, step: Step) -> Any:
        details = self._classes.other("metadata.generated.schema.type.entityLineage.LineageDetails")
        (from_kind, from_fqn), (to_kind, to_fqn) = step.body["from"], step.body["to"]
        sql = step.body["sql"]
        return self._classes.other("lineage_by_name")(
            from_entity_fqn=from_fqn,
            from_entity_type=from_kind,
            to_entity_fqn=to_fqn,
            to_entity_type=to_kind,
            lineage_details=details(sqlQuery=sql, source="QueryLineage") if sql else None,
        )

    def lineage_override(self, step: Step) -> Answer:
        request = self._classes.other("lineage_override")
        return plain(self.sink.run(request(override_lineage=True, lineage_request=self._lineage_by_name(step))))

    # --- what hangs on an entity that the source has just read ---

    def topic_sample(self, step: Step) -> Answer:
        topic = self._read(step.kind, step.fqn)
        if topic is None:
            return "not there"
        data = self._classes.other("metadata.generated.schema.entity.data.topic.TopicSampleData")
        model = self._classes.other("metadata.ingestion.models.ometa_topic_data.OMetaTopicSampleData")
        return plain(self.sink.run(model(topic=topic, sample_data=data(messages=step.body["messages"]))))

    def index_sample(self, step: Step) -> Answer:
        index = self._read(step.kind, step.fqn)
        if index is None:
            return "not there"
        data = self._classes.other("metadata.generated.schema.entity.data.searchIndex.SearchIndexSampleData")
        model = self._classes.other("metadata.ingestion.models.search_index_data.OMetaIndexSampleData")
        return plain(self.sink.run(model(entity=index, data=data(messages=step.body["messages"]))))

    def table_sample(self, step: Step) -> Answer:
        table = self._read(step.kind, step.fqn)
        if table is None:
            return "not there"
        rows = {"columns": ["id"], "rows": step.body["rows"]}
        sampler = "metadata.sampler.models."
        data = self._classes.other("metadata.generated.schema.entity.data.table.TableData").model_validate(rows)
        sample = self._classes.other(f"{sampler}SampleData")(data=data, store=True)
        response = self._classes.other(f"{sampler}SamplerResponse")
        return plain(self.sink.run(response(entity=table, sample_data=sample)))

    def table_profile(self, step: Step) -> Answer:
        table = self._read(step.kind, step.fqn)
        if table is None:
            return "not there"
        request = self._classes.other("metadata.generated.schema.api.data.createTableProfile.CreateTableProfileRequest")
        profile = request.model_validate(
            {"tableProfile": {"timestamp": 1_700_000_000_000, "rowCount": step.body["rows"]}}
        )
        model = self._classes.other("metadata.ingestion.models.profile_data.OMetaTableProfileSampleData")
        return plain(self.sink.run(model(table=table, profile=profile)))

    def data_model(self, step: Step) -> Answer:
        table = self._read(step.kind, step.fqn)
        if table is None:
            return "not there"
        data = self._classes.other("metadata.generated.schema.entity.data.table.DataModel")
        model = self._classes.other("metadata.ingestion.source.database.database_service.DataModelLink")
        return plain(self.sink.run(model(table_entity=table, datamodel=data(modelType="DBT", sql=step.body["sql"]))))

    def usage(self, step: Step) -> Answer:
        entity = self._read(step.kind, step.fqn)
        if entity is None:
            return "not there"
        request = self._classes.other("metadata.generated.schema.type.usageRequest.UsageRequest")
        made = request.model_validate({"date": "2026-01-01", "count": step.body["count"]})
        self.sink.run(self._classes.other(f"{step.kind}_usage")(**{step.kind: entity, "usage": made}))
        return "used"

    def pipeline_status(self, step: Step) -> Answer:
        status = self._classes.other("metadata.generated.schema.entity.data.pipeline.PipelineStatus")
        model = self._classes.other("metadata.ingestion.models.pipeline_status.OMetaPipelineStatus")
        made = status.model_validate({"timestamp": step.body["timestamp"], "executionStatus": "Successful"})
        return plain(self.sink.run(model(pipeline_fqn=step.fqn, pipeline_status=made)))

    def test_result(self, step: Step) -> Answer:
        result = self._classes.other("metadata.generated.schema.tests.basic.TestCaseResult")
        model = self._classes.other("metadata.ingestion.models.tests_data.OMetaTestCaseResultsSample")
        made = result.model_validate({"timestamp": step.body["timestamp"], "testCaseStatus": "Success"})
        return plain(self.sink.run(model(test_case_results=made, test_case_name=step.fqn)))

    # --- reads ---

    def get(self, step: Step) -> Answer:
        return plain(self._read(step.kind, step.fqn, step.body.get("fields")))

    def get_id(self, step: Step) -> Answer:
        """Behind a Barrier: without one, a read by id sees what it sees."""
        self.barrier(step)
        entity = self._memory.get((step.kind, step.fqn))
        if entity is None:
            return "never read"
        found = self.client.get_by_id(entity=self._classes.entity(step.kind), entity_id=entity.id)
        return plain(found)

    def list(self, step: Step) -> Answer:
        entity = self._classes.entity(step.kind)
        body = step.body
        found = self.client.list_all_entities(entity=entity, params=dict(body["params"]), limit=body["limit"])
        return [plain(one) for one in found]

    def _read(self, kind: str, fqn: str, fields: Any = None) -> Any:
        found = self.client.get_by_name(entity=self._classes.entity(kind), fqn=fqn, fields=fields)
        if found is not None:
            self._memory[kind, fqn] = found
        return found

    def _remembered(self, step: Step) -> Any:
        return self._memory.get((step.kind, step.fqn)) or self._read(step.kind, step.fqn)

    # --- bodies ---

    def _request(self, step: Step) -> Any:
        return self._classes.create(step.kind).model_validate(self._resolved(step.body))

    def _resolved(self, value: Any) -> Any:
        """A body with the ids that this side's server gave, read as a source would read them."""
        if isinstance(value, dict):
            if "$id" in value:
                return self._id(*value["$id"])
            if "$reference" in value:
                kind, fqn = value["$reference"]
                return {"id": self._id(kind, fqn), "type": kind, "fullyQualifiedName": fqn}
            return {key: self._resolved(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._resolved(inner) for inner in value]
        return value

    def _id(self, kind: str, fqn: str) -> str:
        entity = self._memory.get((kind, fqn)) or self._read(kind, fqn)
        return "00000000-0000-4000-8000-000000000000" if entity is None else str(entity.id.root)


_ACTS: dict[str, Callable[[Side, Step], Answer]] = {
    name: getattr(Side, name)
    for name in (
        *(
            "create",
            "read_and_create",
            "direct",
            "barrier",
            "life_cycle",
            "patch",
            "delete",
            "delete_stale",
            "tag",
            "user_profile",
        ),
        *("custom_property", "lineage", "lineage_by_name", "lineage_override", "topic_sample", "index_sample"),
        *("table_sample", "table_profile", "data_model", "pipeline_status", "test_result", "get", "get_id", "list"),
    )
} | {"dashboard_usage": Side.usage, "pipeline_usage": Side.usage}


def _collection_label(failure: Any, classes: Classes) -> str:
    """A failure of ours as the label of the step: `The Table s.d.p.t was not written: ...`."""
    error = str(failure.error)
    if error.startswith("The life cycle of "):
        return "close"
    if failure.name.startswith("OMetaTagAndClassification ["):
        return f"tag for {failure.name.partition('[')[2][:-1]}"
    noun = error.split(" ", 2)[1]
    for kind in KINDS:
        names = (classes.entity(kind).__name__, kind, f"{kind}s", "glossaries") if classes.has(kind) else ()
        if noun in names[:3] or (kind == "glossary" and noun in names):
            return f"{kind} {failure.name.lower() if kind == 'user' else failure.name}"
    return f"{noun} {failure.name}"


def plain(value: Any) -> Answer:
    """An entity, or whatever an answer holds, without ids, times and versions; references are FQNs."""
    if value is None or isinstance(value, (str, int, float)):
        return _UUID.sub("(id)", value) if isinstance(value, str) else value
    if hasattr(value, "model_dump_json"):
        return _comparable(json.loads(value.model_dump_json(exclude_none=True)))
    return _comparable(json.loads(json.dumps(value, default=lambda inner: json.loads(inner.model_dump_json()))))


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        if {"id", "type", "fullyQualifiedName"} <= value.keys() <= _REFERENCE:
            return value["fullyQualifiedName"]
        made = {key: _comparable(inner) for key, inner in value.items() if key not in _ACCIDENTAL}
        for key in _UNORDERED & made.keys():
            if isinstance(made[key], list):
                made[key].sort(key=lambda inner: json.dumps(inner, sort_keys=True))
        return made
    if isinstance(value, list):
        return [_comparable(inner) for inner in value]
    return value
