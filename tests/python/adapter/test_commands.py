"""The command: doctor, replay, bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink import cli
from openmetadata_bulksink.replay import Letter, in_order, read
from openmetadata_bulksink.workflow_file import Unreadable
from tests.python.adapter.recording_server import RecordingServer


def letter(collection: str, fqn: str, **body: Any) -> Letter:
    name = fqn.rpartition(".")[2]
    return Letter("create", collection, fqn, {"name": name, **body})


def table(fqn: str, *keys: str) -> Letter:
    schema, _, _ = fqn.rpartition(".")
    return letter(
        "tables", fqn, databaseSchema=schema, tableConstraints=[{"referredColumns": [f"{key}.c"]} for key in keys]
    )


def test_letters_are_sent_parents_first() -> None:
    letters = [
        Letter("life_cycle", "tables", "s.d.p.t", {"created": {"timestamp": 1}}),
        table("s.d.p.t", "s.d.p.u"),
        table("s.d.p.u"),
        letter("databases", "s.d", service="s"),
        letter("databaseSchemas", "s.d.p", database="s.d"),
    ]
    assert [(one.kind, one.fqn) for one in in_order(letters)] == [
        ("create", "s.d"),
        ("create", "s.d.p"),
        ("create", "s.d.p.u"),
        ("create", "s.d.p.t"),
        ("life_cycle", "s.d.p.t"),
    ]


def test_two_letters_of_one_entity_keep_their_order_and_circles_end() -> None:
    older, newer = table("s.d.p.t", "s.d.p.u"), table("s.d.p.t")
    assert in_order([older, newer]) == [older, newer]
    one, other = table("s.d.p.a", "s.d.p.b"), table("s.d.p.b", "s.d.p.a")
    assert sorted(in_order([one, other])) == sorted([one, other])


@pytest.mark.parametrize("line", ["{half", "[]", '{"kind": "create"}', '{"kind":"create","collection":"t","fqn":"x"}'])
def test_a_line_that_is_no_letter_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lost.jsonl"
    good = {"kind": "create", "collection": "databases", "fqn": "s.d", "body": {"name": "d"}}
    path.write_text(json.dumps(good) + "\n\n" + line + "\n")
    with pytest.raises(Unreadable, match="line 3"):
        list(read(path))


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(tmp_path / "nothing.yaml")
    assert cli.main(["replay", str(tmp_path / "nothing.jsonl"), "-c", config]) == cli.UNUSABLE
    assert cli.main(["bench", "-c", config]) == cli.UNUSABLE
    assert cli.main(["bench", "-c", config, "--workers", "many", "--yes"]) == cli.UNUSABLE
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("openmetadata-bulksink: ") for line in lines)


# --- with upstream and a server ---


@pytest.fixture
def workflow(server: RecordingServer, tmp_path: Path) -> Path:
    path = tmp_path / "workflow.yaml"
    path.write_text(
        json.dumps(
            {
                "source": {"type": "sqlite"},
                "sink": {"type": "metadata-rest", "config": {"bulk_sink_batch_size": 50}},
                "workflowConfig": {
                    "openMetadataServerConfig": {
                        "hostPort": server.url,
                        "authProvider": "openmetadata",
                        "securityConfig": {"jwtToken": "the-token"},
                    }
                },
            }
        )
    )
    return path


@pytest.fixture
def in_place(double: Any, upstream_class: type, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001
    """Our class in upstream's module, for one test."""
    from metadata.ingestion.sink import metadata_rest

    import openmetadata_bulksink

    monkeypatch.setattr(metadata_rest, "MetadataRestSink", upstream_class)
    assert openmetadata_bulksink.install() is True
    return metadata_rest


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
def test_doctor_finds_all_well(server: RecordingServer, workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["GET", "/users/loggedInUser"] = 200, {"name": "ingestion-bot"}
    assert cli.main(["doctor", "-c", str(workflow)]) == cli.FINE, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "NO " not in said
    assert "server of version 2.0.7" in said
    assert "4 workers (default), 50 records a request" in said
    assert "the token belongs to ingestion-bot" in said
    assert "it has bulk endpoints" in said
    assert "accelerators that know this upstream: version, foreign_keys" in said
    assert "the-token" not in said
    assert server.entities == {}


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
def test_doctor_says_what_is_wrong(
    server: RecordingServer, workflow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.version = "1.10.2"
    server.answers["PUT", "/databases/bulk"] = 404, {"code": 404, "message": "HTTP 404 Not Found"}
    server.answers["GET", "/users/loggedInUser"] = 401, {"code": 401, "message": "Expired token!"}
    assert cli.main(["doctor", "-c", str(workflow)]) == cli.WRONG
    said = capsys.readouterr().out
    assert "bulk requests came with 1.11" in said
    assert "no bulk endpoint (404)" in said
    assert "Expired token! ; renew" in said or "Expired token!; renew" in said
    monkeypatch.setenv("OM_BULKSINK_WORKERS", "none")
    assert cli.main(["doctor"]) == cli.WRONG
    assert "OM_BULKSINK_WORKERS must be" in capsys.readouterr().out


@pytest.mark.upstream
@pytest.mark.usefixtures("double")
def test_doctor_without_the_hook(
    upstream_class: type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from metadata.ingestion.sink import metadata_rest

    monkeypatch.setattr(metadata_rest, "MetadataRestSink", upstream_class)
    assert cli.main(["doctor"]) == cli.WRONG
    assert "openmetadata_bulksink ingest" in capsys.readouterr().out


@pytest.mark.upstream
@pytest.mark.usefixtures("double")
def test_replay_writes_what_can_be_written(
    server: RecordingServer, workflow: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    letters = tmp_path / "lost.jsonl"
    lines = [table("s.d.p.t"), table("s.d.p.bad"), letter("databaseSchemas", "s.d.p", database="s.d")]
    letters.write_text(
        "".join(json.dumps({**one._asdict(), "reason": "503", "attempts": 3, "time": 1}) + "\n" for one in lines)
    )
    server.refuse = {"s.d.p.bad": "broken"}
    assert cli.main(["replay", str(letters), "-c", str(workflow)]) == cli.WRONG
    said = capsys.readouterr().out
    assert "2 of 3 records were written." in said
    assert "still refused: tables s.d.p.bad: broken" in said
    assert [row["name"] for row in server.rows("databaseSchemas")] == ["p"]
    assert server.requests[1].bare == "/databaseSchemas/bulk" or server.requests[0].bare == "/databaseSchemas/bulk"
    server.refuse = {}
    assert cli.main(["replay", str(letters), "-c", str(workflow)]) == cli.FINE


@pytest.mark.upstream
@pytest.mark.usefixtures("double")
def test_bench_cleans_up(server: RecordingServer, workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "-c", str(workflow), "--tables", "30", "--workers", "1,2", "--yes"]
    assert cli.main(arguments) == cli.FINE
    said = capsys.readouterr().out
    assert said.count("tables/s") == 2
    assert "0 refused" in said
    assert len(server.rows("tables")) == 60
    assert server.requests[-1].method == "DELETE"
    assert "hardDelete=true" in server.requests[-1].path


@pytest.mark.upstream
def test_a_workflow_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "workflow.yaml"
    for text in ("source: {}", "{", "workflowConfig: {openMetadataServerConfig: {hostPort: 5, nonsense: 1}}"):
        path.write_text(text)
        letters = tmp_path / "lost.jsonl"
        letters.write_text('{"kind":"create","collection":"databases","fqn":"s.d","body":{"name":"d","service":"s"}}\n')
        assert cli.main(["replay", str(letters), "-c", str(path)]) == cli.UNUSABLE
    assert capsys.readouterr().err.count("openmetadata-bulksink: ") == 3
