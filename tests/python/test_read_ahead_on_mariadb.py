"""`read_ahead` against a MariaDB: the same requests by the same statements, also where its connections fail."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink.accelerators.read_ahead import reader as reader_module
from openmetadata_bulksink.accelerators.read_ahead import worth
from openmetadata_bulksink.accelerators.read_ahead.reader import Reader
from openmetadata_bulksink.accelerators.read_ahead.templates import Place
from openmetadata_bulksink.accelerators.read_ahead.worth import Worth
from tests.ingest import FarDatabase, Fate, MariaDB, ReferenceServer, Run, Session, compare, describe, ingest, workflow
from tests.ingest.far import everything_passes
from tests.ingest.reference_server import State
from tests.ingest.sources import mariadb_source, mariadb_statements

pytestmark = [pytest.mark.mariadb, pytest.mark.wheel]

#: Long enough for statements to count as slow, whatever the machine does.
DELAY = 0.004
SCHEMAS, TABLES = 2, 24
ONE_AT_A_TIME = {"OM_BULKSINK_LINGER": "60"}
ASKS_FOR_A_TABLE = b"SHOW CREATE TABLE"


@pytest.fixture(scope="module")
def shop(mariadb: MariaDB) -> Iterator[MariaDB]:
    """A MariaDB with a catalogue."""
    mariadb.execute(mariadb_statements(schemas=SCHEMAS, tables=TABLES))
    yield mariadb
    mariadb.execute("".join(f"DROP DATABASE area_{number:03};" for number in range(SCHEMAS)))


@pytest.fixture(scope="module")
def _far(shop: MariaDB) -> Iterator[FarDatabase]:
    """One for all tests: its port is in what the server stores."""
    with FarDatabase(shop.port) as proxy:
        yield proxy


@pytest.fixture
def far(_far: FarDatabase) -> Iterator[FarDatabase]:
    _far.delay, _far.rule = DELAY, everything_passes
    _far.reset()
    yield _far
    _far.cut()


@pytest.fixture(scope="module")
def logging_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    """A reference server that keeps the bodies of requests."""
    with ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true")) as server:
        yield server


Ingest = Callable[..., Run]


@pytest.fixture
def ingested(
    shop: MariaDB,
    far: FarDatabase,
    sink: Session,
    sink_environment: Path,
    logging_server: ReferenceServer,
    upstream_version: str,
) -> Ingest:
    """Ingests through `far` into an emptied server with so many connections granted."""

    def run(connections: int | None, **options: Any) -> Run:
        logging_server.reset()
        far.reset()
        config = workflow(
            source=mariadb_source(shop, port=far.port, options=options),
            server_url=logging_server.url,
            token=logging_server.token,
            sink={"enable_async_pipeline": False},
        )
        granted = {} if connections is None else {"OM_BULKSINK_READ_AHEAD": str(connections)}
        variables = {**ONE_AT_A_TIME, **granted}
        # Up to 1.13 upstream remembers for the life of a process what it has written.
        if upstream_version.startswith("2."):
            return sink.run(config, variables=variables)
        return ingest(sink_environment, config, variables=variables)

    return run


_ONE_BY_ONE: list[State] = []


@pytest.fixture
def one_by_one(ingested: Ingest, logging_server: ReferenceServer) -> State:
    """What an ingestion without reading ahead leaves; run once, with two connections at most."""
    if not _ONE_BY_ONE:
        ingested(0).require_success()
        _ONE_BY_ONE.append(logging_server.state())
    return _ONE_BY_ONE[0]


def bodies(server: ReferenceServer) -> list[tuple[str, str, str, str]]:
    """Every request, in an order that does not depend on two connections."""
    return sorted(
        (one["method"], one["path"], one["query"], one.get("body", "")) for one in server.requests(bodies=True)
    )


def counted(run: Run) -> tuple[int, int]:
    """Statements that were answered ahead of their turn, and that were sent for nothing."""
    (line,) = re.findall(r"read_ahead: (\d+) statements were answered ahead of their turn, (\d+) were sent", run.output)
    return int(line[0]), int(line[1])


@pytest.mark.upstream
def test_the_same_requests_by_statements_that_were_sent_ahead(
    ingested: Ingest, far: FarDatabase, logging_server: ReferenceServer
) -> None:
    ingested(0).require_success()
    expected, state, trips = bodies(logging_server), logging_server.state(), far.trips
    connections = far.most_open
    assert sum(".area_" in name for name in state["tables"]) >= SCHEMAS * TABLES
    assert any("naïve" in name for name in state["tables"])
    run = ingested(4).require_success()
    assert bodies(logging_server) == expected
    assert not compare(state, logging_server.state())
    ahead, for_nothing = counted(run)
    assert ahead > 0
    assert for_nothing <= 0.02 * far.trips
    assert connections < far.most_open <= connections + 4
    # A connection of MariaDB's begins with a few of its own.
    assert far.trips <= trips + for_nothing + 4 * 8
    assert not [name for name in run.threads_left if "read-ahead" in name]


INSTEAD = "threads: 4 of the workflow: one thread reads, and up to 3 connections ask ahead of it"


def test_threads_of_the_workflow_grant_connections(
    ingested: Ingest, far: FarDatabase, logging_server: ReferenceServer, one_by_one: State
) -> None:
    run = ingested(None, threads=4).require_success()
    assert INSTEAD in run.output
    assert not compare(one_by_one, logging_server.state())
    ahead, for_nothing = counted(run)
    assert ahead > 0
    assert for_nothing <= 0.02 * far.trips
    assert far.most_open <= 2 + 3, "upstream's one thread has two"
    run = ingested(0, threads=4).require_success()
    assert INSTEAD not in run.output
    assert not compare(one_by_one, logging_server.state())


def test_threads_that_have_a_schema_each_are_left_alone(
    ingested: Ingest, logging_server: ReferenceServer, one_by_one: State
) -> None:
    """Two schemas for two threads; a number of connections is an order all the same."""
    run = ingested(None, threads=2).require_success()
    assert "one thread reads" not in run.output
    assert not compare(one_by_one, logging_server.state())
    assert "one thread reads, and up to 3 connections" in ingested(3, threads=2).require_success().output


def test_who_asks_the_server_for_each_table_keeps_its_threads(ingested: Ingest, far: FarDatabase) -> None:
    run = ingested(None, threads=4, includeOwners=True).require_success()
    assert INSTEAD not in run.output
    assert far.trips > 0


def test_nothing_is_opened_where_statements_are_quick(ingested: Ingest, far: FarDatabase) -> None:
    """A grant is no order. A machine that is slow at everything may find it worth while: then it says so."""
    far.delay = 0
    run = ingested(4).require_success()
    assert far.most_open <= 2 or "read_ahead asks for the tables that come" in run.output


class OfHelpers:
    """Something happens to connections that were opened after the first table was asked for: those of ours."""

    def __init__(self, opened: Fate, in_the_middle: Fate = Fate.PASSES) -> None:
        self._opened, self._in_the_middle = opened, in_the_middle
        self._ours: set[int] = set()
        self._tables = 0
        self.happened = 0

    def __call__(self, number: int, sent: bytes | None) -> Fate:
        if sent is None:
            if not self._tables:
                return Fate.PASSES
            self._ours.add(number)
            return self._is(self._opened)
        self._tables += ASKS_FOR_A_TABLE in sent
        if number in self._ours and ASKS_FOR_A_TABLE in sent and self._tables % 3 == 0:
            return self._is(self._in_the_middle)
        return Fate.PASSES

    def _is(self, fate: Fate) -> Fate:
        self.happened += fate is not Fate.PASSES
        return fate


@pytest.mark.parametrize(
    ("opened", "in_the_middle", "ends"),
    [
        pytest.param(Fate.CUT, Fate.PASSES, "the database gave it no connection", id="refused"),
        pytest.param(Fate.PASSES, Fate.CUT, None, id="killed"),
        pytest.param(Fate.PASSES, Fate.HANGS, "its connections do not answer", id="stuck"),
        pytest.param(Fate.HANGS, Fate.PASSES, None, id="stuck-in-connect"),
    ],
)
def test_connections_that_fail_change_nothing(
    ingested: Ingest,
    far: FarDatabase,
    logging_server: ReferenceServer,
    one_by_one: State,
    opened: Fate,
    in_the_middle: Fate,
    ends: str | None,
) -> None:
    # Without procedures, for which upstream opens a connection of its own behind the first tables.
    expected = {**one_by_one, "storedProcedures": {}}
    far.rule = failing = OfHelpers(opened, in_the_middle)
    run = ingested(4, includeStoredProcedures=False).require_success()
    assert failing.happened
    if ends is not None:
        assert run.output.count(f"read_ahead ends for this source: {ends}") == 1
        assert not [name for name in run.threads_left if "read-ahead" in name]
    differences = compare(expected, {"storedProcedures": {}, **logging_server.state()})
    assert not differences, describe(differences)


def test_upstreams_connections_come_before_ours(
    ingested: Ingest, far: FarDatabase, logging_server: ReferenceServer, one_by_one: State
) -> None:
    """A database that gives two connections: one of ours has the second, and upstream needs it for procedures."""
    refused: list[int] = []

    def two(number: int, sent: bytes | None) -> Fate:
        if sent is None and far.open >= 2:
            refused.append(number)
            return Fate.CUT
        return Fate.PASSES

    far.rule = two
    assert one_by_one["storedProcedures"]
    run = ingested(4).require_success()
    assert refused
    assert "read_ahead ends for this source: upstream needs its connections" in run.output
    differences = compare(one_by_one, logging_server.state())
    assert not differences, describe(differences)


class GoneInTheMiddle:
    """After some tables the database is not there any more. tried: connections that were refused."""

    def __init__(self) -> None:
        self._tables = self.tried = 0

    def __call__(self, _: int, sent: bytes | None) -> Fate:
        self._tables += sent is not None and ASKS_FOR_A_TABLE in sent
        gone = self._tables >= TABLES // 2
        self.tried += gone and sent is None
        return Fate.CUT if gone else Fate.PASSES


def test_room_is_made_once(ingested: Ingest, far: FarDatabase) -> None:
    """Upstream tries again for each table, and meets its error each time."""
    tried: list[int] = []
    for connections in (0, 4):
        far.rule = gone = GoneInTheMiddle()
        ingested(connections)
        tried.append(gone.tried)
    assert tried[0]
    of_ours = 4
    attempts = 1 + len(reader_module._UNTIL_THERE_IS_ROOM)
    assert tried[1] <= tried[0] + of_ours + attempts


# --- one source, without a workflow ---


@pytest.fixture
def engine(shop: MariaDB, far: FarDatabase) -> Iterator[Any]:
    import sqlalchemy

    url = f"mysql+pymysql://{shop.user}:{shop.password}@127.0.0.1:{far.port}/area_000"
    made = sqlalchemy.create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def reader(engine: Any) -> Iterator[Reader]:
    made = Reader(engine, 2)
    yield made
    made.close()


NAMES = [f"table_{number:05}" for number in range(TABLES)]
ASK = "SHOW CREATE TABLE `area_000`.`{}`"


def tables_of(reader: Reader, names: list[str]) -> Iterator[str]:
    """Each in its turn, as upstream would read them."""
    places = [(Place("area_000", name), "Regular") for name in names]
    reader.expect(places)
    for place in places:
        reader.turn(place)
        yield place[0].table
    reader.turn(None)


#: Statements of its own that the source sends before the first one comes ahead: those that show how slow they are.
FIRST = 6


def wait_for_ours(reader: Reader, name: str) -> None:
    """Until what is asked ahead for a table is here."""
    job = reader._jobs.get(Place("area_000", name))
    if job is not None:
        assert job.guesses[0].done.wait(60)


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("bulksink-read-ahead")]


@pytest.mark.upstream
def test_each_answer_is_the_statements_own_and_events_fire_once(engine: Any, reader: Reader) -> None:
    from sqlalchemy import event

    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            wait_for_ours(reader, name)
            result = connection.exec_driver_sql(ASK.format(name))
            assert list(result.keys()) == ["Table", "Create Table"]
            row = result.fetchone()
            assert row[0] == name
            assert f"CREATE TABLE `{name}`" in row[1]
            assert result.fetchone() is None
    assert sent == [ASK.format(name) for name in NAMES]
    assert (reader._worth.used, reader._worth.unused) == (TABLES - FIRST, 0)


@pytest.mark.upstream
def test_a_statement_that_wants_its_own_cursor_has_it(engine: Any, reader: Reader) -> None:
    used: list[int] = []
    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            wait_for_ours(reader, name)
            asking = connection.execution_options(stream_results=name >= NAMES[12])
            assert asking.exec_driver_sql(ASK.format(name)).fetchall()[0][0] == name
            used.append(reader._worth.used)
    assert used[11] == used[-1] == 12 - FIRST


@pytest.mark.upstream
@pytest.mark.parametrize("statement", ["SET @x = 1", "USE area_001", "CREATE TEMPORARY TABLE tmp (x int)"])
def test_a_connection_with_a_state_of_its_own_asks_by_itself(engine: Any, reader: Reader, statement: str) -> None:
    used: list[int] = []
    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            wait_for_ours(reader, name)
            if name == NAMES[12]:
                connection.exec_driver_sql(statement)
            assert connection.exec_driver_sql(ASK.format(name)).fetchall()[0][0] == name
            used.append(reader._worth.used)
    assert used[11] == used[-1] == 12 - FIRST


@pytest.mark.upstream
def test_half_of_the_guesses_unused_end_it(engine: Any, reader: Reader) -> None:
    """From some table on each asks something else."""
    asked = 0
    with engine.connect() as connection:
        for name in tables_of(reader, [*NAMES, *(f"more_{number}" for number in range(TABLES))]):
            asked += 1
            wait_for_ours(reader, name)
            text = ASK.format(name) if asked <= FIRST else f"SELECT {asked}"
            connection.exec_driver_sql(text).fetchall()
    assert reader.window is None
    assert reader._worth.end == "half of what was asked ahead was not used"
    assert reader._worth.unused <= 20 + Worth(2).window


@pytest.mark.upstream
def test_long_answers_are_not_kept(engine: Any, reader: Reader) -> None:
    eleven = "(" + " UNION ALL ".join(f"SELECT {number} AS n" for number in range(11)) + ")"
    text = f"SELECT '{{}}' FROM {eleven} a, {eleven} b, {eleven} c"
    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            assert connection.exec_driver_sql(text.format(name)).fetchall() == [(name,)] * 1331
    assert reader._worth.used == 0


@pytest.mark.upstream
def test_another_thread_asks_by_itself(engine: Any, reader: Reader) -> None:
    found: list[Any] = []

    def ask(name: str) -> None:
        with engine.connect() as connection:
            found.extend(connection.exec_driver_sql(ASK.format(name)).fetchall())

    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            wait_for_ours(reader, name)
            if name == NAMES[15]:
                thread = threading.Thread(target=ask, args=(name,))
                thread.start()
                thread.join()
            connection.exec_driver_sql(ASK.format(name)).fetchall()
    assert found[0][0] == NAMES[15]
    assert reader._worth.used == TABLES - FIRST, "it took no answer from the source"


@pytest.mark.upstream
def test_a_source_that_ends_in_the_middle_leaves_nothing(engine: Any, reader: Reader, far: FarDatabase) -> None:
    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            connection.exec_driver_sql(ASK.format(name)).fetchall()
            if name == NAMES[10]:
                wait_for_ours(reader, NAMES[11])
                break
        assert ours()
        reader.close()
        assert not ours()
        assert not reader._guesses._by_key
        # The engine is as it was.
        assert connection.exec_driver_sql(ASK.format(NAMES[11])).fetchall()[0][0] == NAMES[11]
    assert far.connections >= 2


class OursHang:
    """From some moment on what is sent over any connection but the source's stays on its way."""

    def __init__(self) -> None:
        self.now = False
        self.happened = threading.Event()

    def __call__(self, number: int, sent: bytes | None) -> Fate:
        if not self.now or number == 0 or sent is None:
            return Fate.PASSES
        self.happened.set()
        return Fate.HANGS


@pytest.mark.upstream
def test_statements_that_do_not_come_back_end_it(
    engine: Any, reader: Reader, far: FarDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{worth.__name__}._LEAST_PATIENCE", 0.05)
    monkeypatch.setattr(f"{worth.__name__}._PATIENCE", 0)
    far.rule = hanging = OursHang()
    with engine.connect() as connection:
        for name in tables_of(reader, NAMES):
            if not hanging.now:
                wait_for_ours(reader, name)
            elif reader._worth.end is None:
                # On its way, or not begun: two of them are on the two connections.
                hanging.happened.wait(60)
            assert connection.exec_driver_sql(ASK.format(name)).fetchall()[0][0] == name
            hanging.now = hanging.now or reader._worth.used > 2
    assert reader._worth.end == "its connections do not answer"


@pytest.mark.upstream
def test_an_interruption_ends_the_wait_for_an_answer(
    engine: Any, reader: Reader, far: FarDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a statement of ours is on its way: the source's thread does not wait for it."""
    monkeypatch.setattr(f"{worth.__name__}._LEAST_PATIENCE", 3600)
    far.rule = hanging = OursHang()

    ended = threading.Event()

    def interrupt() -> None:
        hanging.happened.wait(60)
        # Again where CPython dropped it: it ignores what a handler raises within a callback of a weak reference.
        while not ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait(20)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()

    def read_tables() -> None:
        try:
            with engine.connect() as connection:
                for name in tables_of(reader, NAMES):
                    if not hanging.now:
                        wait_for_ours(reader, name)
                    connection.exec_driver_sql(ASK.format(name)).fetchall()
                    hanging.now = hanging.now or reader._worth.used > 2
        finally:
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        read_tables()
    interrupting.join()
    assert hanging.happened.is_set()
