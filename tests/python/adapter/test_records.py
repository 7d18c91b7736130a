"""Records: FQN, parent, needs and bytes of each create request, from objects and from JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openmetadata_bulksink import records


def read(collection: str, **body: Any) -> records.Record:
    return records.form_of_collection(collection).record(body, b"")


@pytest.mark.parametrize(
    ("collection", "body", "fqn", "parent"),
    [
        ("databases", {"name": "dev", "service": "redshift"}, "redshift.dev", "redshift"),
        ("databases", {"name": "dev", "service": "prod.redshift"}, '"prod.redshift".dev', '"prod.redshift"'),
        ("databases", {"name": "dev", "service": '"prod.redshift"'}, '"prod.redshift".dev', '"prod.redshift"'),
        ("databases", {"name": "a.b", "service": "s"}, 's."a.b"', "s"),
        ("databaseSchemas", {"name": "public", "database": 's."a.b"'}, 's."a.b".public', 's."a.b"'),
        ("tables", {"name": "t 1/x", "databaseSchema": "s.d.p"}, "s.d.p.t 1/x", "s.d.p"),
        ("tables", {"name": "Größe", "databaseSchema": "s.d.p"}, "s.d.p.Größe", "s.d.p"),
        ("storedProcedures", {"name": "f(int)", "databaseSchema": "s.d.p"}, "s.d.p.f(int)", "s.d.p"),
        ("storedProcedures", {"name": "f"}, "f", None),
        ("charts", {"name": "c", "service": "looker"}, "looker.c", "looker"),
        ("dashboard/datamodels", {"name": "m", "service": "looker"}, "looker.model.m", "looker"),
        ("apiEndpoints", {"name": "get", "apiCollection": "api.pets"}, "api.pets.get", "api.pets"),
        ("drives/directories", {"name": "sub", "service": "g", "parent": "g.top"}, "g.top.sub", "g.top"),
        ("drives/directories", {"name": "top", "service": "g"}, "g.top", "g"),
        ("drives/files", {"name": "a.txt", "directory": "g.top", "service": "g"}, 'g.top."a.txt"', "g.top"),
        (
            "drives/spreadsheets",
            {"name": "s", "service": "g", "parent": {"id": "1", "fullyQualifiedName": "g.top"}},
            "g.top.s",
            "g.top",
        ),
        ("drives/worksheets", {"name": "w", "spreadsheet": "g.s"}, "g.s.w", "g.s"),
        ("tags", {"name": "t", "classification": "pii"}, "pii.t", "pii"),
        ("tags", {"name": "t", "classification": "pii", "parent": "pii.up"}, "pii.up.t", "pii.up"),
        ("glossaryTerms", {"name": "t", "glossary": "g.h"}, '"g.h".t', '"g.h"'),
        ("users", {"name": "ada.lovelace"}, '"ada.lovelace"', None),
    ],
)
def test_fqn_and_parent(collection: str, body: dict[str, Any], fqn: str, parent: str | None) -> None:
    found = read(collection, **body)
    assert (found.fqn, found.parent) == (fqn, parent)


def test_a_query_is_named_by_the_checksum_of_its_text() -> None:
    found = read("queries", query="select 1", service="s")
    assert found.fqn == "s.95adb6e77a0884d9e50232cb8c5c969d"  # the md5 of the text, as the server names it
    assert found.first_wins
    assert read("queries", query="select 1", service="s", name="mine").fqn == "s.mine"


def test_a_request_without_a_name_is_refused_by_class() -> None:
    with pytest.raises(records.NamesNothing, match="CreateTableRequest"):
        read("tables", databaseSchema="s.d.p")


def test_a_table_needs_the_tables_of_its_foreign_keys_but_not_itself() -> None:
    found = read(
        "tables",
        name="t",
        databaseSchema="s.d.p",
        tableConstraints=[
            {"constraintType": "FOREIGN_KEY", "referredColumns": ["s.d.p.u.id", "s.d.p.u.no", 's.d.p."v.w".id']},
            {"constraintType": "FOREIGN_KEY", "referredColumns": ["s.d.p.t.parent"]},
            {"constraintType": "PRIMARY_KEY", "columns": ["id"]},
        ],
    )
    assert found.needs == ("s.d.p.u", 's.d.p."v.w"')


def test_a_dashboard_needs_its_charts_and_models() -> None:
    found = read("dashboards", name="d", service="l", charts=["l.c1", "l.c2"], dataModels=["l.model.m"])
    assert found.needs == ("l.c1", "l.c2", "l.model.m")


def test_a_model_needs_its_dashboard_and_sources() -> None:
    found = read(
        "mlmodels",
        name="m",
        service="s",
        dashboard="l.d",
        mlFeatures=[
            {
                "featureSources": [
                    {"dataSource": {"id": "1", "fullyQualifiedName": "s.d.p.t"}},
                    {"dataSource": {"id": "2"}},
                ]
            },
            {"name": "no sources"},
        ],
    )
    assert found.needs == ("l.d", "s.d.p.t")


def test_a_test_case_needs_what_it_tests() -> None:
    found = read("dataQuality/testCases", name="x", entityLink="<#E::table::s.d.p.t::columns::c>")
    assert found.needs == ("s.d.p.t",)


@pytest.mark.parametrize(
    ("fqn", "parts"),
    [
        ("a", ["a"]),
        ("a.b.c", ["a", "b", "c"]),
        ('a."b.c".d', ["a", '"b.c"', "d"]),
        ('"a.b"', ['"a.b"']),
        ('a."b', ["a", '"b']),
    ],
)
def test_split(fqn: str, parts: list[str]) -> None:
    assert records.split_fqn(fqn) == parts


def test_ancestors() -> None:
    assert records.ancestors('a."b.c".d.e') == ['a."b.c".d', 'a."b.c"', "a"]
    assert records.above("a") is None


def test_names_in_a_body() -> None:
    body = {"name": "p", "service": "airflow", "tasks": []}
    assert tuple(records.names_in("pipelines", body)) == ("airflow.p", "airflow")
    assert tuple(records.names_in("tables", {"columns": []})) == ()
    assert tuple(records.names_in("tables", None)) == ()


def test_mentions_of_labels_and_references() -> None:
    body = {
        "name": "t",
        "tags": [{"tagFQN": "pii.none", "source": "Classification"}],
        "columns": [{"name": "c", "tags": [{"tagFQN": "pii.mail"}]}],
        "owners": [{"id": "1", "type": "user", "fullyQualifiedName": "ada"}],
        "domains": ["sales"],
    }
    assert set(records.mentions(json.dumps(body).encode())) == {"pii.none", "pii.mail", "ada", "sales"}


# --- against upstream's own classes ---


@pytest.mark.upstream
def test_objects_and_their_json_give_the_same_record() -> None:
    for request, collection in upstream_requests():
        form = records.form_of(type(request), collection)
        body = records.body_of(form, request)
        from_object = form.record(request, body)
        from_json = records.form_of_collection(collection).record(json.loads(body), body)
        assert from_object == from_json, type(request).__name__


@pytest.mark.upstream
def test_bytes_are_those_of_upstream() -> None:
    for request, collection in upstream_requests():
        sent = json.loads(records.body_of(records.form_of(type(request), collection), request))
        assert sent == request.model_dump(mode="json", exclude_unset=True, exclude_none=True), type(request).__name__


@pytest.mark.upstream
def test_collections_are_those_of_upstreams_routes() -> None:
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    for request, collection in upstream_requests():
        assert OpenMetadata.get_suffix(type(request)).strip("/") == collection


@pytest.mark.upstream
def test_a_lone_surrogate_takes_upstreams_way() -> None:
    from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
    from metadata.generated.schema.type.basic import Markdown

    request = CreateDatabaseRequest(name="d", service="s")
    request.description = Markdown.model_construct(root="broken \ud800")  # assigned, as a source might: not validated
    body = records.body_of(records.form_of(type(request), "databases"), request)
    assert b"\\ud800" in body
    assert json.loads(body)["description"] == "broken \ud800"


@pytest.mark.upstream
def test_every_class_of_the_table_exists_in_some_upstream() -> None:
    """A name in the table that no generated class has is a typing error."""
    import pkgutil

    import metadata.generated.schema.api as api

    prefix = "metadata.generated.schema.api."
    names = {module.name.rpartition(".")[2].lower() for module in pkgutil.walk_packages(api.__path__, prefix)}
    newest_only = {"CreateLLMModelRequest", "CreateMcpServerRequest"}
    for cls in set(records.SHAPES) - newest_only:
        assert cls.removesuffix("Request").lower() in names, cls


def upstream_requests() -> list[tuple[Any, str]]:
    """One request of each kind that upstream's sink buffers, made by upstream's models."""
    from metadata.generated.schema.api.data.createAPICollection import CreateAPICollectionRequest
    from metadata.generated.schema.api.data.createAPIEndpoint import CreateAPIEndpointRequest
    from metadata.generated.schema.api.data.createChart import CreateChartRequest
    from metadata.generated.schema.api.data.createDashboard import CreateDashboardRequest
    from metadata.generated.schema.api.data.createDashboardDataModel import CreateDashboardDataModelRequest
    from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
    from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
    from metadata.generated.schema.api.data.createDirectory import CreateDirectoryRequest
    from metadata.generated.schema.api.data.createFile import CreateFileRequest
    from metadata.generated.schema.api.data.createMlModel import CreateMlModelRequest
    from metadata.generated.schema.api.data.createQuery import CreateQueryRequest
    from metadata.generated.schema.api.data.createSearchIndex import CreateSearchIndexRequest
    from metadata.generated.schema.api.data.createSpreadsheet import CreateSpreadsheetRequest
    from metadata.generated.schema.api.data.createStoredProcedure import CreateStoredProcedureRequest
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.api.data.createTopic import CreateTopicRequest
    from metadata.generated.schema.api.data.createWorksheet import CreateWorksheetRequest
    from metadata.generated.schema.api.teams.createUser import CreateUserRequest

    column = {
        "name": "c::1",
        "dataType": "STRUCT",
        "dataTypeDisplay": "struct<a:int>",
        "children": [{"name": "a", "dataType": "INT"}],
        "tags": [{"tagFQN": "pii.x", "source": "Classification", "labelType": "Manual", "state": "Suggested"}],
    }
    key = {"constraintType": "FOREIGN_KEY", "columns": ["c"], "referredColumns": ["s.d.p.u.id"]}
    return [
        (CreateDatabaseRequest(name="d.1", service="s.x"), "databases"),
        (CreateDatabaseSchemaRequest(name="p", database='s."d.1"', sourceUrl="http://x/y"), "databaseSchemas"),
        (
            CreateTableRequest(
                name='t "q" > é',
                databaseSchema='s."d.1".p',
                columns=[column],
                tableConstraints=[key],
                description="**x**",
                extension={"a": None, "b": [1]},
            ),
            "tables",
        ),
        (
            CreateStoredProcedureRequest(
                name="f",
                databaseSchema="s.d.p",
                storedProcedureCode={"language": "SQL", "code": "select 1"},
            ),
            "storedProcedures",
        ),
        (CreateQueryRequest(query="select 1", service="s"), "queries"),
        (CreateChartRequest(name="c", service="l"), "charts"),
        (
            CreateDashboardDataModelRequest(name="m", service="l", dataModelType="LookMlView", columns=[]),
            "dashboard/datamodels",
        ),
        (CreateDashboardRequest(name="d", service="l", charts=["l.c"], dataModels=["l.model.m"]), "dashboards"),
        (CreateTopicRequest(name="t", service="k", partitions=1), "topics"),
        (CreateSearchIndexRequest(name="i", service="e", fields=[]), "searchIndexes"),
        (CreateMlModelRequest(name="m", service="s", algorithm="x", dashboard="l.d"), "mlmodels"),
        (CreateAPICollectionRequest(name="c", service="a", endpointURL="http://x"), "apiCollections"),
        (CreateAPIEndpointRequest(name="e", apiCollection="a.c", endpointURL="http://x"), "apiEndpoints"),
        (CreateDirectoryRequest(name="d", service="g", parent="g.top"), "drives/directories"),
        (CreateFileRequest(name="f.txt", service="g", directory="g.d"), "drives/files"),
        (CreateSpreadsheetRequest(name="s", service="g"), "drives/spreadsheets"),
        (CreateWorksheetRequest(name="w", spreadsheet="g.s", service="g"), "drives/worksheets"),
        (CreateUserRequest(name="ada", email="ada@example.org"), "users"),
    ]
