"""Canaries in this process, with somebody between them and their server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.ingest import ReferenceServer, workflow
from tests.ingest.workflow import write
from tests.python.canary.between import Between, Meddle

_SOURCE = {"type": "sqlite", "serviceName": "unused", "sourceConfig": {"config": {"type": "DatabaseMetadata"}}}


def job(url: str, token: str, folder: Path, **server_settings: Any) -> Path:
    """A user's workflow file."""
    config = workflow(source=_SOURCE, server_url=url, token=token, server_settings=server_settings)
    return write(config, folder / "workflow.json")


def services(server: ReferenceServer) -> list[str]:
    """The names of the services that a server has."""
    return list(server.state().get("services/databaseServices", {}))


class Bench:
    """Where canaries write and read back, and nothing more is asked. between: who stands in front of the server."""

    def __init__(self, server: ReferenceServer, sides: Mapping[str, Any], folder: Path) -> None:
        self.between = Between(server.url)
        self._config = job(self.between.url, server.token, folder)
        self._sides = sides

    def canary(self) -> Any:
        """One that has not begun."""
        from openmetadata_bulksink.canary.examination import Canary

        return Canary(self._config, lambda _: None, self._sides)

    def found(self, meddle: Meddle) -> Any:
        """What one finds while somebody meddles. Its services are gone then."""
        canary = self.canary()
        self.between.meddle = meddle
        try:
            canary.write()
        finally:
            canary.clean_up()
        return canary.found
