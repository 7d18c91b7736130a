"""What the tests of shards share: a process that forks commands, and a PostgreSQL with several databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import IMPORTS

from tests.ingest import Postgres
from tests.ingest.commands import Commands


@pytest.fixture(scope="session")
def commands(sink_environment: Path) -> Iterator[Commands]:
    """Command lines in an environment with our sink."""
    with Commands(sink_environment, IMPORTS) as running:
        yield running


@pytest.fixture(scope="module")
def databases(postgres_programs: Path) -> Iterator[Postgres]:
    """A PostgreSQL of its own: these workflows walk all of its databases."""
    with Postgres(postgres_programs) as server:
        yield server
