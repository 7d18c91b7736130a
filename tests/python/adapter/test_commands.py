"""The command: doctor, replay, bench."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from openmetadata_bulksink import cli
from openmetadata_bulksink.doctor import Verdict
from openmetadata_bulksink.replay import Letter, in_order, read
from openmetadata_bulksink.workflow_file import Unreadable
from tests.python.adapter import engine_double
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


def test_two_letters_of_one_entity_keep_their_order() -> None:
    older, newer = table("s.d.p.t", "s.d.p.u"), table("s.d.p.t")
    assert in_order([older, newer]) == [older, newer]


def test_a_circle_and_what_hangs_on_it_goes_by_parents() -> None:
    one, other = table("s.d.p.a", "s.d.p.b"), table("s.d.p.b", "s.d.p.a")
    behind, apart = table("s.d.p.c", "s.d.p.a"), table("s.d.p.x", "s.d.p.y")
    schema, referred = letter("databaseSchemas", "s.d.p", database="s.d"), table("s.d.p.y")
    ordered = in_order([behind, one, other, apart, referred, schema])
    assert ordered[0] == schema
    assert ordered.index(referred) < ordered.index(apart)
    assert sorted(ordered) == sorted([behind, one, other, apart, referred, schema])


def test_a_chain_of_any_depth_is_sorted() -> None:
    chain = [table(f"s.d.p.t{at:05d}", f"s.d.p.t{at + 1:05d}") for at in range(20_000)]
    assert in_order(chain) == chain[::-1]


@pytest.mark.parametrize(
    "line",
    [
        "{half",
        "[]",
        "7",
        '{"kind": "create"}',
        '{"kind":"create","collection":"t","fqn":"x"}',
        '{"kind":"create","collection":7,"fqn":"s.d","body":{"name":"d"}}',
        '{"kind":"create","collection":"tables","fqn":"s.d.p.t","body":{"no name":1}}',
        '{"kind":"delete","collection":"tables","fqn":"s.d.p.t","body":{"name":"t"}}',
    ],
)
def test_a_line_that_is_no_letter_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lost.jsonl"
    good = {"kind": "create", "collection": "databases", "fqn": "s.d", "body": {"name": "d"}}
    path.write_text(json.dumps(good) + "\n\n" + line + "\n")
    with pytest.raises(Unreadable, match="line 3"):
        list(read(path))


def test_letters_may_begin_with_a_byte_order_mark_and_must_be_text(tmp_path: Path) -> None:
    path = tmp_path / "lost.jsonl"
    good = {"kind": "create", "collection": "databases", "fqn": "s.d", "body": {"name": "d", "service": "s"}}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(good).encode())
    assert [one.fqn for one in read(path)] == ["s.d"]
    path.write_bytes(b"\x80\xff\x00")
    with pytest.raises(Unreadable, match="UTF-8"):
        list(read(path))


def test_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == cli.FINE
    assert "openmetadata-bulksink " in capsys.readouterr().out


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(tmp_path / "nothing.yaml")
    assert cli.main(["replay", str(tmp_path / "nothing.jsonl"), "-c", config]) == cli.UNUSABLE
    assert cli.main(["bench", "-c", config]) == cli.UNUSABLE
    assert cli.main(["bench", "-c", config, "--workers", "many", "--yes"]) == cli.UNUSABLE
    assert cli.main(["bench", "-c", config, "--workers", "65", "--yes"]) == cli.UNUSABLE
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
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
    assert "postgres_bulk: tables of a PostgreSQL are read in chunks" in said
    assert "read_ahead: what coming tables of MySQL, MariaDB will be asked is asked ahead; threads: N" in said
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
    assert said.splitlines()[-1] == Verdict.UPSTREAM.value
    monkeypatch.setenv("OM_BULKSINK_WORKERS", "none")
    assert cli.main(["doctor"]) == cli.WRONG
    said = capsys.readouterr().out
    assert "OM_BULKSINK_WORKERS must be" in said
    assert said.splitlines()[-1] == Verdict.STOPS.value


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
def test_the_last_line_of_doctor_is_true(
    server: RecordingServer, workflow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is the exit status; `--json` says the same."""

    def verdict(*arguments: str) -> tuple[Verdict, int]:
        status = cli.main(["doctor", *arguments])
        last = capsys.readouterr().out.splitlines()[-1]
        assert cli.main(["doctor", *arguments, "--json"]) == status
        found = json.loads(capsys.readouterr().out)
        assert (found["summary"], found["status"]) == (last, status)
        assert {line["kind"] for line in found["findings"]} <= {"ok", "note", "no"}
        return Verdict(last), status

    server.answers["GET", "/users/loggedInUser"] = 200, {"name": "ingestion-bot"}
    assert verdict() == (Verdict.NOT_ASKED, cli.FINE)
    assert verdict("-c", str(workflow)) == (Verdict.USED, cli.FINE)
    server.answers["GET", "/users/loggedInUser"] = 401, {"code": 401, "message": "Expired token!"}
    assert verdict("-c", str(workflow)) == (Verdict.REFUSED, cli.WRONG)
    server.answers.clear()
    with monkeypatch.context() as patched:

        def refused(*_: object) -> str:
            raise engine_double.ConfigurationError("token: has a space in it")

        patched.setattr(engine_double.BulkSink, "server_version", refused)
        assert verdict("-c", str(workflow)) == (Verdict.UPSTREAM, cli.WRONG)
    monkeypatch.setenv("OM_BULKSINK", "0")
    assert verdict("-c", str(workflow)) == (Verdict.UPSTREAM, cli.WRONG)
    monkeypatch.delenv("OM_BULKSINK")
    monkeypatch.setenv("OM_BULKSINK_PORT", "tcp://10.0.0.1:80")
    assert verdict() == (Verdict.NOT_ASKED, cli.FINE)
    written = json.loads(workflow.read_text())
    for sink in ({"type": "file", "config": {"filename": "somewhere"}}, None):
        workflow.write_text(json.dumps({**written, "sink": sink}))
        assert verdict("-c", str(workflow)) == (Verdict.OTHER_SINK, cli.WRONG)
    for source in (None, {}, "sqlite", {"serviceName": "no type"}):
        workflow.write_text(json.dumps({**written, "source": source}))
        assert verdict("-c", str(workflow)) == (Verdict.STOPS, cli.WRONG)
    written["workflowConfig"]["openMetadataServerConfig"]["hostPort"] = "http://127.0.0.1:1/api"
    workflow.write_text(json.dumps(written))
    assert verdict("-c", str(workflow)) == (Verdict.AWAY, cli.UNUSABLE)


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
@pytest.mark.usefixtures("double")
def test_bench_counts_what_was_written_and_names_what_it_leaves(
    server: RecordingServer, workflow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import uuid

    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=1 << 96))
    schema = "bulksink_bench_00000001.w1.public"
    server.refuse = {f"{schema}.t{at:06d}": "no" for at in range(30)}
    server.answers["DELETE", "/services"] = 403, {"code": 403, "message": "not yours"}
    arguments = ["bench", "-c", str(workflow), "--tables", "30", "--workers", "1", "--yes"]
    assert cli.main(arguments) == cli.WRONG
    said = capsys.readouterr().out
    assert " 0.0 tables/s" in said
    assert "30 refused" in said
    assert "The service bulksink_bench_00000001 could not be deleted; delete it by hand (" in said


@pytest.mark.upstream
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("answer", "said", "named"),
    [
        ("nobody", "the server cannot be reached: ", False),
        (403, "the server does not let us create a service: ", False),
        (500, "the server has made no service: ", True),
    ],
)
def test_bench_names_no_service_that_was_not_made(
    server: RecordingServer,
    workflow: Path,
    capsys: pytest.CaptureFixture[str],
    answer: Any,
    said: str,
    named: bool,
) -> None:
    """One is named where it is not known whether it was made."""
    if answer == "nobody":
        written = workflow.read_text().replace(server.url, "http://127.0.0.1:1/api")
        workflow.write_text(written)
    else:
        server.answers["PUT", "/services"] = answer, {"code": answer, "message": "no"}
        server.answers["DELETE", "/services"] = answer, {"code": answer, "message": "no"}
    assert cli.main(["bench", "-c", str(workflow), "--tables", "3", "--workers", "1", "--yes"]) == cli.UNUSABLE
    printed = capsys.readouterr()
    assert said in printed.err
    assert ("It is not known whether the service bulksink_bench_" in printed.out) is named
    assert named or "bulksink_bench_" not in printed.out + printed.err


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("proxy", ["http://user:pa#ss/geheim@127.0.0.1:1", "http://user:pa/geheim@127.0.0.1:1"])
def test_a_proxy_that_is_no_address_is_a_finding(
    server: RecordingServer,
    workflow: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    proxy: str,
) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    letters = tmp_path / "lost.jsonl"
    letters.write_text('{"kind":"create","collection":"databases","fqn":"s.d","body":{"name":"d","service":"s"}}\n')
    assert cli.main(["doctor", "-c", str(workflow)]) == cli.WRONG
    assert cli.main(["bench", "-c", str(workflow), "--yes"]) == cli.UNUSABLE
    assert cli.main(["replay", str(letters), "-c", str(workflow)]) == cli.UNUSABLE
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == Verdict.UPSTREAM.value
    for text in (printed.out, *printed.err.splitlines()):
        assert "the proxy in HTTP_PROXY is no address; write it as http://user:password@host:port" in text
        assert proxy not in text
        assert "geheim" not in text
    assert server.requests == []


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(
    ("sink_type", "said"),
    [("file", "the workflow's sink is 'file'"), ("eyJhbGciOi.Top+Secret", "the workflow's sink is another")],
)
def test_a_type_of_sink_is_shown_if_it_is_a_plain_word(
    workflow: Path, capsys: pytest.CaptureFixture[str], sink_type: str, said: str
) -> None:
    workflow.write_text(json.dumps({**json.loads(workflow.read_text()), "sink": {"type": sink_type}}))
    assert cli.main(["doctor", "-c", str(workflow)]) == cli.WRONG
    printed = capsys.readouterr().out
    assert f"{said}; ours takes the place of metadata-rest" in printed
    assert "Top+Secret" not in printed


@pytest.mark.upstream
@pytest.mark.usefixtures("double")
def test_settings_that_the_native_client_refuses_are_one_line(
    server: RecordingServer,
    workflow: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise engine_double.ConfigurationError("base_url: must not hold a user name")

    monkeypatch.setattr(engine_double.BulkSink, "__init__", refused)
    letters = tmp_path / "lost.jsonl"
    letters.write_text('{"kind":"create","collection":"databases","fqn":"s.d","body":{"name":"d","service":"s"}}\n')
    for command in (["replay", str(letters)], ["bench", "--yes"]):
        assert cli.main([*command, "-c", str(workflow)]) == cli.UNUSABLE
        said = capsys.readouterr().err
        assert (
            said
            == "openmetadata-bulksink: the native client refuses these settings: base_url: must not hold a user name\n"
        )
    assert server.requests == []


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
def test_a_key_that_is_no_name_is_not_shown(workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = {"type": "metadata-rest", "config": {TOKEN: 1, "bulk_sink_batch_sise": 5}}
    workflow.write_text(json.dumps({**json.loads(workflow.read_text()), "sink": sink}))
    assert cli.main(["doctor", "-c", str(workflow)]) == cli.UNUSABLE
    said = capsys.readouterr().err
    assert "(a key): " in said
    assert "bulk_sink_batch_sise: " in said
    assert "Top+Secret" not in said


@pytest.mark.upstream
@pytest.mark.parametrize(
    ("suffix", "text", "said"),
    [
        (".yaml", "source:\n  type: [\n", "it is no YAML at line 3, column 1"),
        (".yaml", "a: b\n  token: top\n", "it is no YAML at line 2, column 8"),
        (".yaml", "a: \x01", "its character 4 must not stand in YAML"),
        (".json", '{\n "a": top}', "it is no JSON at line 2, column 7"),
    ],
)
def test_a_broken_file_is_named_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, text: str, said: str
) -> None:
    path = tmp_path / f"workflow{suffix}"
    path.write_text(text)
    assert cli.main(["bench", "--yes", "-c", str(path)]) == cli.UNUSABLE
    assert capsys.readouterr().err == f"openmetadata-bulksink: {path} cannot be read: {said}\n"


_CONTENTS = {
    "missing": None,
    "empty": b"",
    "list": b"- one\n- two\n",
    "text": b"just words",
    "binary": b"\x00\xff\xfe\x80",
    "control characters": b"source: \x01\x02",
    "half": b"workflowConfig: {openMetadataServerConfig: {securityConfig: {jwtToken: top.secret-token",
    "wrong kinds": b"workflowConfig: [1]\nsink: 7\n",
    "sink is a text": b"sink: rest\nworkflowConfig: {openMetadataServerConfig: {hostPort: 'http://h/api'}}",
    "byte order mark": b"\xef\xbb\xbfworkflowConfig: {}",
}


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize("suffix", [".yaml", ".json", ".txt"])
@pytest.mark.parametrize("content", _CONTENTS.values(), ids=_CONTENTS.keys())
def test_a_file_that_is_no_workflow_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes | None, suffix: str
) -> None:
    path = tmp_path / f"workflow{suffix}"
    if content is not None:
        path.write_bytes(content)
    letters = tmp_path / "lost.jsonl"
    letters.write_text('{"kind":"create","collection":"databases","fqn":"s.d","body":{"name":"d","service":"s"}}\n')
    for command in (["doctor"], ["bench", "--yes"], ["replay", str(letters)]):
        assert cli.main([*command, "-c", str(path)]) == cli.UNUSABLE
        printed = capfd.readouterr()
        assert printed.err.count("\n") == 1
        assert str(path) in printed.err
        assert "secret-token" not in printed.err + printed.out


TOKEN = "eyJhbGciOi.Top+Secret/token&value=.abcdefgh"
PASSWORD = "p@ss w%rd"


@pytest.mark.upstream
@pytest.mark.usefixtures("in_place")
@pytest.mark.parametrize(
    "server_config",
    [
        {"securityConfig": {"jwtToken": TOKEN}},
        {"securityConfig": {"jwtTokn": TOKEN}},
        {"securityConfig": {"jwtToken": {"value": TOKEN}}},
        {"securityConfig": {f"jwtToken:{TOKEN}": None}},
        {"securityConfig": {TOKEN: TOKEN}},
        {"securityConfig": [TOKEN]},
        {"securityConfig": TOKEN},
        {"securityConfg": {"jwtTokn": TOKEN}},
        {"jwtToken": TOKEN},
        {"securityConfig": {"clientId": "me", "secretKy": TOKEN, "domain": "d"}, "authProvider": "auth0"},
        {"securityConfig": {"jwtToken": TOKEN}, "extraHeaders": {"X-Pass": PASSWORD}, "authProvider": "nobody"},
        {"securityConfig": {"jwtToken": TOKEN}, "verifySSL": TOKEN},
        {"securityConfig": {"jwtToken": TOKEN}, "hostPort": f"http://user:{quote(PASSWORD)}@127.0.0.1:1/api"},
        {"securityConfig": {"jwtToken": "ey.a.b"}, "hostPort": f"http://127.0.0.1:1/api?key={quote(TOKEN, safe='')}"},
        {"securityConfig": {"jwtToken": "ey.a.b"}, "hostPort": TOKEN},
        {"securityConfig": {"jwtToken": "ey.a.b"}, "hostPort": f"http://[{TOKEN}/api"},
        {"securityConfig": {"jwtToken": "ey.a.b"}, "hostPort": f"http://user:{TOKEN}@127.0.0.1:1/api"},
        {"securityConfig": {"jwtToken": f"{TOKEN} with a space"}},
    ],
    ids=str,
)
def test_no_command_shows_a_secret(
    server: RecordingServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    server_config: dict[str, Any],
) -> None:
    """In any form in which an answer or an error could hold it."""
    forms = [form(secret) for secret in (TOKEN, PASSWORD) for form in (str, quote, quote_plus, _base64)]
    basic = [_base64(f"user:{secret}") for secret in (TOKEN, PASSWORD)]  # as in a proxy's header
    echo = " ".join([*forms, *basic])
    server.answers["GET", "/users/loggedInUser"] = 401, {"code": 401, "message": f"bad token: {echo}"}
    server.answers["PUT", "/databases/bulk"] = 403, {"code": 403, "message": echo}
    server.answers["PUT", "/services"] = 400, {"code": 400, "message": echo}
    monkeypatch.setenv("OM_BULKSINK_TOKEN", TOKEN)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{quote(PASSWORD)}@127.0.0.1:1")
    path = tmp_path / "workflow.json"
    connection = {"hostPort": server.url, "authProvider": "openmetadata", **server_config}
    sink = {"type": "metadata-rest", "config": {}}
    path.write_text(json.dumps({"sink": sink, "workflowConfig": {"openMetadataServerConfig": connection}}))
    letters = tmp_path / "lost.jsonl"
    letters.write_text('{"kind":"create","collection":"databases","fqn":"s.d","body":{"name":"d","service":"s"}}\n')
    server.refuse = {"s.d": echo}
    printed = ""
    for command in (["doctor"], ["doctor", "--json"], ["bench", "--yes", "--workers", "1"], ["replay", str(letters)]):
        assert cli.main([*command, "-c", str(path)]) != cli.FINE
        said = capfd.readouterr()
        printed += said.out + said.err
    assert "Traceback" not in printed
    found = [form for form in [*forms, *(form[8:-4] for form in basic)] if form in printed]
    assert not found, printed


def _base64(secret: str) -> str:
    return base64.b64encode(secret.encode()).decode()


@pytest.mark.upstream
def test_a_workflow_that_cannot_be_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "workflow.yaml"
    for text in ("source: {}", "{", "workflowConfig: {openMetadataServerConfig: {hostPort: 5, nonsense: 1}}"):
        path.write_text(text)
        letters = tmp_path / "lost.jsonl"
        letters.write_text('{"kind":"create","collection":"databases","fqn":"s.d","body":{"name":"d","service":"s"}}\n')
        assert cli.main(["replay", str(letters), "-c", str(path)]) == cli.UNUSABLE
    assert capsys.readouterr().err.count("openmetadata-bulksink: ") == 3
