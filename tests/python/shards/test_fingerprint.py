"""What must not change between plan, shards and close, and what may: secrets, which are in no hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink import cli
from openmetadata_bulksink.shard import commands

pytestmark = [pytest.mark.upstream]


def workflow(connection: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {
        "source": {
            "type": connection["type"].lower(),
            "serviceName": "svc",
            "serviceConnection": {"config": connection},
            "sourceConfig": {"config": {"type": "DatabaseMetadata", **options}},
        },
        "sink": {"type": "metadata-rest", "config": {}},
        "workflowConfig": {
            "openMetadataServerConfig": {
                "hostPort": "http://server/api",
                "authProvider": "openmetadata",
                "securityConfig": {"jwtToken": "s3cret-token"},
            }
        },
    }


POSTGRES = {
    "type": "Postgres",
    "username": "reader",
    "hostPort": "user:s3cret-login@db:5432",
    "authType": {"password": "s3cret-pw"},
    "sslConfig": {"caCertificate": "s3cret-ca", "sslKey": "s3cret-key"},
    "database": "postgres",
    "connectionArguments": {"sslpassword": "s3cret-argument", "pin": "s3cret-pin"},
}
BIGQUERY = {
    "type": "BigQuery",
    "credentials": {
        "gcpConfig": {
            "type": "service_account",
            "projectId": "prod",
            "privateKeyId": "s3cret-id",
            "privateKey": "-----BEGIN PRIVATE KEY-----\ns3cret-private\n-----END PRIVATE KEY-----\n",
            "clientEmail": "a@b.c",
            "clientX509CertUrl": "https://a.b/c",
        }
    },
}
ORACLE = {
    "type": "Oracle",
    "username": "reader",
    "password": "s3cret-oracle",
    "hostPort": "db:1521",
    "oracleConnectionType": {"oracleServiceName": "prod"},
}
ATHENA = {
    "type": "Athena",
    "awsConfig": {
        "awsRegion": "us-east-1",
        "awsAccessKeyId": "s3cret-access",
        "awsSecretAccessKey": "s3cret-secret",
        "awsSessionToken": "s3cret-session",
    },
    "s3StagingDir": "s3://bucket/staging",
    "workgroup": "prod",
}
MYSQL = {
    "type": "Mysql",
    "username": "reader",
    "hostPort": "db:3306",
    "connectionOptions": {"unix_socket": "/run/prod.sock", "passphrase": "s3cret-option", "Database": "prod"},
}
SNOWFLAKE = {"type": "Snowflake", "username": "reader", "account": "prod", "warehouse": "prod", "role": "prod_reader"}
HANA = {
    "type": "SapHana",
    "connection": {"username": "reader", "password": "s3cret-hana", "hostPort": "prod:39041", "database": "db"},
}
MSSQL = {
    "type": "Mssql",
    "scheme": "mssql+pyodbc",
    "username": "reader",
    "hostPort": "SERVER=prod;UID=sa;PWD=s3cret-option",
    "database": "prod",
}

CONNECTIONS = (POSTGRES, BIGQUERY, ORACLE, ATHENA, MYSQL, SNOWFLAKE, HANA, MSSQL)


def fingerprint(folder: Path, content: dict[str, Any]) -> str:
    file = folder / "workflow.json"
    file.write_text(json.dumps(content))
    return commands.load_workflow(file).fingerprint


def changed(connection: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    text = json.dumps(connection)
    assert old in text
    made: dict[str, Any] = json.loads(text.replace(old, new))
    return made


@pytest.mark.parametrize(
    ("connection", "old", "new"),
    [
        (POSTGRES, '"database": "postgres"', '"database": "other"'),
        (POSTGRES, "db:5432", "db:5433"),
        (POSTGRES, "reader", "nobody"),
        (POSTGRES, '"database": "postgres"', '"database": "postgres", "ingestAllDatabases": true'),
        (POSTGRES, '"pin"', '"host": "elsewhere", "pin"'),
        (BIGQUERY, '"projectId": "prod"', '"projectId": "dev"'),
        (BIGQUERY, '"projectId": "prod"', '"projectId": ["prod", "dev"]'),
        (ORACLE, "prod", "dev"),
        (ORACLE, "oracleServiceName", "databaseSchema"),
        (ATHENA, "us-east-1", "eu-west-1"),
        (ATHENA, '"workgroup": "prod"', '"workgroup": "dev"'),
        (MYSQL, "/run/prod.sock", "/run/dev.sock"),
        (MYSQL, '"Database": "prod"', '"Database": "dev"'),
        (SNOWFLAKE, "prod_reader", "dev_reader"),
        (HANA, "prod:39041", "dev:39041"),
        (MSSQL, "SERVER=prod", "SERVER=dev"),
    ],
)
def test_another_place_in_the_source_is_another_fingerprint(
    tmp_path: Path, connection: dict[str, Any], old: str, new: str
) -> None:
    before = fingerprint(tmp_path, workflow(connection))
    assert fingerprint(tmp_path, workflow(changed(connection, old, new))) != before


@pytest.mark.parametrize("connection", CONNECTIONS, ids=lambda one: one["type"])
def test_a_secret_is_in_no_fingerprint(tmp_path: Path, connection: dict[str, Any]) -> None:
    content = workflow(connection)
    text = json.dumps(content)
    secrets = {part.split('"')[0].split("@")[0].split("\\")[0] for part in text.split("s3cret-")[1:]}
    for secret in secrets:
        renewed = json.loads(text.replace(f"s3cret-{secret}", "renewed"))
        assert fingerprint(tmp_path, renewed) == fingerprint(tmp_path, content), secret
    assert len(secrets) == {"Postgres": 7, "BigQuery": 3, "Athena": 4, "Snowflake": 1}.get(connection["type"], 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made["source"]["sourceConfig"]["config"].update(markDeletedTables=False),
        lambda made: made["source"]["sourceConfig"]["config"].update(schemaFilterPattern={"includes": ["^a"]}),
        lambda made: made["source"].update(serviceName="other"),
        lambda made: made["workflowConfig"]["openMetadataServerConfig"].update(hostPort="http://other/api"),
    ],
    ids=["option", "filter", "service", "server"],
)
def test_a_changed_workflow_has_another_fingerprint(tmp_path: Path, change: Any) -> None:
    made = workflow(POSTGRES)
    before = fingerprint(tmp_path, made)
    change(made)
    assert fingerprint(tmp_path, made) != before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"username"', '"usernam"', "source.serviceConnection.config.usernam: Extra inputs are not permitted"),
        ('"reader"', "7", "source.serviceConnection.config.username: Input should be a valid string"),
        ('"markDeletedTables"', '"markDeletedTable"', "source.sourceConfig.config.markDeletedTable: Extra inputs"),
        ('"jwtToken"', '"jwtTokn"', "workflowConfig.openMetadataServerConfig.securityConfig"),
        ('"sink"', '"sinks"', "sinks: Extra inputs are not permitted"),
    ],
)
def test_a_key_that_upstream_refuses_is_named_without_any_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(changed(workflow(POSTGRES, markDeletedTables=True), old, new)))
    assert cli.main(["shard", "plan", "-c", str(file), "-n", "2"]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"openmetadata-bulksink: {file} is refused by upstream: ")
    assert said in text
    assert "s3cret" not in text
    assert text.count("\n") == 1
