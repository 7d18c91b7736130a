"""`OM_BULKSINK_REPORT` in real ingestions: the file is there however a run ends, and says what was slow and what was
lost, and its parts of the time are the run.

`make reports` runs this on a machine that does nothing else: with an outage of a minute, and with a bound for the time
that no part has a name for.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink.report.figures import Spent
from tests.ingest import FarDatabase, Postgres, ReferenceServer, Session, workflow
from tests.ingest.ctrl_c import interrupt
from tests.ingest.runs import Run, RunFailed
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source, sqlite_file, sqlite_source
from tests.python.faults import ending
from tests.python.faults.streams import own_server, prepare
from tests.python.report.test_report_page import MEGABYTE, read

pytestmark = pytest.mark.wheel

TABLES = 60
PROGRAM = Path(ending.__file__)
STALL = [{"match": {"class": "bulk"}, "do": {"kind": "stall"}}]

#: What `make reports` says: how long the server is away in an outage, in seconds.
OUTAGE = float(os.environ.get("OUTAGE", "0"))
#: Of the run: what may count twice; on a machine that does nothing else, what may have no name.
TOLERANCE = 0.03


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite_file(tmp_path_factory.mktemp("report") / "shop.db", tables=TABLES, columns=4)


@pytest.fixture
def own_session(sink_environment: Path) -> Iterator[Session]:
    """A process of its own, for signals."""
    session = Session(sink_environment)
    try:
        yield session
    finally:
        if session.pid:
            _end(session)


def _end(session: Session) -> None:
    try:
        session.close()
    except RunFailed:
        return


def job(server: ReferenceServer, lite: Path, service: str, **settings: Any) -> dict[str, Any]:
    return workflow(source=sqlite_source(lite, service=service), server_url=server.url, token=server.token, **settings)


def reported(
    session: Session, server: ReferenceServer, lite: Path, folder: Path, service: str, **settings: Any
) -> tuple[dict[str, Any], Run]:
    """A run's report as JSON, and the run; once it is known that it holds no secret and is not large."""
    path = folder / "run.json"
    variables = {"OM_BULKSINK_REPORT": str(path), **settings.pop("variables", {})}
    run = session.run(job(server, lite, service, **settings), variables=variables)
    text = path.read_text()
    assert server.token not in text
    assert len(text.encode()) < MEGABYTE
    return json.loads(text), run


def accounted(report: dict[str, Any]) -> Spent:
    """Where the time went: source, blocked and drain are the run.

    What is left over is the source's, so that this fails where something counts twice. How much is left over says how
    busy a machine is: on one that does nothing else it is what waited for a processor, and no more.
    """
    spent = Spent(**report["spent"])
    assert abs(spent.source + spent.blocked + spent.drain - spent.wall) <= TOLERANCE * spent.wall, spent
    if OUTAGE:
        unnamed = max(0.0, spent.other - report["processor"])
        print(f"\n{spent}\n{100 * spent.other / spent.wall:.1f} % other, {100 * unnamed / spent.wall:.1f} % unnamed")
        assert unnamed <= TOLERANCE * spent.wall
    return spent


def test_a_healthy_run(sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path) -> None:
    report, run = reported(sink, server, lite, tmp_path, "healthy")
    run.require_success()
    assert report["ending"] == "in order"
    assert "Nothing was lost: 62 records were written." in report["verdict"]
    assert report["counts"]["entities"] == TABLES + 2
    assert sum(report["line"]["taken"]) == pytest.approx(TABLES + 2, abs=0.1)
    assert sum(report["line"]["served"]) == sum(lane["requests"] for lane in report["lanes"])
    assert {lane["collection"] for lane in report["lanes"]} == {"databases", "databaseSchemas", "tables"}
    assert "name_walk" in report["about"]["accelerators"]
    assert report["schemas"][0]["records"] == TABLES + 1
    # The run is that of the loop, from its first record on, and of the end.
    assert accounted(report).wall <= 1.03 * (run.workflow_s or 0.0)


def test_a_run_behind_a_slow_server(sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path) -> None:
    server.set_latency({"bulk": {"request_ms": 500}})
    report, run = reported(
        sink,
        server,
        lite,
        tmp_path,
        "slow",
        sink={"bulk_sink_batch_size": 5},
        variables={"OM_BULKSINK_WORKERS": "1"},
    )
    run.require_success()
    said = " ".join(report["verdict"])
    assert "The server was slow" in said
    assert "most of its work was tables" in said
    assert "Nothing was lost" in said
    assert any("OM_BULKSINK_WORKERS=2" in sentence for sentence in report["advice"])
    (tables,) = [lane for lane in report["lanes"] if lane["collection"] == "tables"]
    assert tables["p50"] >= 0.45
    assert tables["rows"] == TABLES
    spent = accounted(report)
    held_up = spent.blocked + spent.drain
    over_time = [sum(amounts) * report["line"]["width"] for amounts in report["line"]["waits"].values()]
    assert sum(over_time) == pytest.approx(held_up, rel=0.03), "the line and the sums are of the same waits"
    # One worker: what it did before the source ended was beside the source, all else is waited for.
    assert held_up + (run.loop_s or 0.0) >= tables["seconds"]


@pytest.mark.postgres
def test_a_run_behind_a_slow_database(
    sink: Session, server: ReferenceServer, postgres: Postgres, tmp_path: Path
) -> None:
    delay, path = 0.1, tmp_path / "run.json"
    fill_postgres(postgres, "slow_database", PostgresShape(schemas=1, tables=6, columns=3))
    try:
        with FarDatabase(postgres.port, delay=delay) as far:
            connection = {"hostPort": f"127.0.0.1:{far.port}"}
            options = {"schemaFilterPattern": {"excludes": ["^information_schema$"]}}
            source = postgres_source(postgres, "slow_database", service="far", options=options, connection=connection)
            run = sink.run(
                workflow(source=source, server_url=server.url, token=server.token),
                variables={"OM_BULKSINK_REPORT": str(path), "OM_BULKSINK_ACCELERATE": "0"},
            )
    finally:
        postgres.drop_database("slow_database")
    run.require_success()
    report = json.loads(path.read_text())
    assert "passed while the source waited for its database" in report["verdict"][0]
    assert "Nothing was lost" in " ".join(report["verdict"])
    assert any("statements of its database" in sentence for sentence in report["advice"])
    # Nine statements a table, each of which takes the delay at least; what the thread computed in them counts apart.
    assert report["statements"]["count"] >= 6 * 9
    assert accounted(report).database >= 0.9 * delay * 6 * 9


def test_an_outage(sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path) -> None:
    # Whether a 504 has done its work is not known, so that the next attempt is five seconds later.
    outage = {"match": {"class": "bulk"}, "when": {"to": 1}, "do": {"kind": "status", "status": 504}}
    server.set_faults([outage])
    report, run = reported(sink, server, lite, tmp_path, "outage")
    run.require_success()
    said = " ".join(report["verdict"])
    assert "There was an outage" in said
    assert "the server served nothing (the answer was 504)" in said
    assert "Nothing was lost" in said
    assert report["again"][0]["cause"] == "status-504"
    assert report["again"][0]["times"] == sum(report["line"]["not_served"]) == 1
    (stall,) = report["stalls"]
    assert stall[1] - stall[0] >= 5
    accounted(report)


def test_a_server_that_is_away_for_a_while(sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path) -> None:
    away = OUTAGE or 2.0
    broken: dict[str, Any] = {"match": {"class": "bulk"}, "do": {"kind": "reset", "at": "before_body"}}
    server.set_faults([broken])
    path = tmp_path / "away.json"
    sink.start(job(server, lite, "away"), variables={"OM_BULKSINK_REPORT": str(path)})
    server.until("a request was broken off", lambda: server.summary()["faults"])
    server.set_faults([{**broken, "match": {}, "when": {"to_s": away}}])
    sink.finish().require_success()
    report = json.loads(path.read_text())
    accounted(report)
    assert "Nothing was lost: 62 records were written." in report["verdict"]
    assert max(end - start for start, end in report["stalls"]) >= away
    if OUTAGE:
        said = " ".join(report["verdict"])
        assert "There was an outage: from" in said
        assert "the server served nothing (the connection broke" in said
        assert any("Look at the server's log for the" in sentence for sentence in report["advice"])


def test_a_poison_row(sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path) -> None:
    poison = {"kind": "fail_rows", "message": "the owner is not known", "count": 1}
    server.set_faults([{"match": {"class": "bulk", "collection": "tables"}, "when": {"to": 1}, "do": poison}])
    path = tmp_path / "run.html"
    run = sink.run(job(server, lite, "poison"), variables={"OM_BULKSINK_REPORT": str(path)})
    (failure,) = run.sink.failures
    text = read(path.read_text())
    assert "1 record was lost, for 1 reason (below, by name); 61 records were written." in text
    assert "the owner is not known" in text
    assert f"tables {failure['name']}" in text
    assert "OM_BULKSINK_DEAD_LETTERS=FILE" in text
    assert server.token not in path.read_text()

    server.set_faults([{"match": {"class": "bulk", "collection": "tables"}, "when": {"to": 1}, "do": poison}])
    report, _ = reported(sink, server, lite, tmp_path, "poison_again")
    assert report["counts"]["lost"] == 1
    accounted(report)


def test_what_the_source_could_not_read_is_no_success(sink: Session, server: ReferenceServer, tmp_path: Path) -> None:
    """Nothing of it ever came to the sink, and the page is of the run."""
    path = sqlite_file(tmp_path / "half.db", tables=3, columns=2)
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE VIEW astray AS SELECT x FROM gone")
    report, run = reported(sink, server, path, tmp_path, "half")
    assert run.exit_code == 1
    said = " ".join(report["verdict"])
    assert "The source reported 1 failure of its own (below, by name): what it could not read is missing." in said
    assert "Of what was handed over nothing was lost: 5 records were written." in report["verdict"]
    (group,) = report["unread"]
    assert "astray" in group["names"][0] + group["reason"]
    assert not any("Nothing to change" in sentence for sentence in report["advice"])


def test_the_second_run_of_a_process_has_a_report_of_its_own(
    sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path
) -> None:
    first, _ = reported(sink, server, lite, tmp_path, "first")
    before = (tmp_path / "run.json").read_bytes()
    reported(sink, server, lite, tmp_path, "second", sink={"bulk_sink_batch_size": 5})
    assert (tmp_path / "run.json").read_bytes() == before
    second = json.loads((tmp_path / "run-2.json").read_text())
    assert (first["about"]["batch_size"], second["about"]["batch_size"]) == (100, 5)


def test_a_report_that_cannot_be_written_is_one_warning(
    sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path
) -> None:
    path = tmp_path / "nowhere" / "run.html"
    run = sink.run(job(server, lite, "nowhere"), variables={"OM_BULKSINK_REPORT": str(path)}).require_success()
    warnings = [line for line in run.output.splitlines() if "metadata.BulkSink" in line and "WARNING" in line]
    (line,) = warnings
    assert f"The report {path} cannot be written: No such file or directory" in line


@pytest.mark.parametrize("kind", ["folder", "fifo", "device"])
def test_what_is_no_file_stays_what_it_is(
    sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path, kind: str
) -> None:
    """Whoever reads from a pipe would wait for ever for one that a file has replaced."""
    path = tmp_path / "run.html"
    make = {"folder": Path.mkdir, "fifo": os.mkfifo, "device": lambda path: path.symlink_to("/dev/null")}
    make[kind](path)
    run = sink.run(job(server, lite, kind), variables={"OM_BULKSINK_REPORT": str(path)}).require_success()
    assert run.output.count(f"The report {path} cannot be written: '{path}' is no file") == 1
    assert list(tmp_path.iterdir()) == [path]
    assert not path.is_file()


def test_a_link_leads_to_the_report(sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run.json").symlink_to(tmp_path / "elsewhere" / "run")
    reported(sink, server, lite, tmp_path, "link")
    assert (tmp_path / "run.json").is_symlink()
    assert [one.name for one in (tmp_path / "elsewhere").iterdir()] == ["run"]


def test_without_the_variable_there_is_no_file(
    sink: Session, server: ReferenceServer, lite: Path, tmp_path: Path
) -> None:
    sink.run(job(server, lite, "none"), variables={"OM_BULKSINK_DEAD_LETTERS": str(tmp_path / "x")}).require_success()
    assert list(tmp_path.iterdir()) == []


def signalled(
    session: Session, server: ReferenceServer, run: dict[str, Any], variables: dict[str, str], number: signal.Signals
) -> None:
    """Starts a run and sends it a signal while a bulk request waits for its answer."""
    output = session.start(run, variables=variables)
    server.until_waiting()
    if number == signal.SIGINT:
        interrupt(session, output)
    else:
        os.kill(session.pid, number)


def test_ctrl_c_and_sigterm_leave_a_report(
    own_session: Session, server: ReferenceServer, lite: Path, tmp_path: Path
) -> None:
    interrupted = tmp_path / "interrupted.json"
    with server.holding("bulk"):
        variables = {"OM_BULKSINK_REPORT": str(interrupted)}
        signalled(own_session, server, job(server, lite, "ctrl"), variables, signal.SIGINT)
    run = own_session.finish()
    report = json.loads(interrupted.read_text())
    assert run.exit_code != 0
    assert report["ending"] == "by KeyboardInterrupt"
    assert report["counts"]["pending"] == 0
    assert "The run ended early, by KeyboardInterrupt: what its source had not read by then" in report["verdict"][-2]
    accounted(report)

    terminated = tmp_path / "terminated.json"
    with server.holding("bulk"):
        variables = {"OM_BULKSINK_REPORT": str(terminated)}
        signalled(own_session, server, job(server, lite, "term"), variables, signal.SIGTERM)
        with pytest.raises(RunFailed):
            own_session.finish()
    report = json.loads(terminated.read_text())
    assert report["ending"] == "by SIGTERM"
    assert report["counts"]["pending"] > 0
    assert any("not yet written" in sentence for sentence in report["verdict"])
    accounted(report)


def test_a_run_that_delivers_after_sigterm_says_what_ended_it(
    own_session: Session, server: ReferenceServer, lite: Path, tmp_path: Path
) -> None:
    path = tmp_path / "grace.json"
    variables = {"OM_BULKSINK_REPORT": str(path), "OM_BULKSINK_TERM_GRACE": "60"}
    with server.holding("bulk"):
        signalled(own_session, server, job(server, lite, "grace"), variables, signal.SIGTERM)
    with pytest.raises(RunFailed):
        own_session.finish()
    report = json.loads(path.read_text())
    assert report["ending"] == "by SIGTERM"
    assert report["counts"]["pending"] == report["counts"]["lost"] == 0
    accounted(report)


@pytest.mark.parametrize(
    ("how", "said"),
    [("exception", "without closing the sink, by RuntimeError"), ("forgotten", "without closing the sink")],
)
def test_a_program_that_does_not_close_leaves_a_report(
    sink_environment: Path, server_program: Path, server_profile: str, tmp_path: Path, how: str, said: str
) -> None:
    path = tmp_path / "run.json"
    with own_server(server_program, profile=server_profile) as server:
        prepare(server, STALL)
        program = {"url": server.url, "control": server.control, "token": server.token, "latency": {}}
        _run(sink_environment, {**program, "do": "leave", "how": how}, path)
    report = json.loads(path.read_text())
    assert report["ending"] == said
    assert report["counts"]["lost"] + report["counts"]["pending"] == 15
    assert not any("Nothing was lost" in sentence for sentence in report["verdict"])
    accounted(report)


def _run(environment: Path, told: dict[str, Any], path: Path, arguments: Sequence[str] = ("-P",)) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))}
    subprocess.run(
        [environment / "bin" / "python", *arguments, PROGRAM, json.dumps(told)],
        env={**variables, "OM_BULKSINK_REPORT": str(path)},
        capture_output=True,
        timeout=240,
    )
