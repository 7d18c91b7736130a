"""What the tests of the canary as a command share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.commands import Commands


@pytest.fixture(scope="module")
def commands(sink_environment: Path) -> Iterator[Commands]:
    with Commands(sink_environment, ["metadata.ingestion.ometa.ometa_api"]) as running:
        yield running
