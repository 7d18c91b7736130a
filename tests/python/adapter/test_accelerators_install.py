"""What holds for each accelerator: it knows this upstream, steps aside from another one, and leaves nothing behind."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from openmetadata_bulksink import accelerate, settings
from openmetadata_bulksink.accelerators import (
    StepsAside,
    bigquery_comments,
    column_names,
    entity_table,
    frozen_imports,
    name_walk,
    postgres_bulk,
    proxies,
    put,
    query_log,
    quoted_names,
    schema_caches,
    seen_tables,
    source_hash,
    statements,
    tracebacks,
    type_names,
    version,
    version_numbers,
)

pytestmark = pytest.mark.upstream

#: Where each one puts something, and the attribute.
PLACES: list[tuple[ModuleType, str, str]] = [
    (entity_table, entity_table.MODULE, "_initialize_transformable_entities"),
    (name_walk, name_walk.CALLER, "transform_entity_names"),
    (version_numbers, version_numbers.MODULE, "Version"),
    (type_names, type_names.MODULE, "TypeEngine._default_dialect"),
    (proxies, proxies.MODULE, "getproxies"),
    (proxies, proxies.MODULE, "proxy_bypass"),
    (column_names, column_names.MODULE, "build"),
    (column_names, column_names._SOURCE, "DatabaseServiceSource.get_column_tag_labels"),
    (quoted_names, quoted_names.MODULE, "quote_name"),
    (seen_tables, seen_tables.MODULE, "TopologyRunnerMixin.sink_request"),
    (source_hash, source_hash.CALLER, "generate_source_hash"),
    (schema_caches, schema_caches._LIFE_CYCLE, "LifeCycleQueryMixin.life_cycle_query_dict"),
    (schema_caches, schema_caches._DIALECT, "RedshiftDialect.get_table_comment"),
    (schema_caches, schema_caches._DIALECT, "RedshiftDialectMixin._get_schema_column_info"),
    (schema_caches, schema_caches._DIALECT, "RedshiftDialect._get_all_relation_info"),
    (schema_caches, schema_caches._POSTGRES_DIALECT, "PGDialect.get_table_comment"),
    (schema_caches, schema_caches._POSTGRES_DIALECT, "PGDialect.get_view_definition"),
    (schema_caches, schema_caches._POSTGRES_DIALECT, "PGDialect.get_table_owner"),
    (version, version.MODULE, "render_query_header"),
    (query_log, query_log.MODULE, "QueryInfo"),
    (query_log, query_log.MODULE, "QueryLogger._extract_query_type"),
    (statements, statements.MODULE, "sql"),
    (statements, statements.SOURCE, "text"),
    (statements, statements._DIALECT, "PGDialect.get_table_oid"),
    (tracebacks, tracebacks.MODULE, "traceback"),
    (postgres_bulk, postgres_bulk.SOURCE, "PostgresSource.get_table_partition_details"),
    (postgres_bulk, postgres_bulk.SOURCE, "PostgresSource.get_columns_and_constraints"),
    (bigquery_comments, bigquery_comments.MODULE, "BigquerySource.get_table_description"),
]

#: By upstream's line, what it has not: nothing is put there.
NOT_THERE = {
    "1.11": {"_extract_query_type", "text", "get_table_oid"},
    "1.12": {"_extract_query_type", "text", "get_table_oid", "_get_schema_column_info", "_get_all_relation_info"},
}

#: Accelerators for what upstream does from 2.0 on.
SINCE_2_0 = {"stale_scope"}

ONE_OF_EACH = list({place[0].__name__: place for place in reversed(PLACES)}.values())


def called(value: Any) -> str:
    return value.__name__.rsplit(".", 1)[-1] if isinstance(value, ModuleType) else str(value)


@pytest.fixture(autouse=True, scope="module")
def _everything_is_imported(bigquery_connector: ModuleType) -> None:
    assert bigquery_connector.__name__ == bigquery_comments.MODULE
    import metadata.ingestion.source.database.postgres.metadata
    import metadata.ingestion.source.database.redshift.metadata  # noqa: F401


def owner_of(module: str, path: str) -> tuple[Any, str]:
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    return owner, name


def test_every_one_has_its_name() -> None:
    assert tuple(accelerate._TABLE) == settings.ACCELERATORS


def test_every_one_has_its_line_in_the_docs() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "accelerators.md").read_text()
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert rows == set(settings.ACCELERATORS)


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them does its work once in a process."""
    monkeypatch.setattr(frozen_imports._Process, "has_written", False)


@pytest.fixture
def usable(server_profile: str) -> list[str]:
    """The accelerators that have something to stand in for in this upstream."""
    return [name for name in settings.ACCELERATORS if not (server_profile.startswith("1.") and name in SINCE_2_0)]


def test_all_know_this_upstream(usable: list[str]) -> None:
    """None is lost by a change of upstream without a word."""
    undo, active, aside = accelerate.examine(settings.ACCELERATORS)
    for each in reversed(undo):
        each()
    assert aside == []
    assert active == usable


@pytest.mark.parametrize(("accelerator", "module", "path"), PLACES, ids=called)
def test_it_leaves_nothing_behind(
    accelerator: Any, module: str, path: str, request: pytest.FixtureRequest, server_profile: str
) -> None:
    owner, name = owner_of(module, path)
    before = vars(owner).get(name)
    undo = accelerator.install()
    request.addfinalizer(undo)
    stays = name in NOT_THERE.get(server_profile, ())
    assert (vars(owner).get(name) is before) == stays
    undo()
    assert vars(owner).get(name) is before


@pytest.mark.parametrize(("accelerator", "module", "path"), ONE_OF_EACH, ids=called)
def test_it_steps_aside_from_another_upstream(
    accelerator: Any, module: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = owner_of(module, path)
    before = vars(owner)[name]
    for table in [table for table in vars(accelerator) if table.startswith("_KNOWN")]:
        with monkeypatch.context() as patch:
            patch.setattr(accelerator, table, frozenset({"0123456789abcdef"}))
            for left_alone in ("_ONE_FOR_EACH_SCHEMA", "_IS_TEXT"):
                patch.setattr(accelerator, left_alone, frozenset(), raising=False)
            with pytest.raises(StepsAside, match=r"changed"):
                accelerator.install()
    assert vars(owner)[name] is before


@pytest.mark.parametrize(("accelerator", "module", "path"), ONE_OF_EACH, ids=called)
def test_it_says_nothing_where_upstream_does_not_use_it(
    accelerator: Any,
    module: str,
    path: str,  # noqa: ARG001 - as the other tests
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(StepsAside) as reason:
        accelerator.install()
    assert str(reason.value) == ""


def test_each_is_switched_by_its_name(usable: list[str]) -> None:
    for name in usable:
        undo, active, _ = accelerate.install({name})
        for each in reversed(undo):
            each()
        assert active == [name]


def test_in_any_order(usable: list[str]) -> None:
    """Two sinks of a process may ask for different ones, one after the other."""
    every_time = [name for name in usable if name != "frozen_imports"]
    for first in every_time:
        undo, _, _ = accelerate.install({first})
        more, active, aside = accelerate.install(every_time)
        for each in reversed([*undo, *more]):
            each()
        assert (active, aside) == (every_time, [])


def test_what_somebody_else_put_there_stays() -> None:
    owner = type("Owner", (), {"value": 1})
    undo = put(owner, "value", 2)
    owner.value = 3  # type: ignore[attr-defined]
    undo()
    assert owner.value == 3  # type: ignore[attr-defined]


def test_a_use_of_versions_that_was_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = importlib.import_module(version_numbers.MODULE)
    monkeypatch.setattr(utils, "another", eval("lambda value: isinstance(value, Version)"), raising=False)  # noqa: S307
    with pytest.raises(StepsAside, match="version numbers has changed"):
        version_numbers.install()


def test_a_function_for_columns_that_was_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    fqn = importlib.import_module(column_names.MODULE)
    monkeypatch.setitem(fqn.fqn_build_registry.registry, "Column", version.install)
    with pytest.raises(StepsAside, match="building names has changed"):
        column_names.install()


def test_proxies_of_the_system_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system, on macOS and Windows, has another `getproxies`."""
    utils = importlib.import_module(proxies.MODULE)
    monkeypatch.setattr(utils, "getproxies", dict)
    with pytest.raises(StepsAside) as reason:
        proxies.install()
    assert str(reason.value) == ""
