"""Whether a sink may write natively, and if not, why not (rules A7, A9).

Two questions. About upstream's code, once: `shape_problem` - is this class the one that the adapter was written for?
About one sink with its live client: `why_not_native` - is there anything that the native client cannot do as the
Python one would? Every answer is a sentence for the user. Nothing here opens a connection or changes anything.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from openmetadata_bulksink import connection, own

#: Methods of upstream's sink that the adapter calls or stands in for, with their parameters after `self`.
_SINK_METHODS: dict[str, tuple[str, ...]] = {
    "__init__": ("config", "metadata"),
    "write_create_request": ("entity_request",),
    "write_create_single_request": ("entity_request",),
    "write_life_cycle_data": ("record",),
    "_process_deferred_lifecycle_data": (),
    "_flush_buffer": (),
    "close": (),
}

#: The same for those that came with 1.12; both or none.
_QUERY_METHODS: dict[str, tuple[str, ...]] = {"write_query": ("record",), "_flush_query_buffer": ()}

#: Methods of the client that upstream's sink would come through, and ours does not.
_METADATA_METHODS = (
    "bulk_create_or_update",
    "_execute_bulk_operation",
    "_group_entities_by_type",
    "get_entity_from_create",
    "get_suffix",
    "create_or_update",
    "_create",
    "get_by_name",
    "_get",
    "patch",
    "patch_life_cycle",
)

#: Records other than create requests that ours takes past upstream's dispatch by type.
_DISPATCHED = frozenset({"Barrier", "OMetaLifeCycleData", "OMetaTagAndClassification"})


def shape_problem(sink_class: type) -> str | None:
    """Why the adapter must not touch this version of upstream; None where it knows the class."""
    if not hasattr(sink_class, "_flush_buffer"):
        return "this openmetadata-ingestion has no bulk sink (it came with 1.11)"
    for name, wanted in _SINK_METHODS.items():
        problem = _signature_problem(sink_class, name, wanted)
        if problem is not None:
            return problem
    if any(hasattr(sink_class, name) for name in _QUERY_METHODS):
        for name, wanted in _QUERY_METHODS.items():
            problem = _signature_problem(sink_class, name, wanted)
            if problem is not None:
                return problem
    run = getattr(sink_class, "_run", None)
    if run is None or "record" not in inspect.signature(run).parameters:
        return "upstream's sink has no _run(record) any more"
    if not hasattr(sink_class, "_run_dispatch"):
        return "upstream's sink does not dispatch records by type any more"
    return None


def _signature_problem(sink_class: type, name: str, wanted: tuple[str, ...]) -> str | None:
    method = getattr(sink_class, name, None)
    if method is None:
        return f"upstream's sink has no {name} any more"
    found = tuple(inspect.signature(method).parameters)[1:]
    if found != wanted:
        return f"upstream's {name} takes ({', '.join(found)}), not ({', '.join(wanted)}) as we know it"
    return None


def why_not_native(metadata: Any, sink: Any = None) -> str | None:
    """The reason why writing through this live client stays upstream's; None: native writing may start. sink: the one
    that is to write, whose own methods are looked at, too.

    The engine adds one reason of its own: its GET of the server's version must succeed.
    """
    try:
        return (
            _native_module_problem()
            or (_sink_problem(sink) if sink is not None else None)
            or _metadata_problem(metadata)
            or _client_problem(metadata.client)
            or _gevent_problem()
            or _session_problem(metadata.client._session, connection.base_url(metadata.client))
            or _connection_problem(metadata.client)
        )
    except Exception as error:  # noqa: BLE001 - an unexpected object is a reason, never a crash of somebody's ingestion
        return f"the live client could not be examined ({where(error)})"


def where(error: BaseException) -> str:
    """The kind of an exception and the function that raised it; not its text, which may hold a header or a token."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].name}" if frames else type(error).__name__


def tracer(client: Any) -> str | None:
    """The tracer that makes spans of what the Python client sends, by its usual name; ours are not seen by it."""
    found = [vars(cls).get(name) for cls, name in _traced(client)]
    return next((name for function in found if (name := own.tracer(function)) is not None), None)


def _traced(client: Any) -> Iterator[tuple[type, str]]:
    """The functions that tracers wrap, from the session down to the connection."""
    for cls in type(client._session).__mro__:
        yield from ((cls, name) for name in ("request", "send"))
    for cls in type(client._session.get_adapter(connection.base_url(client))).__mro__:
        yield cls, "send"
    for module, name, functions in (
        ("urllib3.connectionpool", "HTTPConnectionPool", ("urlopen",)),
        ("http.client", "HTTPConnection", ("request", "putrequest")),
    ):
        yield from ((getattr(import_module(module), name), function) for function in functions)


def _native_module_problem() -> str | None:
    try:
        from openmetadata_bulksink import _native  # noqa: F401
    except ImportError as error:
        return f"the native module cannot be imported ({error}); install the wheel for this platform"
    return None


def _owner_of(cls: type, name: str) -> type:
    """The class that has an attribute by itself."""
    return next(each for each in cls.__mro__ if name in vars(each))


def _metadata_problem(metadata: Any) -> str | None:
    cls = type(metadata)
    if (cls.__module__, cls.__qualname__) != ("metadata.ingestion.ometa.ometa_api", "OpenMetadata"):
        return f"the client is a {cls.__module__}.{cls.__qualname__}, not upstream's own OpenMetadata"
    return own.replaced(metadata, _METADATA_METHODS)


#: What a workflow calls of a sink. Something around one of these stands before ours, and sees all that it would see.
_ENTRIES = ("run", "close", "get_status")


def _sink_problem(sink: Any) -> str | None:
    """Whether a method that ours does not come through is not upstream's."""
    cls, parent = type(sink), sink._parent
    inner = [name for name in own.methods(cls) if name not in _ENTRIES]
    return own.replaced(sink, inner) or own.replaced_in(parent, _ENTRIES) or _dispatch_problem(cls)


def _dispatch_problem(cls: Any) -> str | None:
    """Whether somebody has registered a function of their own for records that ours takes past the dispatch."""
    owner = _owner_of(cls, "_run_dispatch")
    for record, function in vars(owner)["_run_dispatch"].dispatcher.registry.items():
        problem = own.why_not(function, owner.__module__) if _is_dispatched(record) else None
        if problem is not None:
            return f"what the sink does with {record.__name__} {problem}"
    return None


def _is_dispatched(record: type) -> bool:
    """Whether upstream's dispatch would take a record that ours takes past it for one of this class."""
    requests: Any = import_module("metadata.ingestion.models.custom_pydantic").BaseModel
    return record.__name__ in _DISPATCHED or record.__name__.startswith("Create") or issubclass(requests, record)


def _client_problem(client: Any) -> str | None:
    cls = type(client)
    if (cls.__module__, cls.__qualname__) != ("metadata.ingestion.ometa.client", "REST"):
        return f"the REST client is a {cls.__module__}.{cls.__qualname__}, not upstream's own"
    request = inspect.signature(cls._request)
    if tuple(request.parameters)[:5] != ("self", "method", "path", "data", "json"):
        return f"upstream's REST._request takes {request}, which we do not know"
    from openmetadata_bulksink.fence import Fence

    present = client.__dict__.get("_request")
    if present is not None and not isinstance(present, Fence):
        return "the REST client's _request was replaced"
    return own.replaced(client, [name for name in own.methods(cls) if name != "_request"]) or own.replaced_in(
        cls, ["_request"]
    )


def _session_problem(session: Any, url: str) -> str | None:
    sessions: Any = import_module("requests.sessions")
    if type(session) is not sessions.Session:
        return f"the HTTP session is a {type(session).__module__}.{type(session).__qualname__}, not a requests.Session"
    problem = own.replaced(session)
    if problem is not None:
        return problem
    for adapter in _adapters(session, url):
        home = type(adapter).__module__
        if home not in ("requests.adapters", "metadata.ingestion.ometa.http_adapter"):
            return f"an adapter of {home} is mounted on the HTTP session"
        problem = own.replaced(adapter) or _pools_problem(adapter.poolmanager)
        if problem is not None:
            return problem
    if session.hooks.get("response"):
        return "the HTTP session has response hooks"
    if session.params:
        return "the HTTP session adds parameters to each request"
    return _library_problem()


def _adapters(session: Any, url: str) -> Iterator[Any]:
    """Those that requests below an address go through; a longer prefix wins."""
    yield session.get_adapter(url)
    yield from (adapter for prefix, adapter in session.adapters.items() if prefix.lower().startswith(url.lower()))


def _pools_problem(manager: Any) -> str | None:
    """Whether an adapter has its connections from somewhere else."""
    problem = _class_problem("the pool manager of the HTTP session", type(manager), "urllib3.poolmanager")
    problem = problem or own.replaced(manager)
    for scheme, pool in manager.pool_classes_by_scheme.items():
        problem = problem or _class_problem(f"the pool for {scheme}", pool, "urllib3.connectionpool")
        problem = problem or _class_problem(f"ConnectionCls of {pool}", pool.ConnectionCls, "urllib3.connection")
    return problem


def _class_problem(what: str, cls: Any, home: str) -> str | None:
    if not isinstance(cls, type):
        return f"{what} was replaced by a {type(cls).__module__}.{type(cls).__qualname__}"
    return None if cls.__module__ == home else f"{what} was replaced by {cls.__module__}.{cls.__qualname__}"


#: What is below a session and its adapter, each class in the module that it is from, and the names that it is used by.
_BELOW: dict[tuple[str, str], tuple[str, ...]] = {
    ("requests.models", "PreparedRequest"): ("requests.models", "requests.sessions"),
    ("requests.models", "Request"): ("requests.models", "requests.sessions"),
    ("urllib3.poolmanager", "PoolManager"): ("urllib3.poolmanager", "requests.adapters"),
    ("urllib3.connectionpool", "HTTPConnectionPool"): ("urllib3.connectionpool", "urllib3.poolmanager"),
    ("urllib3.connectionpool", "HTTPSConnectionPool"): ("urllib3.connectionpool", "urllib3.poolmanager"),
    ("urllib3.connection", "HTTPConnection"): ("urllib3.connection", "urllib3.connectionpool"),
    ("urllib3.connection", "HTTPSConnection"): ("urllib3.connection", "urllib3.connectionpool"),
    ("socket", "socket"): ("socket",),
}

#: The functions below those: names, addresses, connections.
_FUNCTIONS_BELOW: dict[str, tuple[str, ...]] = {
    "urllib3.util.connection": ("create_connection", "allowed_gai_family"),
    "socket": ("getaddrinfo", "create_connection"),
}


def _library_problem() -> str | None:
    """Whether somebody has changed what every request of the Python client goes through, and ours do not."""
    for (home, name), modules in _BELOW.items():
        for module in modules:
            cls = getattr(import_module(module), name)
            problem = _class_problem(f"{module}.{name}", cls, home)
            if problem is not None:
                return problem
        problem = own.replaced_in(cls, own.methods(cls))
        if problem is not None:
            return problem
    for home, names in _FUNCTIONS_BELOW.items():
        problem = own.replaced_of(import_module(home), names)
        if problem is not None:
            return problem
    return None


def _gevent_problem() -> str | None:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("socket"):
        return "gevent has patched the socket module"
    return None


def _connection_problem(client: Any) -> str | None:
    try:
        connection.arguments(client)
    except connection.Unusable as reason:
        return str(reason)
    return None
