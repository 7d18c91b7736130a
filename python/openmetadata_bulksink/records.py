"""A create request as a record: collection, FQN, parent, what it needs, and its bytes.

The table of shapes says, for each Create class, where its parent and its references are (rule E1). One reader serves
both forms of a request: the pydantic object that a source yields, and the JSON body of a request that the shared
client sends (rule A4). Knows no engine, no HTTP, no upstream module: classes are known by name, and everything that
costs is computed once per class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import md5
from typing import Any, NamedTuple

from openmetadata_bulksink import own


class Record(NamedTuple):
    """One create request, ready for `BulkSink.submit`."""

    collection: str
    fqn: str
    body: bytes
    parent: str | None
    needs: tuple[str, ...]
    first_wins: bool


class NamesNothing(ValueError):
    """A request without the field that its FQN is made of."""


@dataclass(frozen=True)
class Shape:
    """Where a Create class keeps its references.

    parents: fields that may hold the parent, first that is set wins. A field after "name:" holds a plain name
    (services, glossaries), not an FQN. infix: stands between parent and name in the FQN. needs: paths of references;
    `[]` steps into each element; `^` at the end means the FQN without its last part (a column's table).
    """

    parents: tuple[str, ...] = ()
    infix: str = ""
    needs: tuple[str, ...] = ()
    first_wins: bool = False
    checksum: bool = False
    whole_fqn: str = ""


_SERVICE = ("name:service",)

SHAPES: dict[str, Shape] = {
    # Databases
    "CreateDatabaseRequest": Shape(_SERVICE),
    "CreateDatabaseSchemaRequest": Shape(("database",)),
    "CreateTableRequest": Shape(("databaseSchema",), needs=("tableConstraints[].referredColumns[]^", "aliases[]")),
    "CreateStoredProcedureRequest": Shape(("databaseSchema",)),
    "CreateQueryRequest": Shape(_SERVICE, first_wins=True, checksum=True),
    # Dashboards
    "CreateChartRequest": Shape(_SERVICE, needs=("dashboards[]",)),
    "CreateDashboardDataModelRequest": Shape(_SERVICE, infix="model", first_wins=True),
    "CreateDashboardRequest": Shape(_SERVICE, needs=("charts[]", "dataModels[]")),
    # Messaging, search, machine learning
    "CreateTopicRequest": Shape(_SERVICE),
    "CreateSearchIndexRequest": Shape(_SERVICE),
    "CreateMlModelRequest": Shape(
        _SERVICE, needs=("dashboard", "mlFeatures[].featureSources[].dataSource.fullyQualifiedName")
    ),
    "CreateLLMModelRequest": Shape(_SERVICE),
    "CreateMcpServerRequest": Shape(_SERVICE),
    # APIs
    "CreateAPICollectionRequest": Shape(_SERVICE, needs=("apiEndpoints[]",)),
    "CreateAPIEndpointRequest": Shape(("apiCollection",)),
    # Drives
    "CreateDirectoryRequest": Shape(("parent", "name:service")),
    "CreateFileRequest": Shape(("directory", "name:service")),
    "CreateSpreadsheetRequest": Shape(("parent.fullyQualifiedName", "name:service")),
    "CreateWorksheetRequest": Shape(("spreadsheet",)),
    # Storage and pipelines: one PUT each, behind the fence
    "CreateContainerRequest": Shape(("parent.fullyQualifiedName", "name:service")),
    "CreatePipelineRequest": Shape(_SERVICE),
    # Governance
    "CreateTagRequest": Shape(("parent", "classification")),
    "CreateGlossaryTermRequest": Shape(("parent", "name:glossary"), needs=("relatedTerms[]", "relatedTerms[].term")),
    "CreateMetricRequest": Shape(needs=("relatedMetrics[]", "assets[].fullyQualifiedName")),
    "CreateDataProductRequest": Shape(needs=("domains[]", "assets[].fullyQualifiedName")),
    "CreateDomainRequest": Shape(("parent",)),
    "CreateDataContractRequest": Shape(needs=("entity.fullyQualifiedName",)),
    "CreateRoleRequest": Shape(needs=("policies[]",)),
    # Data quality
    "CreateTestSuiteRequest": Shape(needs=("basicEntityReference", "executableEntityReference")),
    "CreateTestCaseRequest": Shape(needs=("entityLink",)),
    # Stand alone, under a name of their own
    "CreateDocumentRequest": Shape(whole_fqn="fullyQualifiedName"),
}

#: A class that is not in the table: it stands alone under its name.
ALONE = Shape()

#: Wherever they stand in a body, these name other entities (`mentions`).
_LABELS = {"tagFQN", "fullyQualifiedName"}
_LABEL_LISTS = {"domains", "dataProducts"}


def quote_name(name: str) -> str:
    """A name as one part of an FQN: quoted where it holds a dot; a name that comes quoted stays as it is."""
    if "." in name and not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return f'"{name}"'
    return name


def split_fqn(fqn: str) -> list[str]:
    """The parts of an FQN, quotes kept. An unbalanced quote ends the last part."""
    if '"' not in fqn:
        return fqn.split(".")
    parts: list[str] = []
    start, quoted = 0, False
    for at, letter in enumerate(fqn):
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append(fqn[start:at])
            start = at + 1
    parts.append(fqn[start:])
    return parts


def above(fqn: str) -> str | None:
    """The FQN without its last part; None for a single part."""
    if '"' not in fqn:
        head, dot, _ = fqn.rpartition(".")
        return head if dot else None
    parts = split_fqn(fqn)
    return ".".join(parts[:-1]) if len(parts) > 1 else None


def ancestors(fqn: str) -> list[str]:
    """All FQNs above one, nearest first."""
    parts = split_fqn(fqn)
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def text_of(value: Any) -> str | None:
    """A field as text, whether it is a plain value or wrapped in a root model; None for everything else, and for
    nothing.
    """
    value = getattr(value, "root", value)
    return value if isinstance(value, str) and value else None


def entity_link(value: str) -> str:
    """The FQN inside `<#E::table::svc.db.schema.t::columns::c>`; anything else is taken as an FQN."""
    if value.startswith("<#E::"):
        parts = value[5:].rstrip(">").split("::")
        return parts[1] if len(parts) > 1 else value
    return value


# --- reading fields, of objects and of JSON
# --------------------------------------------------------------------------------


def _field(holder: Any, name: str) -> Any:
    if isinstance(holder, dict):
        return holder.get(name)
    return getattr(holder, name, None)


def _unwrapped(value: Any) -> Any:
    return getattr(value, "root", value)


Reader = Callable[[Any], Iterator[str]]


def _reader(path: str) -> Reader:
    """A path of the table as a function that gives the FQNs found there."""
    drop_last = path.endswith("^")
    steps = [(step.removesuffix("[]"), step.endswith("[]")) for step in path.removesuffix("^").split(".")]

    def walk(holder: Any, depth: int) -> Iterator[str]:
        if depth == len(steps):
            found = text_of(holder)
            if found is not None:
                found = entity_link(found)
                reference = above(found) if drop_last else found
                if reference is not None:
                    yield reference
            return
        name, many = steps[depth]
        value = _unwrapped(_field(holder, name))
        if value is None:
            return
        if not many:
            yield from walk(value, depth + 1)
        elif isinstance(value, list):
            for element in value:
                yield from walk(element if depth + 1 == len(steps) else _unwrapped(element), depth + 1)

    return lambda request: walk(request, 0)


class Form:
    """A Create class, ready to be read: what `records` caches per class."""

    __slots__ = ("_needs", "_parents", "collection", "name", "shape", "to_json")

    def __init__(self, name: str, collection: str, shape: Shape, to_json: Callable[..., bytes] | None = None) -> None:
        self.name = name
        self.collection = collection
        self.shape = shape
        self.to_json = to_json
        self._parents = [
            (not parent.startswith("name:"), _reader(parent.removeprefix("name:"))) for parent in shape.parents
        ]
        self._needs = [(path.split(".")[0].removesuffix("[]").removesuffix("^"), _reader(path)) for path in shape.needs]

    def parent(self, request: Any) -> str | None:
        for is_fqn, read in self._parents:
            for found in read(request):
                return found if is_fqn else quote_name(found)
        return None

    def fqn(self, request: Any, parent: str | None) -> str:
        if self.shape.whole_fqn:
            whole = text_of(_field(request, self.shape.whole_fqn))
            if whole is not None:
                return whole
        name = text_of(_field(request, "name"))
        if name is None and self.shape.checksum:
            query = _field(request, "query")
            name = text_of(query)
            if name is not None:
                name = md5(name.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        if name is None:
            raise NamesNothing(f"a {self.name} without a name cannot be written")
        part = quote_name(name)
        if parent is None:
            return part
        return f"{parent}.{self.shape.infix}.{part}" if self.shape.infix else f"{parent}.{part}"

    def needs(self, request: Any, fqn: str) -> tuple[str, ...]:
        """References to other entities; without the record's own FQN (a table whose key refers to itself)."""
        found: list[str] = []
        for first, read in self._needs:
            if _field(request, first) is not None:
                found.extend(read(request))
        if not found:
            return ()
        return tuple(reference for reference in dict.fromkeys(found) if reference != fqn)

    def record(self, request: Any, body: bytes) -> Record:
        parent = self.parent(request)
        fqn = self.fqn(request, parent)
        return Record(self.collection, fqn, body, parent, self.needs(request, fqn), self.shape.first_wins)


def form_of(cls: type, collection: str) -> Form:
    """The form of a Create class. `collection`: as the client routes it, with or without the leading slash."""
    return Form(cls.__name__, collection.strip("/"), SHAPES.get(cls.__name__, ALONE), _serializer(cls))


#: What upstream serialises a request with, and the modules that it is from.
_DUMPS = ("model_dump", "model_dump_json")
_HOMES_OF_DUMPS = frozenset({"pydantic.main", "metadata.ingestion.models.custom_pydantic"})


def _serializer(cls: type) -> Callable[..., bytes] | None:
    """Pydantic's own serializer of a class; None where somebody has replaced or overridden what comes before it."""
    homes = {owner.__module__ for owner in cls.__mro__ for name in _DUMPS if name in vars(owner)}
    if not homes or homes - _HOMES_OF_DUMPS or own.replaced_in(cls, _DUMPS) is not None:
        return None
    return getattr(getattr(cls, "__pydantic_serializer__", None), "to_json", None)


# --- bytes
# -----------------------------------------------------------------------------------------------------------------


def body_of(form: Form, request: Any) -> bytes:
    """The request as upstream's bulk call would send it (rule A2); upstream's own way where the fast one refuses."""
    if form.to_json is not None:
        try:
            return form.to_json(request, exclude_unset=True, exclude_none=True, by_alias=False, warnings=False)
        except Exception:  # noqa: BLE001 - lone surrogates, values that were assigned without validation: anything is possible here
            pass
    dumped = request.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return json.dumps(dumped, allow_nan=False).encode()


def life_cycle_body(life_cycle: Any) -> bytes:
    """A life cycle as upstream's patch would put it into `add /lifeCycle`."""
    body: bytes = type(life_cycle).__pydantic_serializer__.to_json(
        life_cycle, exclude_unset=True, exclude_none=True, by_alias=False, warnings=False
    )
    return body


def mentions(body: bytes) -> tuple[str, ...]:
    """What `mentioned` finds in a body. Costs a parse: only for runs that bulk-write tags, terms, users or domains
    themselves, where a label's entity may still be pending.
    """
    return mentioned(json.loads(body))


def mentioned(value: Any) -> tuple[str, ...]:
    """Every tag, domain and reference that a JSON value names, wherever it stands."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in _LABELS and isinstance(inner, str):
                    found.append(inner)
                elif key in _LABEL_LISTS and isinstance(inner, list):
                    found.extend(item for item in inner if isinstance(item, str))
                    walk(inner)
                else:
                    walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(value)
    return tuple(dict.fromkeys(found))


#: Collections whose entities are named by labels and references inside other bodies.
NAMED_BY_LABELS = frozenset(
    {"tags", "classifications", "glossaryTerms", "glossaries", "users", "teams", "domains", "dataProducts"}
)


# --- bodies of the shared client
# -------------------------------------------------------------------------------------------

_CREATE_BY_COLLECTION: dict[str, str] = {
    "databases": "CreateDatabaseRequest",
    "databaseSchemas": "CreateDatabaseSchemaRequest",
    "tables": "CreateTableRequest",
    "storedProcedures": "CreateStoredProcedureRequest",
    "queries": "CreateQueryRequest",
    "charts": "CreateChartRequest",
    "dashboard/datamodels": "CreateDashboardDataModelRequest",
    "dashboards": "CreateDashboardRequest",
    "topics": "CreateTopicRequest",
    "searchIndexes": "CreateSearchIndexRequest",
    "mlmodels": "CreateMlModelRequest",
    "llmModels": "CreateLLMModelRequest",
    "mcpServers": "CreateMcpServerRequest",
    "apiCollections": "CreateAPICollectionRequest",
    "apiEndpoints": "CreateAPIEndpointRequest",
    "drives/directories": "CreateDirectoryRequest",
    "drives/files": "CreateFileRequest",
    "drives/spreadsheets": "CreateSpreadsheetRequest",
    "drives/worksheets": "CreateWorksheetRequest",
    "containers": "CreateContainerRequest",
    "pipelines": "CreatePipelineRequest",
    "tags": "CreateTagRequest",
    "glossaryTerms": "CreateGlossaryTermRequest",
    "metrics": "CreateMetricRequest",
    "dataProducts": "CreateDataProductRequest",
    "domains": "CreateDomainRequest",
    "dataContracts": "CreateDataContractRequest",
    "roles": "CreateRoleRequest",
    "dataQuality/testSuites": "CreateTestSuiteRequest",
    "dataQuality/testCases": "CreateTestCaseRequest",
    "docStore": "CreateDocumentRequest",
}

_forms_by_collection: dict[str, Form] = {}


def form_of_collection(collection: str) -> Form:
    """The form of the create request that a collection takes, for JSON bodies."""
    form = _forms_by_collection.get(collection)
    if form is None:
        name = _CREATE_BY_COLLECTION.get(collection, f"create request of {collection}")
        form = _forms_by_collection[collection] = Form(name, collection, SHAPES.get(name, ALONE))
    return form


def names_in(collection: str, body: Any) -> Iterable[str]:
    """The FQNs that a create request's JSON names: its own, its parent, its references."""
    if not isinstance(body, dict):
        return ()
    form = form_of_collection(collection)
    parent = form.parent(body)
    found = [] if parent is None else [parent]
    try:
        own = form.fqn(body, parent)
    except NamesNothing:
        return (*found, *form.needs(body, ""))
    return (own, *found, *form.needs(body, own))
