"""Whether a sink may write natively, and if not, why not (rules A7, A9).

Two questions. About upstream's code, once: `shape_problem` - is this class the one that the adapter was written for?
About one sink with its live client: `why_not_native` - is there anything that the native client cannot do as the
Python one would? Every answer is a sentence for the user. Nothing here opens a connection or changes anything.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from openmetadata_bulksink import connection

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

#: The client's verbs are not examined: upstream decorates them itself, and all of them end in these two.
_CLIENT_METHODS = ("_request", "_one_request")
_METADATA_METHODS = (
    "bulk_create_or_update",
    "_execute_bulk_operation",
    "get_suffix",
    "create_or_update",
    "get_by_name",
    "_get",
)


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


def why_not_native(metadata: Any) -> str | None:
    """The reason why writing through this live client stays upstream's; None: native writing may start.

    The engine adds one reason of its own: its GET of the server's version must succeed.
    """
    try:
        return (
            _native_module_problem()
            or _metadata_problem(metadata)
            or _client_problem(metadata.client)
            or _session_problem(metadata.client._session, connection.base_url(metadata.client))
            or _gevent_problem()
            or _connection_problem(metadata.client)
        )
    except Exception as error:  # noqa: BLE001 - an unexpected object is a reason, never a crash of somebody's ingestion
        return f"the live client could not be examined ({type(error).__name__}: {error})"


def _native_module_problem() -> str | None:
    try:
        from openmetadata_bulksink import _native  # noqa: F401
    except ImportError as error:
        return f"the native module cannot be imported ({error}); install the wheel for this platform"
    return None


def _metadata_problem(metadata: Any) -> str | None:
    cls = type(metadata)
    if (cls.__module__, cls.__qualname__) != ("metadata.ingestion.ometa.ometa_api", "OpenMetadata"):
        return f"the client is a {cls.__module__}.{cls.__qualname__}, not upstream's own OpenMetadata"
    return _patched(metadata, _METADATA_METHODS)


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
    names = [name for name in _CLIENT_METHODS if name != "_request" or present is None]
    return _patched(client, names)


def _session_problem(session: Any, url: str) -> str | None:
    sessions: Any = import_module("requests.sessions")
    adapters: Any = import_module("requests.adapters")
    if type(session) is not sessions.Session:
        return f"the HTTP session is a {type(session).__module__}.{type(session).__qualname__}, not a requests.Session"
    names = ("request", "send", "get_adapter", "prepare_request", "merge_environment_settings")
    problem = _patched(session, names)
    if problem is not None:
        return problem
    adapter = session.get_adapter(url)
    home = type(adapter).__module__
    if home not in ("requests.adapters", "metadata.ingestion.ometa.http_adapter"):
        return f"an adapter of {home} is mounted on the HTTP session"
    if not _is_own(adapters.HTTPAdapter.send, adapters):
        return "requests' HTTPAdapter.send was replaced"
    if session.hooks.get("response"):
        return "the HTTP session has response hooks"
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


def _patched(instance: Any, names: tuple[str, ...] | list[str]) -> str | None:
    """Whether one of these methods is not the one that its class was written with."""
    cls = type(instance)
    package = cls.__module__.partition(".")[0]
    for name in names:
        if name in vars(instance):
            return f"{cls.__qualname__}.{name} was replaced"
        function = inspect.getattr_static(cls, name)
        function = getattr(function, "__func__", function)
        home = getattr(function, "__module__", None) or ""
        module = sys.modules.get(home)
        if home.partition(".")[0] != package or module is None or not _is_own(function, module):
            return f"{cls.__qualname__}.{name} was replaced"
    return None


def _is_own(function: Any, module: ModuleType) -> bool:
    """A plain function whose code was compiled in that module: wrappers and mocks are not, whatever name they carry."""
    return isinstance(function, FunctionType) and function.__globals__ is vars(module)
