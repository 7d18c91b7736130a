"""What of a workflow file must be the same for plan, shards and close, as a hash.

Only what decides which entities a run walks and what it deletes. Nothing secret goes in, not even hashed: a short
password could be guessed from its hash, and tokens are renewed between plan and close.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

#: Keys of a connection that say where it leads. All others, whatever they are called, are left out.
_PLACES = ("type", "scheme", "hostPort", "database", "databaseName", "databaseSchema", "catalog", "account")
_SWITCHES = ("ingestAllDatabases",)


def fingerprint(workflow: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits."""
    source = _section(workflow, "source")
    connection = _section(source, "serviceConnection", "config")
    server = _section(workflow, "workflowConfig", "openMetadataServerConfig")
    seen = {
        "type": source.get("type"),
        "service": source.get("serviceName"),
        "options": _section(source, "sourceConfig", "config"),
        "connection": {name: _place(connection[name]) for name in _PLACES if name in connection}
        | {name: bool(connection[name]) for name in _SWITCHES if name in connection},
        "server": _place(server.get("hostPort")),
    }
    text = json.dumps(seen, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _section(content: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        below = content.get(name)
        content = below if isinstance(below, Mapping) else {}
    return content


def _place(value: Any) -> str:
    """An address without the user and password that may stand in it."""
    text = str(value)
    if "@" in text:
        try:
            parts = urlsplit(text)
        except ValueError:
            return text.rpartition("@")[2]
        return f"{parts.scheme}{text.rpartition('@')[2]}"
    return text
