"""The user's workflow in its four forms."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from openmetadata_bulksink.shard import commands, filters, names
from openmetadata_bulksink.shard.listing import Listing
from openmetadata_bulksink.shard.packing import Unit
from openmetadata_bulksink.shard.plan import Part, Plan


def workflow(**options: Any) -> dict[str, Any]:
    return {
        "source": {
            "type": "postgres",
            "serviceName": "my.svc",
            "serviceConnection": {
                "config": {
                    "type": "Postgres",
                    "hostPort": "db:5432",
                    "authType": {"password": "s3cret-pw"},
                    "database": "postgres",
                    "ingestAllDatabases": True,
                }
            },
            "sourceConfig": {"config": {"type": "DatabaseMetadata", **options}},
        },
        "sink": {"type": "metadata-rest", "config": {}},
        "workflowConfig": {
            "openMetadataServerConfig": {
                "hostPort": "http://server/api",
                "securityConfig": {"jwtToken": "s3cret-token"},
            }
        },
        "ingestionPipelineFQN": '"my.svc".nightly',
    }


PART = Part((Unit("sales", "a.b", 3), Unit("sales", "c+d", 1)))
PLAN = Plan("run", 0.0, "print", "my.svc", ("sales",), (PART.units,))


def options(made: dict[str, Any]) -> dict[str, Any]:
    return filters.options_of(made)


def matches(filter_pattern: dict[str, list[str]], name: str) -> bool:
    """As upstream decides."""
    included = any(re.match(expression, name, re.IGNORECASE) for expression in filter_pattern["includes"])
    return included and not any(re.match(out, name, re.IGNORECASE) for out in filter_pattern.get("excludes", []))


def test_a_part_has_one_expression_for_databases_and_one_for_schemas() -> None:
    made = options(filters.of_part(workflow(markDeletedSchemas=True, markDeletedTables=True), PLAN, 0, PART))
    assert len(made["databaseFilterPattern"]["includes"]) == len(made["schemaFilterPattern"]["includes"]) == 1
    assert matches(made["databaseFilterPattern"], "sales")
    assert not matches(made["databaseFilterPattern"], "sales2")
    assert matches(made["schemaFilterPattern"], "a.b")
    assert matches(made["schemaFilterPattern"], "c+d")
    assert not matches(made["schemaFilterPattern"], "aXb")
    assert made["markDeletedSchemas"] is made["markDeletedDatabases"] is False
    assert made["markDeletedTables"] is True


def test_full_names_are_quoted_as_upstream_quotes_them() -> None:
    made = options(filters.of_part(workflow(useFqnForFiltering=True), PLAN, 0, PART))
    assert matches(made["databaseFilterPattern"], '"my.svc".sales')
    assert matches(made["schemaFilterPattern"], '"my.svc".sales."a.b"')
    assert not matches(made["schemaFilterPattern"], '"my.svc".hr."a.b"')
    assert made["useFqnForFiltering"] is True


def test_full_names_match_as_the_server_stores_them_too() -> None:
    part = Part((Unit("od>d", 'a"b', 1),))
    made = options(filters.of_part(workflow(useFqnForFiltering=True), PLAN, 0, part))
    for database in ("od>d", "od__reserved__arrow__d"):
        assert matches(made["databaseFilterPattern"], f'"my.svc".{database}')
    for schema in ("a__reserved__quote__b", 'a"b'):
        assert matches(made["schemaFilterPattern"], f'"my.svc".od__reserved__arrow__d.{schema}')
        assert matches(made["schemaFilterPattern"], f'"my.svc".od>d.{schema}')
    ordinary = options(filters.of_part(workflow(useFqnForFiltering=True), PLAN, 0, PART))
    assert ordinary["databaseFilterPattern"]["includes"] == [names.pattern(['"my.svc".sales'])]


def test_the_users_excludes_stay_and_table_filters_are_untouched() -> None:
    users = {"includes": [".*"], "excludes": ["^a\\.b$"]}
    tables = {"excludes": ["^tmp_"]}
    made = options(filters.of_part(workflow(schemaFilterPattern=users, tableFilterPattern=tables), PLAN, 0, PART))
    assert not matches(made["schemaFilterPattern"], "a.b")
    assert matches(made["schemaFilterPattern"], "c+d")
    assert made["tableFilterPattern"] == tables


def test_no_form_changes_the_users_workflow_or_reports_as_it() -> None:
    users = workflow(markDeletedDatabases=True, markDeletedTables=True, includeTables=True)
    before = copy.deepcopy(users)
    opening, part = filters.opening(users), filters.of_part(users, PLAN, 0, PART)
    planning, closing = filters.planning(users), filters.closing(users)
    assert users == before
    assert all("ingestionPipelineFQN" not in made for made in (opening, part, planning))
    assert closing["ingestionPipelineFQN"] == before["ingestionPipelineFQN"]
    assert options(opening)["markDeletedDatabases"] is options(opening)["includeTables"] is False
    assert options(closing)["markDeletedDatabases"] is True
    assert options(closing)["markDeletedTables"] is options(closing)["includeTables"] is False


def test_incremental_parts_have_a_pipeline_each_and_closing_has_none() -> None:
    users = workflow(incremental={"enabled": True})
    other = Part((Unit("hr", "x", 1),))
    later = Part((Unit("sales", "new", 1, since=2),))
    pipelines = {
        filters.of_part(users, PLAN, shard, part)["ingestionPipelineFQN"]
        for shard in (0, 1)
        for part in (PART, other, later)
    }
    assert len(pipelines) == 6
    assert all(name.startswith('"my.svc".nightly_shard_') for name in pipelines)
    assert "ingestionPipelineFQN" not in filters.closing(users)
    assert all("incremental" not in options(made) for made in (filters.closing(users), filters.opening(users)))
    assert filters.pipeline_of('svc."a.b"', 1, PART).endswith('"')


def test_a_pipeline_is_never_given_to_another_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema comes, goes, and another one comes in its place: the pipeline's watermark is newer than that one."""
    users = workflow(incremental={"enabled": True})
    monkeypatch.setattr(commands.workflow, "import_upstream", lambda: None)
    found = iter([["a", "b"], ["a", "b", "came"], ["a", "b"], ["a", "b", "later"], ["a", "b", "instead"]])

    def listed(*_: Any) -> Listing:
        units = tuple(Unit("sales", schema, 1) for schema in next(found))
        return Listing("my.svc", ("sales",), units, False, ())

    monkeypatch.setattr(commands.children, "run", listed)
    clock = iter([1.0, 2.0, 3.0, 4.0, 4.001])
    monkeypatch.setattr(commands.time, "time", lambda: next(clock))
    given, plan = commands.Given(users, "print"), None
    plans = [plan := commands.make_plan(given, 2, plan, 0.0) for _ in range(4)]
    plans.append(commands.make_plan(given, 2, plans[2], 0.0))  # from the plan before once more
    pipelines = {
        (unit.schema, filters.pipeline_of("svc.p", shard, part))
        for plan in plans
        for shard in (0, 1)
        for part in plan.parts(shard)
        for unit in part.units
    }
    assert len(pipelines) == len({schema for schema, _ in pipelines}) == 5
    assert len({pipeline for _, pipeline in pipelines}) == 5
