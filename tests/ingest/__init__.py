"""Runs real `metadata ingest` workflows against the reference server and compares what they leave there.

Standard library only, any Python from 3.10 on: tests, benchmarks and the demo drive it from different interpreters.
Upstream is imported in child processes alone (`child.py`).

    reference_server.py  starts the server's program; its control API
    postgres.py          a PostgreSQL of our own for the time of a test
    mariadb.py           a MariaDB of our own, likewise
    own_server.py        what the two share
    stopped.py           what runs until it is stopped, at the end of a block
    bigquery.py          the REST calls of a BigQuery
    far.py               a proxy that makes a database slow, or lets connections fail
    sources.py           catalogues to ingest: SQLite files, PostgreSQL and MariaDB schemas
    workflow.py          the workflow file
    runs.py              one ingestion in a process of its own, or several in one process
    child.py             the program inside upstream's environment
    commands.py          command lines of ours and upstream's, each in a fork of one process
    commands_child.py    the program that forks for them
    process_one.py       a command as the first process of a container
    catalogue.py         the differences between two states of a server
"""

from tests.ingest.catalogue import Difference, compare, describe
from tests.ingest.far import FarDatabase, Fate
from tests.ingest.mariadb import MariaDB
from tests.ingest.postgres import Postgres
from tests.ingest.reference_server import ReferenceServer
from tests.ingest.runs import Run, Session, Step, ingest
from tests.ingest.workflow import workflow

__all__ = [
    "Difference",
    "FarDatabase",
    "Fate",
    "MariaDB",
    "Postgres",
    "ReferenceServer",
    "Run",
    "Session",
    "Step",
    "compare",
    "describe",
    "ingest",
    "workflow",
]
