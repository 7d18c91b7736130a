"""What of a workflow file must be the same for plan, shards and close, as a hash.

What decides which entities a run walks, where it finds them, and what it deletes. Nothing secret goes in, not even
hashed: a short password could be guessed from its hash, and tokens are renewed between plan and close.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from openmetadata_bulksink.masking import names_a_secret

#: What may be in a mapping that is free to hold anything, a driver's options, and says where a connection leads. What
#: else is in it may be a secret, whatever it is called.
_PLACES = frozenset(
    {
        "account",
        "catalog",
        "database",
        "dbname",
        "host",
        "hostaddr",
        "http_path",
        "instance",
        "port",
        "project",
        "role",
        "schema",
        "server",
        "service",
        "service_name",
        "sid",
        "socket",
        "unix_socket",
        "warehouse",
    }
)
_BETWEEN_OPTIONS = re.compile(r"[;&?\s]+")


def fingerprint(workflow: Mapping[str, Any], connection: Any) -> str:
    """Sixteen hexadecimal digits. connection: of the source, as upstream's model, which knows what is secret; None
    where the server holds it.
    """
    source = _section(workflow, "source")
    server = _section(workflow, "workflowConfig", "openMetadataServerConfig")
    seen = {
        "type": source.get("type"),
        "service": source.get("serviceName"),
        "options": _section(source, "sourceConfig", "config"),
        "connection": _public(connection),
        "server": _place(str(server.get("hostPort"))),
    }
    text = json.dumps(seen, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _section(content: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        below = content.get(name)
        content = below if isinstance(below, Mapping) else {}
    return content


def _public(value: Any) -> Any:
    """A model without its secrets, as JSON: what the file has set of it, since defaults differ between releases."""
    fields = getattr(type(value), "model_fields", None)
    if fields is not None:
        if set(fields) == {"root"}:
            return _public(value.root)
        held = {name: getattr(value, name) for name in value.model_fields_set}
        return {name: _public(one) for name, one in held.items() if not _is_secret(name, one)}
    if isinstance(value, Mapping):
        return {str(name): _public(one) for name, one in value.items() if str(name).lower() in _PLACES}
    if isinstance(value, (list, tuple)):
        return [_public(one) for one in value]
    if isinstance(value, Enum):
        return _public(value.value)
    return value if value is None or isinstance(value, (bool, int, float)) else _place(str(value))


def _is_secret(name: str, value: Any) -> bool:
    """By upstream's type; by name where that is a text: upstream has session tokens that are plain texts."""
    return hasattr(value, "get_secret_value") or (names_a_secret(name) and isinstance(value, str))


def _place(text: str) -> Any:
    """An address without the user and password that may stand in it, and without its query; of a text that is a list of
    options with a secret among them (`SERVER=a;PWD=b`), what says where it leads.
    """
    if "=" in text and names_a_secret(text):
        options = (part.partition("=") for part in _BETWEEN_OPTIONS.split(text))
        return {name: value for name, _, value in options if name.lower() in _PLACES}
    text = text.partition("?")[0]
    if "@" in text:
        try:
            scheme = urlsplit(text).scheme
        except ValueError:
            scheme = ""
        return scheme + text.rpartition("@")[2]
    return text
