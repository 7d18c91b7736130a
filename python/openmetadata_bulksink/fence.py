"""What waits for pending records: requests of the shared client (rule A4), and records that upstream writes itself
(rule A3).

`plan` says for one request what it has to see; `record_plan` says it for a record. `Fence` stands in for the client's
`_request`, for any thread, and asks the engine to settle just that. It sends nothing, changes no request and no
answer, and knows no status.
"""

from __future__ import annotations

import json as jsonlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from openmetadata_bulksink import records, tags

if TYPE_CHECKING:
    from openmetadata_bulksink._native import BulkSink


class Scope(NamedTuple):
    """Something to be settled; the fields are the arguments of `BulkSink.wait`."""

    fqn: str | None = None
    below: bool = False
    collection: str | None = None
    under: str | None = None
    except_fqns: tuple[str, ...] = ()


class Plan(NamedTuple):
    """What must be settled before something goes out.

    deep: behind a Barrier also what is below the named entities. marked: everything up to the last Barrier, if there
    was one.
    """

    route: str
    scopes: tuple[Scope, ...] = ()
    deep: bool = False
    marked: bool = False


#: Collections whose path has two segments.
_TWO_SEGMENTS = frozenset({"dashboard", "drives", "dataQuality"})

#: First segments whose requests depend on nothing that is pending.
_INDEPENDENT = frozenset({"search", "system", "settings", "services", "metadata"})

#: Second segments that are no FQN, and tell nothing about what the request touches.
_VERBS = frozenset({"async", "restore", "export", "import", "history", "entityRelationship", "assets"})

#: Query parameters that narrow a list to what is below an FQN; `service` and `glossary` hold a plain name.
_LIST_SCOPES = ("databaseSchema", "database", "apiCollection", "directory", "spreadsheet", "parent", "classification")
_LIST_SCOPES_BY_NAME = ("service", "glossary")


def plan(method: str, path: str, data: Any = None, json: Any = None) -> Plan | None:
    """What a request of the shared client waits for; None: nothing."""
    bare, _, query = path.partition("?")
    segments = bare.strip("/").split("/")
    head = segments[0]
    if head in _INDEPENDENT:
        return _plan_for_service_deletion(segments) if method == "DELETE" else None
    size = 2 if head in _TWO_SEGMENTS and len(segments) > 1 else 1
    collection = "/".join(segments[:size])
    rest = segments[size:]
    if not rest:
        if method == "GET":
            return _plan_for_list(collection, query, data)
        return _plan_for_body(f"{method} /{collection}", collection, data, json)
    verb = rest[0]
    if verb == "deleteStale" and method == "DELETE":
        return _plan_for_stale_deletion(collection, json if json is not None else _parsed(data))
    if verb == "bulk" and method in ("PUT", "POST"):
        return _plan_for_body(f"{method} /{collection}/bulk", collection, data, json)
    route = f"{method} /{collection}"
    if verb == "name" and len(rest) == 2:  # nearly all of them
        return Plan(f"{route}/name", (Scope(unquote(rest[1]), method == "DELETE"),), True)
    names = [unquote(rest[at + 1]) for at in range(len(rest) - 1) if rest[at] == "name"]
    if names:
        return Plan(f"{route}/name", tuple(Scope(fqn=name, below=method == "DELETE") for name in names), deep=True)
    if verb not in _VERBS and not _is_uuid(verb) and collection != "lineage":
        # Paths such as `/pipelines/{fqn}/status`; where it is a verb unknown to us, no record has that FQN.
        found = tuple(Scope(fqn=unquote(part)) for part in rest if part and not _is_uuid(part))
        return Plan(f"{route}/...", found, deep=True, marked=True)
    named = records.mentioned(json if json is not None else _parsed(data)) if method == "PATCH" else ()
    return Plan(f"{route}/{{id}}", tuple(Scope(fqn=name) for name in named), marked=True)


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-"


def _parsed(data: Any) -> Any:
    if isinstance(data, (str, bytes)):
        try:
            return jsonlib.loads(data)
        except ValueError:
            return None
    return data


def _plan_for_list(collection: str, query: str, data: Any) -> Plan:
    """Lists see their collection; a scope parameter narrows that to what is below it."""
    parameters = dict(parse_qsl(query))
    if isinstance(data, dict):
        parameters.update({str(key): str(value) for key, value in data.items() if value is not None})
    for name in _LIST_SCOPES:
        if parameters.get(name):
            return Plan(f"GET /{collection}", (Scope(collection=collection, under=parameters[name]),))
    for name in _LIST_SCOPES_BY_NAME:
        if parameters.get(name):
            under = records.quote_name(parameters[name])
            return Plan(f"GET /{collection}", (Scope(collection=collection, under=under),))
    return Plan(f"GET /{collection}", (Scope(collection=collection),))


def _plan_for_body(route: str, collection: str, data: Any, json: Any) -> Plan:
    """A create request sees the entity itself, its parent, and what its body names; what has no such body, the
    marked.
    """
    body = json if json is not None else _parsed(data)
    bodies = body if isinstance(body, list) else [body]
    named = [name for each in bodies for name in records.names_in(collection, each)]
    # Labels, too: their tags, terms and domains may be among the pending.
    names = dict.fromkeys((*named, *records.mentioned(bodies)))
    return Plan(route, tuple(Scope(fqn=name) for name in names), marked=not names)


def _plan_for_stale_deletion(collection: str, body: Any) -> Plan:
    """The scope entity and its ancestors (one that comes back from deletion brings its old children with it), and
    those pending records that the server could take for stale: in the scope and not among those seen. Normally
    nothing.
    """
    route = f"DELETE /{collection}/deleteStale"
    scope = body.get("scopeFqn") if isinstance(body, dict) else None
    if not isinstance(scope, str) or not scope:
        return Plan(route, (Scope(collection=collection),))
    seen = tuple(fqn for fqn in body.get("seenFqns") or () if isinstance(fqn, str))
    chain = tuple(Scope(fqn=fqn) for fqn in (scope, *records.ancestors(scope)))
    return Plan(route, (*chain, Scope(collection=collection, under=scope, except_fqns=seen)))


def _plan_for_service_deletion(segments: list[str]) -> Plan | None:
    """Deleting a service takes everything below it away."""
    if segments[0] != "services" or len(segments) < 3 or segments[1] == "ingestionPipelines":
        return None
    route = f"DELETE /services/{segments[1]}"
    if segments[2] == "name" and len(segments) > 3:
        return Plan(route, (Scope(fqn=unquote(segments[3]), below=True),))
    return Plan(route, (Scope(),))


# --- records that upstream writes itself
# -----------------------------------------------------------------------------------


def _fqn(entity: Any) -> str | None:
    return records.text_of(getattr(entity, "fullyQualifiedName", None))


def _at(*path: str, below: bool = False) -> Callable[[Any], tuple[Scope, ...]]:
    """The entity found at a path of attributes; everything where it has no FQN."""

    def scopes(record: Any) -> tuple[Scope, ...]:
        entity = record
        for name in path:
            entity = getattr(entity, name, None)
        fqn = records.text_of(entity) or _fqn(entity)
        return (Scope(fqn=fqn, below=below),) if fqn else (Scope(),)

    return scopes


def nothing(_: Any) -> tuple[Scope, ...]:
    return ()


def _everything(_: Any) -> tuple[Scope, ...]:
    return (Scope(),)


#: What sources delete by the thousand: gone from the source, so that no record of the same run names it.
_DELETED_IN_BULK = frozenset({"Database", "DatabaseSchema", "Table", "StoredProcedure"})


def _deletion(record: Any) -> tuple[Scope, ...]:
    """The subtree. Anything may name a tag, a term, a chart and so on: then everything."""
    if type(getattr(record, "entity", None)).__name__ in _DELETED_IN_BULK:
        return _at("entity", below=True)(record)
    return (Scope(),)


#: Collections of the entity types that lineage connects, where only an id is known.
_COLLECTION_OF_TYPE = {
    "database": "databases",
    "databaseSchema": "databaseSchemas",
    "table": "tables",
    "storedProcedure": "storedProcedures",
    "query": "queries",
    "chart": "charts",
    "dashboard": "dashboards",
    "dashboardDataModel": "dashboard/datamodels",
    "topic": "topics",
    "searchIndex": "searchIndexes",
    "mlmodel": "mlmodels",
    "apiCollection": "apiCollections",
    "apiEndpoint": "apiEndpoints",
    "directory": "drives/directories",
    "file": "drives/files",
    "spreadsheet": "drives/spreadsheets",
    "worksheet": "drives/worksheets",
    "container": "containers",
    "pipeline": "pipelines",
    "metric": "metrics",
}


def _edge(record: Any) -> tuple[Scope, ...]:
    """Lineage by reference: the FQN where the reference has one, else the collection of its type."""
    edge = getattr(record, "edge", None)
    scopes: list[Scope] = []
    for end in (getattr(edge, "fromEntity", None), getattr(edge, "toEntity", None)):
        fqn = _fqn(end)
        collection = _COLLECTION_OF_TYPE.get(str(getattr(end, "type", "")))
        scopes.append(Scope(fqn=fqn) if fqn else Scope(collection=collection))
    return tuple(scopes)


def _edge_by_fqn(record: Any) -> tuple[Scope, ...]:
    ends = (getattr(record, "from_entity_fqn", None), getattr(record, "to_entity_fqn", None))
    return tuple(Scope(fqn=end) if end else Scope() for end in ends)


def _lineage(record: Any) -> tuple[Scope, ...]:
    inner = getattr(record, "lineage_request", None)
    scopes = _edge_by_fqn(inner) if hasattr(inner, "from_entity_fqn") else _edge(inner)
    fqn = getattr(record, "entity_fqn", None)
    return (*scopes, Scope(fqn=fqn)) if fqn else scopes


def _tests(record: Any) -> tuple[Scope, ...]:
    """Results of test cases hang on the tested entity, and on nothing else that is written in bulk."""
    case = getattr(record, "testCase", None)
    link = records.text_of(getattr(case, "entityLink", None))
    return (Scope(fqn=records.entity_link(link)),) if link else (Scope(),)


#: By class name. Create requests that upstream writes one by one are not here: their PUT passes the fence with its
#: body.
_RECORDS: dict[str, Callable[[Any], tuple[Scope, ...]]] = {
    "PatchRequest": _at("original_entity"),
    "DeleteEntity": _deletion,
    "AddLineageRequest": _edge,
    "OMetaFQNLineageRequest": _edge_by_fqn,
    "OMetaLineageRequest": _lineage,
    "DataModelLink": _at("table_entity"),
    "DashboardUsage": _at("dashboard"),
    "PipelineUsage": _at("pipeline"),
    "TablePipelineObservability": _at("table"),
    "OMetaTableProfileSampleData": _at("table"),
    "OMetaTopicSampleData": _at("topic"),
    "OMetaIndexSampleData": _at("entity"),
    "SamplerResponse": _at("entity"),
    "ProfilerResponse": _at("table"),
    "DataContractResult": _at("dataContractFQN"),
    "OMetaPipelineStatus": _at("pipeline_fqn"),
    "OMetaBulkPipelineStatus": _at("pipeline_fqn"),
    "TestCaseResultResponse": _tests,
    "OMetaTagAndClassification": nothing,  # without a name: upstream skips it
    "OMetaUserProfile": nothing,
    "OMetaCustomProperties": nothing,
    "KpiResult": nothing,
    "OMetaDataInsightSample": nothing,
}


def record_scopes(name: str) -> Callable[[Any], tuple[Scope, ...]]:
    """What a record of that class waits for before upstream writes it; everything, for a class that we do not know."""
    if name.startswith("Create"):
        return nothing
    return _RECORDS.get(name, _everything)


# --- the fence
# -------------------------------------------------------------------------------------------------------------


def _nothing_pending() -> bool:
    return False


class Fence:
    """Stands in for `client._request` while a sink writes natively.

    `pending` must be cheap: it is asked for every request. `lost` says of a table, by its canonical FQN, whether it may
    have been lost. `mark` is the number of the last record before the last
    Barrier.
    """

    def __init__(
        self, client: Any, engine: BulkSink, pending: Callable[[], bool], lost: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.client = client
        self._before: Any = client.__dict__.get("_request")
        self._send: Callable[..., Any] = client._request
        self._passing = threading.local()
        self._lock = threading.Lock()
        self.engine = engine
        self.pending = pending
        self.lost = lost
        self.removed = False
        self.mark = 0
        self._settled = 0
        self.waited: dict[str, float] = {}

    def install(self) -> None:
        self.client._request = self

    def watch(self, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Put something around each request that goes out."""
        self._send = around(self._send)

    def remove(self) -> None:
        """The client's `_request` is as it was before all fences that were removed. One that another was put upon
        stays, open, until that one goes.
        """
        self.pending = _nothing_pending
        self.removed = True
        if self.client.__dict__.get("_request") is not self:
            return
        before = self._before
        while isinstance(before, Fence) and before.removed:
            before = before._before
        if before is None:
            del self.client._request
        else:
            self.client._request = before

    def __call__(self, method: str, path: str, data: Any = None, json: Any = None, *rest: Any, **more: Any) -> Any:
        if self.pending() and not getattr(self._passing, "on", False):
            self.hold(plan(method, path, data, json))
        try:
            return self._send(method, path, data, json, *rest, **more)
        finally:
            if method != "GET" and tags.touches(path):
                self.engine.forget_written()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Requests of this thread pass without waiting (the row of A4 about foreign keys)."""
        before = getattr(self._passing, "on", False)
        self._passing.on = True
        try:
            yield
        finally:
            self._passing.on = before

    def barrier(self) -> None:
        self.mark = self.engine.mark()

    def forget(self) -> None:
        """After a fork: the marks and the lock of the parent mean nothing here."""
        self.mark = self._settled = 0
        self._lock = threading.Lock()

    def hold_for(self, route: str, scopes: tuple[Scope, ...]) -> None:
        """Wait in front of a record that upstream writes itself."""
        self.hold(Plan(route, scopes))

    def hold(self, wanted: Plan | None) -> None:
        """Wait for what a plan names."""
        if wanted is None:
            return
        mark = self.mark if self.mark > self._settled else 0
        seconds = 0.0
        for scope in wanted.scopes:
            seconds += self._wait(scope)
            if mark and wanted.deep and not scope.below:
                seconds += self._wait(Scope(scope.fqn, True), mark)
        if wanted.marked and mark:
            seconds += self._wait(Scope(), mark)
            self._settled = max(self._settled, mark)
        if seconds > 0.0005:
            with self._lock:
                self.waited[wanted.route] = self.waited.get(wanted.route, 0.0) + seconds

    def _wait(self, scope: Scope, up_to: int | None = None) -> float:
        wait = self.engine.wait
        try:
            if scope.fqn is not None:
                if scope.below:
                    return wait(fqn=scope.fqn, subtree=True, up_to=up_to)
                return wait(fqn=scope.fqn, up_to=up_to)
            if scope.collection is not None:
                if scope.under is None:
                    return wait(collection=scope.collection, up_to=up_to)
                return wait(collection=scope.collection, under=scope.under, except_fqns=scope.except_fqns, up_to=up_to)
            return wait(up_to=up_to)
        except ValueError:  # no FQN at all (unbalanced quotes): no record can have it
            return 0.0
