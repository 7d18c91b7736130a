"""Whole ingestions with the installed sink: what a user sees, what is counted, and how bad input ends."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingestions import SqliteCatalogue
from tests.ingest import ReferenceServer, Run, Session, compare, describe, workflow
from tests.ingest.sources import sqlite_file, sqlite_source

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

TABLES = 110
VIEWS = 3


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> SqliteCatalogue:
    """More tables than fit into one request."""
    return SqliteCatalogue(tmp_path_factory.mktemp("large"), tables=TABLES)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with three tables."""
    return sqlite_file(tmp_path_factory.mktemp("small") / "small.db", tables=3, columns=3)


@pytest.fixture(scope="module")
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A server that remembers request bodies."""
    with ReferenceServer(server_program, profile=server_profile, arguments=["--log-bodies", "true"]) as server:
        yield server


def small_workflow(small: Path, server: ReferenceServer, service: str, **settings: Any) -> dict[str, Any]:
    source = sqlite_source(small, service=service, options=settings.pop("options", None))
    return workflow(source=source, server_url=server.url, token=server.token, **settings)


def lines_of_ours(run: Run) -> list[str]:
    return [line for line in run.output.splitlines() if "metadata.BulkSink" in line]


def test_it_says_that_it_is_active_and_what_it_did(sink: Session, server: ReferenceServer, small: Path) -> None:
    run = sink.run(small_workflow(small, server, "active")).require_success()
    first, *_, last = lines_of_ours(run)
    assert f"writes to {server.url}/v1" in first
    assert "workers" in first
    assert "5 entities written, 0 failed" in last
    spent = (
        r"in which the source waited [\d.]+ s for its database \([\d,]+ statements, [\d.]+ ms each\), computed [\d.]+ s"
    )
    assert re.search(spent + r" and was blocked by the sink for [\d.]+ s: budget", last), last


@pytest.mark.parametrize("refused", [0, 1, TABLES + VIEWS], ids=["none", "one", "all"])
def test_every_entity_is_counted_once(
    sink: Session, server: ReferenceServer, large: SqliteCatalogue, refused: int
) -> None:
    service = f"counted_{refused}"
    names = [f"{service}.shop.main.table_{number:05}" for number in range(TABLES)]
    names += [f"{service}.shop.main.view_{number:05}" for number in range(VIEWS)]
    lost = sorted(names[:refused])
    server.set_faults(
        [
            {
                "match": {"class": "bulk", "collection": "tables"},
                "do": {"kind": "fail_rows", "fqns": lost, "status": 400, "message": "the table is not wanted"},
            }
        ]
    )
    run = sink.run(large.workflow(server, service))
    assert sorted(failure["name"] for failure in run.sink.failures) == lost, run.output[-3_000:]
    assert all("the table is not wanted" in failure["error"] for failure in run.sink.failures)
    # Beside the tables: a database, a schema, and the service, which upstream's own path counts twice.
    assert run.sink.records + len(run.sink.failures) == len(names) + 2 + 2
    expected = {0: ("success", 0), 1: ("partialSuccess", 0)}.get(refused, ("failed", 1))
    assert (run.pipeline_states[-1], run.exit_code) == expected
    summary = run.output[run.output.index("Workflow OpenMetadata Summary") :]
    assert f"Errors: {refused}" in summary
    live = [fqn for fqn, table in server.state()["tables"].items() if not table["deleted"]] if refused < 50 else []
    assert len(live) == (len(names) - refused if refused < 50 else 0)


@pytest.mark.parametrize("service", ["plain", "with.dot", "with space"])
@pytest.mark.parametrize("override", [False, True], ids=["keep", "override"])
def test_same_catalogue_with_odd_services_and_override(
    upstream: Session, sink: Session, server: ReferenceServer, small: Path, service: str, *, override: bool
) -> None:
    name = f"{service}_{override}"
    options = {"overrideMetadata": True} if override else None
    states = []
    for session in (upstream, sink):
        server.reset()
        for _ in range(2):
            session.run(small_workflow(small, server, name, options=options)).require_success()
        states.append(server.state())
    assert len(states[0]["tables"]) == 3
    assert not compare(*states), describe(compare(*states))
    assert server.violations() == []


def _sockets(process: int) -> int:
    count = 0
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            count += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def _threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def test_two_workflows_in_one_process(sink: Session, server: ReferenceServer, large: SqliteCatalogue) -> None:
    sink.run(large.workflow(server, "first")).require_success()
    threads, sockets = _threads(sink.pid), _sockets(sink.pid)
    second = sink.run(large.workflow(server, "second")).require_success()
    assert [line for line in second.threads_left if "bulksink" in line.lower()] == []
    assert _threads(sink.pid) <= threads
    assert _sockets(sink.pid) <= sockets
    assert f"{TABLES + VIEWS + 2} entities written, 0 failed" in lines_of_ours(second)[-1]
    tables = server.state()["tables"]
    assert len(tables) == 2 * (TABLES + VIEWS)


@pytest.mark.parametrize("variables", [{"OM_BULKSINK": "0"}], ids=["switched off"])
def test_switched_off_sends_what_upstream_sends(
    upstream_environment: Path,
    sink_environment: Path,
    logging_server: ReferenceServer,
    small: Path,
    variables: dict[str, str],
) -> None:
    sent = []
    for environment, extra in ((upstream_environment, {}), (sink_environment, variables)):
        logging_server.reset()
        with Session(environment, extra) as session:
            run = session.run(small_workflow(small, logging_server, "off")).require_success()
        assert lines_of_ours(run) == []
        log = logging_server.requests(bodies=True)
        sent.append([(entry["method"], entry["path"], entry["query"], entry["body"]) for entry in log])
    assert len(sent[0]) > 5
    assert sent[0] == sent[1]


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_no_server_at_the_address(sink: Session, small: Path, server: ReferenceServer) -> None:
    config = small_workflow(small, server, "nowhere")
    config["workflowConfig"]["openMetadataServerConfig"]["hostPort"] = f"http://127.0.0.1:{_closed_port()}/api"
    run = sink.run(config, timeout=200)
    assert run.exit_code == 1
    assert "Connection refused" in run.output
    assert "openmetadata_bulksink" not in run.output  # no line of a traceback is ours


def test_a_wrong_token(sink: Session, small: Path, server: ReferenceServer) -> None:
    config = small_workflow(small, server, "token")
    security = config["workflowConfig"]["openMetadataServerConfig"]["securityConfig"]
    security["jwtToken"] = server.token.rsplit(".", 1)[0] + ".d3Jvbmc"
    run = sink.run(config, timeout=200)
    assert run.exit_code == 1
    assert "token" in run.output.lower()
    assert "openmetadata_bulksink" not in run.output


def test_an_address_without_api(sink: Session, small: Path, server: ReferenceServer) -> None:
    config = small_workflow(small, server, "address")
    config["workflowConfig"]["openMetadataServerConfig"]["hostPort"] = server.url.removesuffix("/api")
    run = sink.run(config, timeout=200)
    assert run.exit_code == 1
    assert "openmetadata_bulksink" not in run.output


def test_a_proxy_that_is_down(sink: Session, small: Path, server: ReferenceServer) -> None:
    down = f"http://127.0.0.1:{_closed_port()}"
    proxies = {"HTTP_PROXY": down, "http_proxy": down, "NO_PROXY": "", "no_proxy": ""}
    run = sink.run(small_workflow(small, server, "proxy"), variables=proxies, timeout=200)
    assert run.exit_code == 1
    assert "proxy" in run.output.lower()
    assert "openmetadata_bulksink" not in run.output


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OM_BULKSINK_WORKERS", "many", "OM_BULKSINK_WORKERS must be a whole number from 1 to 64, not 'many'"),
        ("OM_BULKSINK_LINGER", "-1", "OM_BULKSINK_LINGER must be a number of seconds"),
        ("OM_BULKSINK_DEAD_LETTERS", "/nonexistent/x", "is not a directory"),
    ],
)
def test_a_bad_setting_is_named(
    sink: Session, small: Path, server: ReferenceServer, variable: str, value: str, said: str
) -> None:
    run = sink.run(small_workflow(small, server, "setting"), variables={variable: value})
    assert run.exit_code == 1
    assert said in run.output
    assert "Traceback" not in run.output


def test_a_server_older_than_bulk(sink: Session, small: Path, server: ReferenceServer) -> None:
    old = {"kind": "status", "status": 200, "body": {"version": "1.10.14", "revision": "x", "timestamp": 1}}
    server.set_faults([{"match": {"path": "/system/version"}, "do": old}])
    run = sink.run(small_workflow(small, server, "old"))
    said = [line for line in lines_of_ours(run) if "1.10.14" in line]
    assert run.exit_code == 1 or said, run.output[-3_000:]
    assert "Traceback" not in run.output
