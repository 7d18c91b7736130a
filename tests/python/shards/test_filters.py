"""The user's workflow in its four forms, and what must not change between them."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from openmetadata_bulksink.shard import filters
from openmetadata_bulksink.shard.fingerprint import fingerprint
from openmetadata_bulksink.shard.packing import Unit
from openmetadata_bulksink.shard.plan import Part, Plan

SECRETS = ("s3cret-pw", "s3cret-key", "s3cret-token", "s3cret-url")


def workflow(**options: Any) -> dict[str, Any]:
    return {
        "source": {
            "type": "postgres",
            "serviceName": "my.svc",
            "serviceConnection": {
                "config": {
                    "type": "Postgres",
                    "hostPort": "user:s3cret-url@db:5432",
                    "authType": {"password": "s3cret-pw"},
                    "sslKey": "s3cret-key",
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


@pytest.mark.parametrize("change", ["option", "filter", "service", "server", "database"])
def test_a_changed_workflow_has_another_fingerprint(change: str) -> None:
    changed = workflow()
    if change == "option":
        options(changed)["markDeletedTables"] = False
    elif change == "filter":
        options(changed)["schemaFilterPattern"] = {"includes": ["^a"]}
    elif change == "service":
        changed["source"]["serviceName"] = "other"
    elif change == "server":
        changed["workflowConfig"]["openMetadataServerConfig"]["hostPort"] = "http://other/api"
    else:
        changed["source"]["serviceConnection"]["config"]["database"] = "other"
    assert fingerprint(changed) != fingerprint(workflow())


def test_secrets_are_not_in_the_fingerprint() -> None:
    text = json.dumps(workflow())
    for secret in SECRETS:
        assert secret in text
        assert fingerprint(json.loads(text.replace(secret, "renewed"))) == fingerprint(workflow()), secret
