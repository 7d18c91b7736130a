"""What stands in front of the server, asked with `--probe`: how large a body may be, how long a connection may idle.

Writes nothing: the large body is an empty list with spaces in it.
"""

from __future__ import annotations

import http.client
import select
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from openmetadata_bulksink.canary.asking import Server
from openmetadata_bulksink.canary.facts import Fact

_MEGABYTE = 1 << 20
_SIZES = (1, 2, 4, 8, 16, 32, 64)

#: Seconds that an idle connection is watched: longer than any common limit of a server or a balancer.
_LONGEST = 90.0


def all_of(server: Server, carried: Mapping[str, Any]) -> Iterator[Fact]:
    """carried: the connection's arguments, as `connection.arguments` gives them. Takes up to two minutes."""
    yield _largest_body(server)
    yield _idle(carried)


def _largest_body(server: Server) -> Fact:
    taken = 0
    for size in _SIZES:
        answer = server.ask("PUT", "/tables/bulk?async=false", b"[" + b" " * (size * _MEGABYTE - 2) + b"]")
        if not answer.well:
            return Fact("largest body", f"{taken} MiB; {size} MiB: {answer.status}", [answer.status, answer.message])
        taken = size
    return Fact("largest body", f"{taken} MiB and more", [200])


def _idle(carried: Mapping[str, Any]) -> Fact:
    name = "idle connection"
    if carried.get("proxy") or carried.get("client_certificate"):
        return Fact(name, "not asked: behind a proxy, or with a client certificate")
    parts = urlsplit(str(carried["base_url"]))
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, port, timeout=10, context=_context(carried)
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", f"{parts.path}/system/version")
        connection.getresponse().read()
        started = time.monotonic()
        if connection.sock is None:
            return Fact(name, "closed after each answer")
        readable, _, _ = select.select([connection.sock], [], [], _LONGEST)
        seconds = round(time.monotonic() - started, 1)
        return Fact(name, f"closed after {seconds} s" if readable else f"open after {_LONGEST:.0f} s", [seconds])
    except (OSError, http.client.HTTPException) as error:
        return Fact(name, f"not asked: {type(error).__name__}")
    finally:
        connection.close()


def _context(carried: Mapping[str, Any]) -> ssl.SSLContext:
    if carried.get("verify") is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    return ssl.create_default_context(cadata=bytes(carried["ca_certificates"]).decode())
