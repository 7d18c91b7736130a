"""Hides what is secret in the texts that the commands print, in every form in which it may come back.

Which values of a workflow's file are secret is decided by where they stand, not by their names alone: a mistyped name
must not show the value behind it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

_HIDDEN = "***"

#: Shorter texts stand in any sentence by chance.
_SHORTEST = 4

#: Shorter ones may be a part of a word of ours by chance: they are hidden where they stand alone.
_SHORTEST_WITHIN = 8

#: Whoever has one of these for a password is not betrayed by a text that says it, but by one with a gap in its place.
_COMMON = frozenset(
    [
        "admin",
        "api",
        "auth",
        "basic",
        "bearer",
        "bulk",
        "client",
        "data",
        "database",
        "default",
        "false",
        "file",
        "host",
        "http",
        "https",
        "ingestion",
        "localhost",
        "metadata",
        "none",
        "noop",
        "null",
        "openmetadata",
        "password",
        "port",
        "proxy",
        "rest",
        "root",
        "secret",
        "server",
        "service",
        "sink",
        "source",
        "table",
        "tables",
        "test",
        "token",
        "true",
        "upstream",
        "used",
        "user",
        "username",
        "version",
        "workflow",
    ]
)

#: In an address's query: what may be a secret whatever it is called. A page's number and a switch are not.
_SHORTEST_IN_QUERY = 8

#: A key with such a name has a secret below it, wherever it stands.
_SECRET_NAME = re.compile(r"pass|pwd|token|secret|key|credential|private|auth(?!Provider)|header|cookie", re.IGNORECASE)

#: What `hostPort` and `apiVersion` look like; anything else in their place may be a secret that was pasted there.
_SHAPES = {"hostPort": re.compile(r"https?://\S+", re.IGNORECASE), "apiVersion": re.compile(r"v\d{1,3}")}

#: What may be shown of a server's configuration. Everything else in it is hidden: `securityConfig` may be misspelt.
_HARMLESS = frozenset(
    {"hostPort", "authProvider", "apiVersion", "type", "clusterName", "verifySSL", "secretsManagerProvider"}
)


class Mask:
    """Replaces secrets in texts. `Mask()` knows none."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        hidden = {secret for secret in secrets if secret.strip().lower() not in _COMMON}
        forms = {form for secret in hidden for form in _forms(secret) if len(form) >= _SHORTEST}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern_of, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return self._pattern.sub(_HIDDEN, text) if self._pattern else text


def _pattern_of(form: str) -> str:
    whole = re.escape(form)
    return whole if len(form) >= _SHORTEST_WITHIN else rf"(?<![^\W_]){whole}(?![^\W_])"


#: A word or a number, as settings and types have them. No token is that short, and none is letters alone.
_PLAIN = re.compile(r"[A-Za-z]{1,12}([-_][A-Za-z]{1,12}){0,3}|[-+]?\d{1,6}(\.\d{1,3})?")


def quotable(text: str, instead: str = "what is there") -> str:
    """A value of which it is not known what it is, for a sentence: in quotes if it is a plain word or number. A secret
    may have been pasted in its place.
    """
    return repr(text) if _PLAIN.fullmatch(text) else instead


def mask_of(content: Any) -> Mask:
    """Hides what is secret in a workflow's file and in the proxies of the environment. content: see `secrets_of`."""
    return Mask([*secrets_of(content), *secrets_of_proxies(os.environ)])


def secrets_of(content: Any) -> Iterator[str]:
    """What is secret in a workflow's file, as its parser gave it: a dictionary in the good case, anything else too."""
    server = content.get("workflowConfig") if isinstance(content, dict) else None
    server = server.get("openMetadataServerConfig") if isinstance(server, dict) else None
    if isinstance(server, dict):
        for name, value in server.items():
            shape = _SHAPES.get(name)
            if name not in _HARMLESS or (shape and not shape.fullmatch(str(value))):
                yield from _texts(value)
    yield from _below_secret_names(content)


def _below_secret_names(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for name, value in content.items():
            if names_a_secret(str(name)):
                yield from _texts(value)
            elif name == "hostPort":
                # A source's, too: people put a login where none belongs.
                yield from _in_address(value)
            else:
                yield from _below_secret_names(value)
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from _below_secret_names(item)


def names_a_secret(key: str) -> bool:
    """Whether what has this name, or stands below it, may be a secret."""
    return _SECRET_NAME.search(key) is not None


def is_name(key: str) -> bool:
    """Whether a key looks like one that upstream's models have."""
    return re.fullmatch(r"[A-Za-z_]{1,32}", key) is not None


def _texts(value: Any) -> Iterator[str]:
    """Every scalar below a value, and the keys that are no names: `{jwtToken:abc}` is one key without a value."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not is_name(str(name)):
                yield from _texts(str(name))
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        text = str(value)
        yield text
        yield text.strip()
        yield from (part for part in re.split(r"[\s:=,]+", text) if len(part) > 7)


def _in_address(address: Any) -> Iterator[str]:
    """User and password of an address, and what its query holds; also of one that is none, because its password is not
    percent-encoded: then all up to the last `@`.
    """
    text = str(address)
    login = text.partition("://")[2].rpartition("@")[0] or text.rpartition("@")[0]
    user, colon, password = login.partition(":")
    yield from (one for one in (login if colon else "", user, password) if one)
    try:
        query = urlsplit(text).query
    except ValueError:
        return
    if len(query) >= _SHORTEST_IN_QUERY:
        yield query
    for name, value in parse_qsl(query):
        if len(value) >= _SHORTEST_IN_QUERY or names_a_secret(name):
            yield value


def secrets_of_proxies(environ: Any) -> Iterator[str]:
    """User and password of the proxies of the environment."""
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            yield from _in_address(value)


#: Headers whose values are no secrets.
_HARMLESS_HEADERS = frozenset({"accept", "content-type", "user-agent"})


def secrets_of_connection(arguments: Mapping[str, Any], token: str) -> Iterator[str]:
    """Of the connection arguments of `BulkSink`, and the token that is in use."""
    yield from (text for text in (token, token.partition(" ")[2]) if text)
    for name, value in (arguments.get("headers") or {}).items():
        if name.lower() not in _HARMLESS_HEADERS:
            yield from _texts(value)
    for address in (arguments.get("base_url"), arguments.get("proxy")):
        yield from _in_address(address)


def _forms(secret: str) -> Iterator[str]:
    """A secret as itself, escaped, percent-encoded, decoded, and in base64, alone or inside something longer."""
    for text in {secret, unquote(secret)}:
        yield text
        yield quote(text)
        yield quote(text, safe="")
        yield quote_plus(text)
        yield json.dumps(text)[1:-1]
        yield repr(text)[1:-1]
        yield " ".join(text.split())
        data = text.encode("utf-8", "surrogatepass")
        if len(data) < _SHORTEST:
            continue
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(data).decode()
            yield whole
            yield whole.rstrip("=")
            yield quote(whole, safe="")
            for before in range(3):
                # The characters that hold nothing but bits of the secret, for each place in a longer text.
                held = encode(b"\0" * before + data).decode().rstrip("=")
                start = (before * 8 + 5) // 6
                whole_characters = (before + len(data)) * 8 // 6
                part = held[start:whole_characters]
                if len(part) >= 2 * _SHORTEST:
                    yield part
