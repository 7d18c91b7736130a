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


#: What a driver's options may say of where it leads: `here` may be another place, and `s3cret` is nobody's business.
FREE = (
    {"dsn": "host=here port=5432 password=s3cret pw=s3cret"},
    {"dsn": "here.world", "pin": "s3cret"},
    {"dsn": "host = here password = 's3cret host=s3cret'"},
    {"odbc_connect": "DRIVER={ODBC Driver 18};Server=here;UID=sa;PWD=s3cret;P W={;SERVER=s3cret;}"},
    {"odbc_connect": "DRIVER%3D%7BX%7D%3BSERVER%3Dhere%3BUID%3Dsa%3BPWD%3Ds3cret"},
    {"odbc_connect": "Data Source=here;Initial Catalog=db;Secure=s3cret;PWD=a host=s3cret"},
    {"odbc_connect": "Data Source=db;Initial Catalog=here;Pin=s3cret=host=s3cret"},
    {"dsn": "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=here)(PORT=1521))(SECURITY=(MY_WALLET=s3cret)))"},
    {"endpoint": "https://user:s3cret@here:443/path"},
    {"anything": "postgresql://user:s3cret@here:5432/db?pin=s3cret"},
    {"anything": "postgresql://user:s3cret@db:5432/db?pin=s3cret&host=here"},
    {"url": "jdbc:sqlserver://here:1433;databaseName=db;password=s3cret"},
    {"url": "jdbc:sqlserver://db:1433;databaseName=here;password=s3cret@s3cret"},
    {"anything": "host=here;token=s3cret", "auth": "host=s3cret"},
    {"host": "user:s3cret@here"},
    {"Server Hostname": "here", "access": "s3cret"},
)
#: Upstream takes these as arguments alone.
DEEP = (
    {"hosts": ["here", "there"], "pass": ["s3cret"]},
    {"connect_args": {"host": "here", "pin": "s3cret", "more": [{"server": "here"}, "s3cret"]}},
)


@pytest.mark.parametrize(
    ("field", "free"),
    [
        *(("connectionArguments", free) for free in (*FREE, *DEEP)),
        *(("connectionOptions", free) for free in FREE),
    ],
    ids=str,
)
def test_what_a_driver_is_given_counts_as_far_as_it_says_where_it_leads(
    tmp_path: Path, field: str, free: dict[str, Any]
) -> None:
    def given(one: dict[str, Any]) -> str:
        return fingerprint(tmp_path, workflow({**MYSQL, field: one}))

    assert "s3cret" in json.dumps(free)
    assert given(changed(free, "here", "elsewhere")) != given(free)
    assert given(changed(free, "s3cret", "renewed")) == given(free)


@pytest.mark.parametrize(
    "address",
    ["user:s3?cret@db:5432", "user:s3;cret=s3@db:5432", "mysql://user:s3?cret@db", "mysql://db?pin=s3@s3cret"],
)
def test_where_nobody_knows_which_part_of_an_address_is_secret_none_is_hashed(tmp_path: Path, address: str) -> None:
    made, renewed = ({**MYSQL, "hostPort": one} for one in (address, address.replace("s3", "renewed")))
    assert fingerprint(tmp_path, workflow(made)) == fingerprint(tmp_path, workflow(renewed))


def test_a_host_in_the_query_of_an_address_counts(tmp_path: Path) -> None:
    made, other = ({**MYSQL, "hostPort": f"db:3306?host={host}&x=1"} for host in ("one", "other"))
    assert fingerprint(tmp_path, workflow(made)) != fingerprint(tmp_path, workflow(other))


def test_the_pipeline_counts_where_its_successes_are_a_watermark(tmp_path: Path) -> None:
    def named(pipeline: str, *, incremental: bool) -> str:
        made = workflow(POSTGRES, incremental={"enabled": incremental})
        return fingerprint(tmp_path, {**made, "ingestionPipelineFQN": pipeline})

    assert named("svc.a", incremental=True) != named("svc.b", incremental=True)
    assert named("svc.a", incremental=False) == named("svc.b", incremental=False)


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
