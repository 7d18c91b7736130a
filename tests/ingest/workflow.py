"""The workflow file: what a user writes, as a value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Settings = Mapping[str, Any]


def workflow(
    *,
    source: Settings,
    server_url: str,
    token: str,
    sink: Settings | None = None,
    pipeline: str | None = None,
    log_level: str = "INFO",
    success_threshold: int | None = None,
    server_settings: Settings | None = None,
) -> dict[str, Any]:
    """A metadata ingestion of a source (see `sources.py`) with the default sink, as a user would write it.

    sink: keys of the sink's `config`. pipeline: the name of an ingestion pipeline whose status the run reports.
    server_settings: keys that go over those of `openMetadataServerConfig`.
    """
    written: dict[str, Any] = {
        "source": dict(source),
        "sink": {"type": "metadata-rest", "config": dict(sink or {})},
        "workflowConfig": {
            "loggerLevel": log_level,
            "openMetadataServerConfig": {
                "hostPort": server_url,
                "authProvider": "openmetadata",
                "securityConfig": {"jwtToken": token},
                **(server_settings or {}),
            },
        },
    }
    if success_threshold is not None:
        written["workflowConfig"]["successThreshold"] = success_threshold
    if pipeline is not None:
        written["ingestionPipelineFQN"] = f"{source['serviceName']}.{pipeline}"
    return written


def database_source(kind: str, service: str, connection: Settings, options: Settings | None = None) -> dict[str, Any]:
    """The `source` of a database: its connector, the service's name, the connection, and keys of `sourceConfig`."""
    return {
        "type": kind.lower(),
        "serviceName": service,
        "serviceConnection": {"config": {"type": kind, **connection}},
        "sourceConfig": {"config": {"type": "DatabaseMetadata", **(options or {})}},
    }


def write(config: Settings, path: Path) -> Path:
    """Writes the file that `metadata ingest -c` reads; JSON is YAML."""
    path.write_text(json.dumps(config, indent=2) + "\n")
    return path
