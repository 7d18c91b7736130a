"""`bigquery_comments` agrees with upstream's function over Google's own client, and asks once where that asks twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmetadata_bulksink.accelerators import StepsAside, bigquery_comments
from tests.ingest.bigquery import PROJECT, BigQuery, tables

pytestmark = [pytest.mark.upstream, pytest.mark.usefixtures("bigquery_connector")]

#: Makes a source and its inspector, as upstream has them in the middle of a run, in one dataset.
Make = Callable[..., tuple[Any, Any]]


@pytest.fixture(scope="module")
def bigquery() -> Iterator[BigQuery]:
    with BigQuery({"sales": tables("sales", 12), "people": tables("people", 3)}) as running:
        yield running


@pytest.fixture(scope="module")
def make(bigquery: BigQuery, bigquery_connector: ModuleType) -> Iterator[Make]:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client
    from metadata.utils.lru_cache import LRUCache
    from sqlalchemy import create_engine, inspect

    of_upstream = bigquery_connector.BigquerySource
    options = ClientOptions(api_endpoint=bigquery.url)
    sources, dialects = (Client(PROJECT, AnonymousCredentials(), client_options=options) for _ in range(2))
    engine = create_engine(f"bigquery://{PROJECT}?user_supplied_client=True", connect_args={"client": dialects})

    def made(dataset: str, *, project: str = PROJECT, impersonated: object = None, cls: Any = of_upstream) -> Any:
        source = object.__new__(cls)
        source.client = sources
        now = SimpleNamespace(database=project, database_schema=dataset)
        source.context = SimpleNamespace(get=lambda: now)
        credentials = SimpleNamespace(gcpImpersonateServiceAccount=impersonated)
        source.service_connection = SimpleNamespace(credentials=credentials)
        source._table_obj_cache, source._current_schema_tables = LRUCache(10), {}
        return source, inspect(engine)

    yield made
    engine.dispose()


@pytest.fixture
def installed() -> Iterator[None]:
    undo = bigquery_comments.install()
    yield
    undo()


def described(source: Any, dataset: str, name: str, inspector: Any) -> Any:
    return source.get_table_description(schema_name=dataset, table_name=name, inspector=inspector)


ordinary = st.integers(0, 13).map("table_{:05}".format)
odd = st.sampled_from(
    ["a.b", "sales.table_00000", "shop.sales.table_00004", "x.y.z.w", '"table_00000"', "a b", "ä/?#%", ""]
)


@given(
    table=ordinary | odd,
    dataset=st.sampled_from(["sales", "people", "nobody", "sa.les", ""]),
    project=st.sampled_from([PROJECT, "another", "example.com:shop", ""]),
    moved=st.sampled_from([None, "table_00004", "nowhere"]),
    description=st.none() | st.text(max_size=8),
)
def test_it_agrees_with_upstream(
    make: Make,
    bigquery: BigQuery,
    table: str,
    dataset: str,
    project: str,
    moved: str | None,
    description: str | None,
) -> None:
    """moved: the name that the API gives the table. Descriptions are any, tables and names such as cannot be read."""
    for found in (one for of in bigquery.datasets.values() for one in of.values()):
        found["description"] = description
    first = bigquery.datasets["sales"]["table_00000"]
    first["tableReference"] = {**first["tableReference"], "tableId": moved or "table_00000"}
    expected = described(*_at(make, dataset, project, table))
    undo = bigquery_comments.install()
    try:
        assert described(*_at(make, dataset, project, table)) == expected
    finally:
        undo()


def _at(make: Make, dataset: str, project: str, table: str) -> tuple[Any, str, str, Any]:
    source, inspector = make(dataset, project=project)
    return source, dataset, table, inspector


def asked_for(bigquery: BigQuery, make: Make, **how: Any) -> int:
    """How often a table is asked for whose columns and comment are read."""
    source, inspector = make("people", **how)
    bigquery.requests.clear()
    source.get_table_obj("table_00001")
    described(source, "people", "table_00001", inspector)
    return len(bigquery.requests)


def test_a_table_is_asked_for_once(bigquery: BigQuery, make: Make) -> None:
    assert asked_for(bigquery, make) == 2
    undo = bigquery_comments.install()
    assert asked_for(bigquery, make) == 1
    undo()
    assert asked_for(bigquery, make) == 2


@pytest.mark.usefixtures("installed")
def test_sources_that_impersonate_are_left_to_upstream(bigquery: BigQuery, make: Make) -> None:
    assert asked_for(bigquery, make, impersonated=object()) == 2


@pytest.mark.usefixtures("installed")
def test_a_source_that_reads_tables_in_its_own_way_is_left_to_upstream(bigquery: BigQuery, make: Make) -> None:
    from metadata.ingestion.source.database.bigquery.metadata import BigquerySource

    class Own(BigquerySource):
        def get_table_obj(self, table_name: str) -> Any:
            return super().get_table_obj(table_name)

    assert asked_for(bigquery, make, cls=Own) == 2


def test_it_steps_aside_from_another_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_comments, "_KNOWN_DIALECT", frozenset())
    with pytest.raises(StepsAside, match="reading of comments has changed"):
        bigquery_comments.install()


def test_it_steps_aside_where_something_stands_between(monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.ingestion.source.database.bigquery.metadata import BigquerySource

    def other(schema_name: str, table_name: str, inspector: Any) -> None:
        """A mixin's."""

    monkeypatch.setattr(BigquerySource.__mro__[1], "get_table_description", staticmethod(other), raising=False)
    with pytest.raises(StepsAside, match="reading of comments has changed"):
        bigquery_comments.install()
