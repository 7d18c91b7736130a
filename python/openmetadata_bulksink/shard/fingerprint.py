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
from urllib.parse import unquote_plus

from openmetadata_bulksink.masking import names_a_secret
from openmetadata_bulksink.shard.filters import watermark_of

#: What may be in a mapping that is free to hold anything, a driver's options, and says where a connection leads. What
#: else is in it may be a secret, whatever it is called.
_PLACES = frozenset(
    {
        "account",
        "catalog",
        "database",
        "databasename",
        "dbname",
        "host",
        "hostaddr",
        "http_path",
        "initial_catalog",
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

#: As these, where the whole value is an address.
_ADDRESSES = frozenset(
    {"address", "data_source", "dsn", "endpoint", "endpoint_url", "hostname", "hosts", "server_hostname", "uri", "url"}
)

#: A value of `name=value` that is taken as a whole, whatever is in it: no part of a password looks like an option.
_WHOLE = r"""\{(?:[^}]|\}\})*\}|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""


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
        "watermark": watermark_of(workflow),
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
        return _places(value)
    if isinstance(value, (list, tuple)):
        return [_public(one) for one in value]
    if isinstance(value, Enum):
        return _public(value.value)
    return value if value is None or isinstance(value, (bool, int, float)) else _place(str(value))


def _is_secret(name: str, value: Any) -> bool:
    """By upstream's type; by name where that is a text: upstream has session tokens that are plain texts."""
    return hasattr(value, "get_secret_value") or (names_a_secret(name) and isinstance(value, str))


def _places(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    """What a mapping that may hold anything says of where a connection leads, at any depth."""
    found = {str(name): _places_of(_plain(str(name)), value) for name, value in mapping.items()}
    return {name: place for name, place in found.items() if place not in (None, {}, [])}


def _places_of(name: str, value: Any) -> Any:
    if name in _PLACES:
        return _public(value)
    if isinstance(value, Mapping):
        return _places(value)
    if isinstance(value, (list, tuple)):
        return [place for one in value if (place := _places_of(name, one))]
    if not isinstance(value, str) or names_a_secret(name):
        return None
    if "://" in value or (name in _ADDRESSES and "=" not in value.partition("?")[0]):
        return _place(value)
    return _options(value)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _options(text: str) -> dict[str, str]:
    """Of a list of options, also a percent-encoded one, those that say where it leads: `SERVER=a;PWD=b`, `host=a
    password=b`, `host=a&password=b`, `(HOST=a)(PORT=b)`.
    """
    decoded = text if "=" in text else unquote_plus(text)
    between = "()" if decoded.lstrip().startswith("(") else next((one for one in ";&" if one in decoded), r"\s")
    found = re.findall(rf"(?:^|[{between}])\s*([\w ]+?)\s*=\s*({_WHOLE}|[^{between}]*)", decoded)
    options = ((_plain(name), _without_login(value.strip())) for name, value in found)
    return {name: value for name, value in options if name in _PLACES or name in _ADDRESSES}


def _place(text: str) -> Any:
    """An address without the user and password that may stand in it, and of its options what says where it leads; of a
    text that is a list of options with a secret among them the same.
    """
    is_address = "://" in text
    if not is_address and "=" in text and names_a_secret(text):
        return _options(text)
    address, *rest = re.split(r"[?;]" if is_address else r"\?", text, maxsplit=1)
    if any("@" in one for one in rest) and "@" not in address:
        # A password with a question mark in it, or an option with an `@`: then nobody knows which part is secret.
        address = address[: address.find("://") + 1]
    options = _options(rest[0]) if rest else {}
    return [_without_login(address), options] if options else _without_login(address)


def _without_login(text: str) -> str:
    """All up to the last `@`, but for the scheme: a password may hold whatever it likes."""
    if "@" not in text:
        return text
    scheme = re.match(r"[a-z][\w+.:-]*://", text, re.IGNORECASE)
    return (scheme[0] if scheme else "") + text.rpartition("@")[2]
