"""What the tests share: the programs that `python3 -m tools pytest` prepared, and servers to run against.

A test that needs one of them and does not get it fails; nothing is skipped because a preparation is missing.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from tests.ingest import MariaDB, Postgres, ReferenceServer, Session
from tests.prepared import prepared

# A shell's background job starts with Ctrl-C ignored, one of `nohup` with SIGHUP ignored, and so would every program
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Many threads of the tests start programs; an exec behind a vfork has failed then with EFAULT.
subprocess._USE_VFORK = False  # type: ignore[attr-defined]

# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _upstream_is_as_it_was() -> Iterator[None]:
    """No test leaves an accelerator in place: those behind it compare with upstream's own functions."""
    yield
    accelerate = sys.modules.get("openmetadata_bulksink.accelerate")
    assert accelerate is None or not accelerate._installed, "a sink was not closed"


@pytest.fixture(scope="session")
def upstream_version() -> str:
    """The version of openmetadata-ingestion under test, such as 2.0.7.0."""
    return prepared("VERSION")


@pytest.fixture(scope="session")
def server_profile(upstream_version: str) -> str:
    """The reference server's profile that goes with the upstream version."""
    return ".".join(upstream_version.split(".")[:2])


@pytest.fixture(scope="session")
def upstream_environment() -> Path:
    """An environment with upstream and without us."""
    return Path(prepared("UPSTREAM"))


@pytest.fixture(scope="session")
def sink_environment() -> Path:
    """The same environment after `pip install openmetadata-bulksink`."""
    return Path(prepared("SINK"))


@pytest.fixture(scope="session")
def server_program() -> Path:
    """The reference server's program."""
    return Path(prepared("SERVER"))


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """The directory of PostgreSQL's programs."""
    return Path(prepared("POSTGRES"))


@pytest.fixture(scope="session")
def bigquery_connector() -> ModuleType:
    """Upstream's BigQuery connector, which can be imported in this process."""
    from sqlalchemy.sql import functions

    sys.path.append(prepared("BIGQUERY"))
    importlib.import_module("sqlalchemy_bigquery")
    # A function of its own, by a name that the dialect of PostgreSQL uses: that one warns of it in later tests.
    functions._registry["_default"].pop("unnest", None)
    return importlib.import_module("metadata.ingestion.source.database.bigquery.metadata")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB for the whole session; tests make schemas of their own."""
    with MariaDB([Path(program) for program in prepared("MARIADB").split(os.pathsep)]) as server:
        yield server


@pytest.fixture(scope="session")
def _shared_server(server_program: Path, server_profile: str) -> Iterator[ReferenceServer]:
    with ReferenceServer(server_program, profile=server_profile) as server:
        yield server


@pytest.fixture
def server(_shared_server: ReferenceServer) -> ReferenceServer:
    """An empty reference server without latency and faults."""
    _shared_server.reset()
    return _shared_server


@pytest.fixture(scope="session")
def postgres(postgres_programs: Path) -> Iterator[Postgres]:
    """A PostgreSQL for the whole session; tests make databases of their own."""
    with Postgres(postgres_programs) as server:
        yield server


@pytest.fixture(scope="session")
def upstream(upstream_environment: Path) -> Iterator[Session]:
    """A process that runs upstream alone, in an environment that has never seen us."""
    with Session(upstream_environment) as session:
        yield session


@pytest.fixture(scope="session")
def sink(sink_environment: Path) -> Iterator[Session]:
    """A process of an environment with our sink installed and nothing else done."""
    with Session(sink_environment) as session:
        yield session


@pytest.fixture(scope="session")
def redshift_upstream(upstream_environment: Path) -> Iterator[Session]:
    """As `upstream`, for the Redshift connector alone: for the life of the process it changes classes of SQLAlchemy
    that the PostgreSQL connector reads column types with.
    """
    with Session(upstream_environment) as session:
        yield session


@pytest.fixture(scope="session")
def redshift_sink(sink_environment: Path) -> Iterator[Session]:
    """As `sink`, for the Redshift connector alone."""
    with Session(sink_environment) as session:
        yield session
