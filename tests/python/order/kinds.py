"""Every kind of entity that upstream's sink writes, and bodies for it: the material of the streams.

Data and dice only. Upstream's classes are named, not imported: which of them exist depends on its version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

Body = dict[str, Any]


class Dice(Protocol):
    """What a body may be made from: chance, and what the stream has made so far."""

    rng: Random

    def some(self, kind: str) -> str | None:
        """The FQN of something of that kind that the stream has made; None where there is nothing yet."""


@dataclass(frozen=True)
class Kind:
    """One kind.

    create: module and class of the create request, below `metadata.generated.schema.api`. entity: the same of the
    entity, below `metadata.generated.schema`. parents: pairs of a kind and the field that names it; the first that the
    stream has is the beginning of the FQN, the others are filled too. by_name: parent fields that hold a plain name.
    fields: what a read may ask for besides the default. scope: the list parameter that takes the parent's FQN.
    first_wins: of two records that are pending at once the second is dropped, by upstream's sink in a buffer as by
    ours, so that streams change such a thing only after they have read it.
    """

    create: str
    entity: str
    parents: tuple[tuple[str, str], ...] = ()
    body: Callable[[Dice], Body] = field(default=lambda dice: {})  # noqa: ARG005
    by_name: tuple[str, ...] = ()
    infix: str = ""
    fields: tuple[str, ...] = ()
    scope: str = ""
    first_wins: bool = False
    lists_need_parent: bool = False


COLUMN_TYPES = ("INT", "BIGINT", "TEXT", "DATE", "BOOLEAN", "DOUBLE")


def columns(dice: Dice) -> list[Body]:
    """A few columns, now and then with tags, nesting and comments."""
    made: list[Body] = [{"name": "id", "dataType": "BIGINT"}]
    for number in range(dice.rng.randrange(1, 4)):
        column: Body = {"name": f"c{number}", "dataType": dice.rng.choice(COLUMN_TYPES)}
        if dice.rng.random() < 0.2:
            column["description"] = dice.rng.choice(("of the source", "ünicode: ✓", 'with "quotes"'))
        if dice.rng.random() < 0.15:
            column.update(tagged(dice))
        if dice.rng.random() < 0.1:
            column.update(dataType="STRUCT", children=[{"name": "inner", "dataType": "INT"}])
        made.append(column)
    return made


def tagged(dice: Dice) -> Body:
    """Labels: tags that the server brings, and such that the stream has made."""
    choices: list[tuple[str, str]] = [("Tier.Tier1", "Classification"), ("PII.Sensitive", "Classification")]
    tag, term = dice.some("tag"), dice.some("glossaryTerm")
    if tag is not None:
        choices += [(tag, "Classification")] * 3
    if term is not None:
        choices += [(term, "Glossary")] * 3
    name, source = dice.rng.choice(choices)
    return {"tags": [{"tagFQN": name, "source": source, "labelType": "Automated", "state": "Suggested"}]}


def common(dice: Dice) -> Body:
    """What nearly every create request takes."""
    body: Body = {}
    roll = dice.rng.random
    if roll() < 0.5:
        body["description"] = dice.rng.choice(("first", "second", "third", "**bold** – ünïcode"))
    if roll() < 0.3:
        body["displayName"] = dice.rng.choice(("One", "Two", "Three"))
    if roll() < 0.25:
        body.update(tagged(dice))
    if roll() < 0.2:
        domain = dice.some("domain")
        if domain is not None:
            body["domains"] = [domain]
    if roll() < 0.15:
        owner = dice.some("user")
        if owner is not None:
            body["owners"] = [{"$reference": ["user", owner]}]
    return body


def described(dice: Dice) -> Body:
    """For kinds that must have a description, and take little else."""
    return {"description": dice.rng.choice(("first", "second", "third"))}


def _asset(*more: Callable[[Dice], Body]) -> Callable[[Dice], Body]:
    def body(dice: Dice) -> Body:
        made = common(dice)
        for add in more:
            made.update(add(dice))
        return made

    return body


def _service(kind: str) -> Callable[[Dice], Body]:
    return lambda dice: {"serviceType": kind, **(described(dice) if dice.rng.random() < 0.5 else {})}


def _table(dice: Dice) -> Body:
    body: Body = {"columns": columns(dice)}
    if dice.rng.random() < 0.4:
        body["tableType"] = dice.rng.choice(("Regular", "View", "External"))
    referred = dice.some("table")
    if referred is not None and dice.rng.random() < 0.3:
        key = {"constraintType": "FOREIGN_KEY", "columns": ["id"], "referredColumns": [f"{referred}.id"]}
        body["tableConstraints"] = [{**key, "relationshipType": "MANY_TO_ONE"}]
    return body


def _hash(dice: Dice) -> Body:
    return {"sourceHash": f"hash-{dice.rng.randrange(4)}"} if dice.rng.random() < 0.5 else {}


def _references(field_name: str, kind: str, chance: float = 0.6) -> Callable[[Dice], Body]:
    """A list of FQNs of another kind."""

    def add(dice: Dice) -> Body:
        if dice.rng.random() >= chance:
            return {}
        found = {dice.some(kind) for _ in range(dice.rng.randrange(1, 4))} - {None}
        return {field_name: sorted(name for name in found if name)} if found else {}

    return add


def _ml_model(dice: Dice) -> Body:
    body: Body = {"algorithm": dice.rng.choice(("forest", "regression"))}
    dashboard, table = dice.some("dashboard"), dice.some("table")
    if dashboard is not None and dice.rng.random() < 0.6:
        body["dashboard"] = dashboard
    if table is not None and dice.rng.random() < 0.4:
        source = {"name": "c0", "dataType": "integer"}
        source["dataSource"] = {"$reference": ["table", table]}  # type: ignore[assignment]
        body["mlFeatures"] = [{"name": "f", "dataType": "numerical", "featureSources": [source]}]
    return body


def _by_id(field_name: str, kind: str, chance: float, *, many: bool = False) -> Callable[[Dice], Body]:
    """A reference by id, as sources make it from an entity that they have read."""

    def add(dice: Dice) -> Body:
        fqn = dice.some(kind)
        if fqn is None or dice.rng.random() >= chance:
            return {}
        reference = {"$reference": [kind, fqn]}
        return {field_name: [reference] if many else reference}

    return add


def _test_case(dice: Dice) -> Body:
    return {
        "testDefinition": dice.some("testDefinition") or "missing_definition",
        "entityLink": f"<#E::table::{dice.some('table')}>",
    }


def _nothing_but(**values: Any) -> Callable[[Dice], Body]:
    return lambda dice: dict(values)  # noqa: ARG005


KINDS: dict[str, Kind] = {
    # Databases
    "databaseService": Kind(
        "services.createDatabaseService.CreateDatabaseServiceRequest",
        "entity.services.databaseService.DatabaseService",
        body=_service("Postgres"),
    ),
    "database": Kind(
        "data.createDatabase.CreateDatabaseRequest",
        "entity.data.database.Database",
        (("databaseService", "service"),),
        _asset(_hash),
        ("service",),
        fields=("tags", "owners", "domains"),
        scope="service",
    ),
    "databaseSchema": Kind(
        "data.createDatabaseSchema.CreateDatabaseSchemaRequest",
        "entity.data.databaseSchema.DatabaseSchema",
        (("database", "database"),),
        _asset(_hash),
        fields=("tags", "owners", "domains"),
        scope="database",
    ),
    "table": Kind(
        "data.createTable.CreateTableRequest",
        "entity.data.table.Table",
        (("databaseSchema", "databaseSchema"),),
        _asset(_table, _hash),
        fields=("columns", "tableConstraints", "tags", "owners"),
        scope="databaseSchema",
    ),
    "storedProcedure": Kind(
        "data.createStoredProcedure.CreateStoredProcedureRequest",
        "entity.data.storedProcedure.StoredProcedure",
        (("databaseSchema", "databaseSchema"),),
        _asset(_nothing_but(storedProcedureCode={"language": "SQL", "code": "select 1"})),
        fields=("tags", "owners"),
        scope="databaseSchema",
    ),
    "query": Kind(
        "data.createQuery.CreateQueryRequest",
        "entity.data.query.Query",
        (("databaseService", "service"),),
        _asset(_by_id("queryUsedIn", "table", 0.3, many=True)),
        ("service",),
        scope="service",
        first_wins=True,
    ),
    # Dashboards
    "dashboardService": Kind(
        "services.createDashboardService.CreateDashboardServiceRequest",
        "entity.services.dashboardService.DashboardService",
        body=_service("Looker"),
    ),
    "chart": Kind(
        "data.createChart.CreateChartRequest",
        "entity.data.chart.Chart",
        (("dashboardService", "service"),),
        _asset(_nothing_but(chartType="Bar"), _references("dashboards", "dashboard", 0.2)),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "dashboardDataModel": Kind(
        "data.createDashboardDataModel.CreateDashboardDataModelRequest",
        "entity.data.dashboardDataModel.DashboardDataModel",
        (("dashboardService", "service"),),
        _asset(
            _nothing_but(dataModelType="LookMlExplore", serviceType="Looker"),
            lambda dice: {"columns": columns(dice)},
        ),
        ("service",),
        infix="model",
        fields=("tags", "owners"),
        scope="service",
        first_wins=True,
    ),
    "dashboard": Kind(
        "data.createDashboard.CreateDashboardRequest",
        "entity.data.dashboard.Dashboard",
        (("dashboardService", "service"),),
        _asset(_references("charts", "chart"), _references("dataModels", "dashboardDataModel", 0.3)),
        ("service",),
        fields=("tags", "owners", "charts", "dataModels"),
        scope="service",
    ),
    # Messaging, search, machine learning
    "messagingService": Kind(
        "services.createMessagingService.CreateMessagingServiceRequest",
        "entity.services.messagingService.MessagingService",
        body=_service("Kafka"),
    ),
    "topic": Kind(
        "data.createTopic.CreateTopicRequest",
        "entity.data.topic.Topic",
        (("messagingService", "service"),),
        _asset(lambda dice: {"partitions": dice.rng.randrange(1, 5)}),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "searchService": Kind(
        "services.createSearchService.CreateSearchServiceRequest",
        "entity.services.searchService.SearchService",
        body=_service("ElasticSearch"),
    ),
    "searchIndex": Kind(
        "data.createSearchIndex.CreateSearchIndexRequest",
        "entity.data.searchIndex.SearchIndex",
        (("searchService", "service"),),
        _asset(_nothing_but(fields=[{"name": "f", "dataType": "TEXT"}])),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "mlmodelService": Kind(
        "services.createMlModelService.CreateMlModelServiceRequest",
        "entity.services.mlmodelService.MlModelService",
        body=_service("Mlflow"),
    ),
    "mlmodel": Kind(
        "data.createMlModel.CreateMlModelRequest",
        "entity.data.mlmodel.MlModel",
        (("mlmodelService", "service"),),
        _asset(_ml_model),
        ("service",),
        fields=("tags", "owners", "dashboard"),
        scope="service",
    ),
    # APIs
    "apiService": Kind(
        "services.createApiService.CreateApiServiceRequest",
        "entity.services.apiService.ApiService",
        body=_service("Rest"),
    ),
    "apiCollection": Kind(
        "data.createAPICollection.CreateAPICollectionRequest",
        "entity.data.apiCollection.APICollection",
        (("apiService", "service"),),
        _asset(_nothing_but(endpointURL="https://example.org/c")),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "apiEndpoint": Kind(
        "data.createAPIEndpoint.CreateAPIEndpointRequest",
        "entity.data.apiEndpoint.APIEndpoint",
        (("apiCollection", "apiCollection"),),
        _asset(_nothing_but(endpointURL="https://example.org/c/e")),
        fields=("tags", "owners"),
        scope="apiCollection",
    ),
    # Drives
    "driveService": Kind(
        "services.createDriveService.CreateDriveServiceRequest",
        "entity.services.driveService.DriveService",
        body=_service("GoogleDrive"),
    ),
    "directory": Kind(
        "data.createDirectory.CreateDirectoryRequest",
        "entity.data.directory.Directory",
        (("directory", "parent"), ("driveService", "service")),
        _asset(),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "file": Kind(
        "data.createFile.CreateFileRequest",
        "entity.data.file.File",
        (("directory", "directory"), ("driveService", "service")),
        _asset(_nothing_but(fileType="PDF")),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "spreadsheet": Kind(
        "data.createSpreadsheet.CreateSpreadsheetRequest",
        "entity.data.spreadsheet.Spreadsheet",
        (("driveService", "service"),),
        _asset(),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "worksheet": Kind(
        "data.createWorksheet.CreateWorksheetRequest",
        "entity.data.worksheet.Worksheet",
        (("spreadsheet", "spreadsheet"),),
        _asset(lambda dice: {"columns": columns(dice)}),
        fields=("tags", "owners"),
        scope="spreadsheet",
    ),
    # Storage and pipelines
    "storageService": Kind(
        "services.createStorageService.CreateStorageServiceRequest",
        "entity.services.storageService.StorageService",
        body=_service("S3"),
    ),
    "container": Kind(
        "data.createContainer.CreateContainerRequest",
        "entity.data.container.Container",
        (("storageService", "service"),),
        _asset(),
        ("service",),
        fields=("tags", "owners"),
        scope="service",
    ),
    "pipelineService": Kind(
        "services.createPipelineService.CreatePipelineServiceRequest",
        "entity.services.pipelineService.PipelineService",
        body=_service("Airflow"),
    ),
    "pipeline": Kind(
        "data.createPipeline.CreatePipelineRequest",
        "entity.data.pipeline.Pipeline",
        (("pipelineService", "service"),),
        _asset(_nothing_but(tasks=[{"name": "extract"}, {"name": "load"}])),
        ("service",),
        fields=("tags", "owners", "tasks"),
        scope="service",
    ),
    # Governance
    "classification": Kind(
        "classification.createClassification.CreateClassificationRequest",
        "entity.classification.classification.Classification",
        body=described,
    ),
    "tag": Kind(
        "classification.createTag.CreateTagRequest",
        "entity.classification.tag.Tag",
        (("classification", "classification"),),
        described,
        scope="parent",
    ),
    "glossary": Kind("data.createGlossary.CreateGlossaryRequest", "entity.data.glossary.Glossary", body=described),
    "glossaryTerm": Kind(
        "data.createGlossaryTerm.CreateGlossaryTermRequest",
        "entity.data.glossaryTerm.GlossaryTerm",
        (("glossaryTerm", "parent"), ("glossary", "glossary")),
        lambda dice: {**described(dice), "synonyms": ["word"]},
        ("glossary",),
    ),
    "domain": Kind(
        "domains.createDomain.CreateDomainRequest",
        "entity.domains.domain.Domain",
        body=lambda dice: {**described(dice), "domainType": "Aggregate"},
    ),
    "dataProduct": Kind(
        "domains.createDataProduct.CreateDataProductRequest",
        "entity.domains.dataProduct.DataProduct",
        body=lambda dice: {**described(dice), "domains": [dice.some("domain") or "missing_domain"]},
    ),
    "metric": Kind(
        "data.createMetric.CreateMetricRequest",
        "entity.data.metric.Metric",
        body=_asset(_references("relatedMetrics", "metric", 0.4)),
        fields=("tags", "owners", "relatedMetrics"),
    ),
    "team": Kind(
        "teams.createTeam.CreateTeamRequest",
        "entity.teams.team.Team",
        body=lambda dice: {**described(dice), "teamType": "Group"},
    ),
    "user": Kind(
        "teams.createUser.CreateUserRequest",
        "entity.teams.user.User",
        body=lambda dice: {
            "email": f"u{dice.rng.randrange(1000)}@example.org",
            "displayName": dice.rng.choice(("One", "Two")),
        },
    ),
    # Data quality
    "testDefinition": Kind(
        "tests.createTestDefinition.CreateTestDefinitionRequest",
        "tests.testDefinition.TestDefinition",
        body=lambda dice: {**described(dice), "entityType": "TABLE", "testPlatforms": ["OpenMetadata"]},
    ),
    "testCase": Kind(
        "tests.createTestCase.CreateTestCaseRequest",
        "tests.testCase.TestCase",
        (("table", ""),),
        lambda dice: {**_test_case(dice), **(described(dice) if dice.rng.random() < 0.5 else {})},
    ),
    "dataContract": Kind(
        "data.createDataContract.CreateDataContractRequest",
        "entity.data.dataContract.DataContract",
        body=lambda dice: {
            **described(dice),
            "entity": {"$reference": ["table", dice.some("table") or "missing.d.s.t"]},
        },
    ),
}

#: What a stream is made of: kinds that have to do with each other.
FAMILIES: dict[str, tuple[str, ...]] = {
    "databases": ("database", "databaseSchema", "table", "table", "table", "storedProcedure", "query", "query"),
    "dashboards": ("chart", "chart", "dashboardDataModel", "dashboard", "dashboard"),
    "messaging": ("topic", "topic", "searchIndex", "mlmodel"),
    "apis": ("apiCollection", "apiEndpoint", "apiEndpoint"),
    "drives": ("directory", "directory", "file", "file", "spreadsheet", "worksheet"),
    "storage": ("container", "pipeline", "pipeline"),
    "governance": ("classification", "tag", "tag", "glossaryTerm", "glossaryTerm", "user", "domain", "metric"),
    "people": ("user", "team", "dataProduct", "domain"),
    "quality": ("testDefinition", "testCase", "dataContract", "table"),
}
