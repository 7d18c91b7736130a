"""What counts as upstream's own: everything that upstream wrote, and nothing that somebody put around it."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from openmetadata_bulksink import accelerate, own, settings
from openmetadata_bulksink.accelerators import StepsAside, put, put_in, recognised, tidy_up, version

pytestmark = pytest.mark.upstream


def bare(original: Callable[..., Any]) -> Callable[..., Any]:
    def around(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    return around


def wraps(original: Callable[..., Any]) -> Callable[..., Any]:
    return functools.wraps(original)(bare(original))


#: The ways in which people put something around a function.
WAYS: dict[str, Callable[[Any], Any]] = {
    "a function": bare,
    "functools.wraps": wraps,
    "wraps twice": lambda original: wraps(wraps(original)),
    "lru_cache": functools.lru_cache,
    "partial": functools.partial,
    "a mock": lambda original: mock.MagicMock(wraps=original),
    "an autospec": lambda original: mock.create_autospec(original, side_effect=original),
    "a wrapper in a cache": lambda original: functools.lru_cache(wraps(original)),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def test_all_that_upstream_and_requests_wrote_is_their_own() -> None:
    for path in (
        "metadata.ingestion.ometa.client.REST",
        "metadata.ingestion.sink.metadata_rest.MetadataRestSink",
        "metadata.ingestion.ometa.ometa_api.OpenMetadata",
        "requests.sessions.Session",
        "requests.adapters.HTTPAdapter",
        "urllib3.poolmanager.PoolManager",
        "urllib3.connectionpool.HTTPSConnectionPool",
        "urllib3.connection.HTTPSConnection",
        "socket.socket",
    ):
        module, _, name = path.rpartition(".")
        cls = getattr(importlib.import_module(module), name)
        cls = vars(cls).get("_bulksink_replaces", cls)
        names = own.methods(cls)
        assert len(names) > 8, path
        for method in names:
            owner = next(each for each in cls.__mro__ if method in vars(each))
            assert own.why_not(vars(owner)[method], owner.__module__) is None, (path, method)


@ways
def test_a_method_of_a_class_with_something_around_it(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.ingestion.ometa.client import REST

    class Client(REST):
        def __init__(self) -> None:
            pass

    Client.__module__ = REST.__module__
    client = Client()
    assert own.replaced(client, ("put", "get")) is None
    monkeypatch.setattr(REST, "put", way(REST.put))
    assert "Client.put " in str(own.replaced(client, ("put", "get")))


@ways
def test_a_method_of_an_object_with_something_around_it(client: Any, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.client, "put", way(client.client.put))
    assert "REST.put was replaced by" in str(own.replaced(client.client))


@ways
def test_a_decorated_function_with_something_around_it(way: Any) -> None:
    """What upstream decorates by itself passes; one layer more does not."""
    from metadata.ingestion.source.database.life_cycle_query_mixin import LifeCycleQueryMixin

    theirs = LifeCycleQueryMixin.life_cycle_query_dict
    assert hasattr(theirs, "__wrapped__")
    assert own.why_not(theirs) is None
    assert own.why_not(way(theirs), LifeCycleQueryMixin.__module__) is not None


@ways
def test_an_accelerator_steps_aside_from_a_function_with_something_around_it(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metadata.ingestion.connections import headers

    around = way(headers.inject_query_header)
    monkeypatch.setattr(headers, "inject_query_header", around)
    with pytest.raises(StepsAside, match="has changed"):
        version.install()
    assert headers.inject_query_header is around


#: A function that each of these accelerators stands in for.
STANDS_IN_FOR = {
    "column_names": ("metadata.utils.fqn", "build"),
    "quoted_names": ("metadata.utils.fqn", "quote_name"),
    "source_hash": ("metadata.utils.source_hash", "_remove_volatile_fields"),
    "name_walk": ("metadata.ingestion.models.custom_pydantic", "transform_entity_names"),
    "schema_caches": ("metadata.ingestion.source.database.life_cycle_query_mixin", "life_cycle_query_dict"),
    "type_names": ("sqlalchemy.sql.type_api", "_default_dialect"),
    "tracebacks": ("metadata.ingestion.source.database.common_db_source", "get_table_description"),
    "proxies": ("requests.utils", "get_environ_proxies"),
}
_CLASSES = {
    "schema_caches": "LifeCycleQueryMixin",
    "type_names": "TypeEngine",
    "tracebacks": "CommonDbSourceService",
}


@pytest.mark.parametrize("name", STANDS_IN_FOR)
def test_a_users_wrapper_stays_in_charge(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("metadata.ingestion.source.database.redshift.metadata")
    module, function = STANDS_IN_FOR[name]
    owner: Any = importlib.import_module(module)
    if name in _CLASSES:
        owner = getattr(owner, _CLASSES[name])
    users = wraps(vars(owner)[function])
    monkeypatch.setattr(owner, function, users)
    undo, active, aside = accelerate.install({name})
    assert (active, undo) == ([], [])
    assert [reason.partition(",")[0] for reason in aside] == [name]
    assert vars(owner)[function] is users


def test_whatever_an_accelerator_raises_is_stepping_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that renamed something, for one; what was put in up to there is taken out."""
    owner = type("Owner", (), {"value": 1, "other": 1})

    def breaks() -> Any:
        put(owner, "value", 2)
        put(owner, "other", 2)
        raise AttributeError("no such thing")

    monkeypatch.setitem(accelerate._TABLE, "version", breaks)
    undo, active, aside = accelerate.install({"version", "quoted_names"})
    assert active == ["quoted_names"]
    assert aside == ["version, AttributeError: no such thing"]
    assert (owner.value, owner.other) == (1, 1)  # type: ignore[attr-defined]
    for each in undo:
        each()


def test_an_interruption_leaves_no_accelerator_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = type("Owner", (), {"value": 1})

    def interrupted() -> Any:
        put(owner, "value", 2)
        raise KeyboardInterrupt

    monkeypatch.setitem(accelerate._TABLE, settings.ACCELERATORS[-1], interrupted)
    with pytest.raises(KeyboardInterrupt):
        accelerate.install(settings.ACCELERATORS)
    assert accelerate._installed == {}
    assert owner.value == 1  # type: ignore[attr-defined]


def test_what_is_put_in_within_another_goes_with_it() -> None:
    owner = type("Owner", (), {"value": 1})

    def outer() -> Any:
        put_in(lambda: put(owner, "value", 2))
        raise StepsAside

    with pytest.raises(StepsAside):
        put_in(outer)
    assert owner.value == 1  # type: ignore[attr-defined]


def test_a_mock_that_outlives_us_puts_upstreams_function_back() -> None:
    from metadata.utils import fqn

    upstreams = fqn.build
    undo, active, _ = accelerate.install({"column_names"})
    assert active == ["column_names"]
    assert fqn.build is not upstreams
    users = mock.patch.object(fqn, "build", wraps=fqn.build)
    users.start()
    for each in undo:
        each()
    users.stop()
    assert fqn.build is upstreams
    undo, active, aside = accelerate.install({"column_names"})
    assert (active, aside) == (["column_names"], [])
    for each in undo:
        each()
    assert fqn.build is upstreams


def test_in_a_class_the_next_sink_puts_it_back() -> None:
    owner = type("Owner", (), {"value": staticmethod(wraps)})
    upstreams = vars(owner)["value"]
    undo = put(owner, "value", bare(wraps))
    users = mock.patch.object(owner, "value")
    users.start()
    undo()
    users.stop()
    tidy_up()
    assert vars(owner)["value"] is upstreams


def test_no_accelerators_no_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[str] = []
    monkeypatch.setattr("openmetadata_bulksink.accelerators.put", lambda *_, **__: touched.append("put"))
    monkeypatch.setattr(
        "openmetadata_bulksink.accelerators.foreign_keys.put", lambda *_, **__: touched.append("foreign keys")
    )
    assert accelerate.install(()) == ([], [], [])
    assert touched == []


def test_a_class_whose_method_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.ingestion.connections import query_logger

    assert own.why_not(query_logger.QueryLogger) is None
    name = next(name for name in own.methods(query_logger.QueryLogger) if not name.startswith("__"))
    monkeypatch.setattr(query_logger.QueryLogger, name, lambda *_: None)
    with pytest.raises(StepsAside, match=f"has a method {name} that was replaced"):
        recognised(frozenset(), "the log", query_logger.QueryLogger)
