"""What the tests of order share: two reference servers of one profile, and processes that run whole ingestions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest import ReferenceServer, Session
from tests.python.order.comparison import Comparison


@pytest.fixture(scope="session")
def comparison(server_program: Path, server_profile: str) -> Iterator[Comparison]:
    """Both sinks, each with a server of its own."""
    log = logging.getLogger("metadata")
    level = log.level
    # Streams hold refusals on purpose; upstream logs each with its whole body.
    log.setLevel(logging.CRITICAL)
    with (
        ReferenceServer(server_program, profile=server_profile) as theirs,
        ReferenceServer(server_program, profile=server_profile) as ours,
    ):
        yield Comparison(theirs, ours)
    log.setLevel(level)


@pytest.fixture(scope="session")
def switched_off(sink_environment: Path) -> Iterator[Session]:
    """A process of an environment with our sink installed and switched off."""
    with Session(sink_environment, {"OM_BULKSINK": "0"}) as session:
        yield session
