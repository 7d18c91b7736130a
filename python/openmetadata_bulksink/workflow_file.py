"""A workflow's file, as far as the commands need it: upstream's live client and the sink's settings out of it.

Upstream's own loader and models read it, so that what works for `metadata ingest` works here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple


class Unreadable(Exception):
    """The workflow file cannot be used; the text says what to change."""


class Workflow(NamedTuple):
    """What is in the file."""

    client: Any
    sink_config: Any


def load(path: Path) -> Workflow:
    """Read a workflow file and make upstream's client for its server; sends no request. Raises Unreadable."""
    try:
        from metadata.config.common import load_config_file
        from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
            OpenMetadataConnection,
        )
        from metadata.ingestion.ometa.ometa_api import OpenMetadata
        from metadata.ingestion.sink.metadata_rest import MetadataRestSinkConfig
    except ImportError as error:
        raise Unreadable(f"openmetadata-ingestion is not installed here ({error}); install it first") from None
    if not path.is_file():
        raise Unreadable(f"{path} is not a file")
    try:
        content: dict[str, Any] = load_config_file(path)
    except Exception as error:  # noqa: BLE001 - upstream raises whatever its parsers raise
        raise Unreadable(f"{path} cannot be read: {error}") from None
    server = (content.get("workflowConfig") or {}).get("openMetadataServerConfig")
    if not isinstance(server, dict):
        raise Unreadable(f"{path} has no workflowConfig.openMetadataServerConfig")
    try:
        # The version check of upstream's is a request, and the doctor asks for the version itself.
        client = OpenMetadata(OpenMetadataConnection(**{**server, "enableVersionValidation": False}))
    except Exception as error:  # noqa: BLE001 - as above
        raise Unreadable(f"workflowConfig.openMetadataServerConfig of {path} is refused by upstream: {error}") from None
    sink = content.get("sink") or {}
    try:
        sink_config = MetadataRestSinkConfig.model_validate(sink.get("config") or {})
    except Exception as error:  # noqa: BLE001 - as above
        raise Unreadable(f"sink.config of {path} is refused by upstream: {error}") from None
    return Workflow(client, sink_config)
