"""What stands between the canary and the reference server: passes everything on, unless it is told to meddle.

Plain threads and one connection a request; loopback only.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.ingest.stopped import StoppedAtTheEnd

Entity = dict[str, Any]

#: Of one connection, or of a body that may change.
_NOT_PASSED_ON = frozenset({"content-length", "transfer-encoding", "connection", "date", "server", "host"})


class Asked(NamedTuple):
    """A request. path: below `/v1/`, with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def place(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]


class Answer(NamedTuple):
    """What comes back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def changed(self, change: Callable[[Entity], None]) -> Answer:
        """With other JSON, where it is an answer to work that was done."""
        if self.status != 200:
            return self
        content = json.loads(self.body)
        change(content)
        return self._replace(body=json.dumps(content).encode())


Send = Callable[[Asked], Answer]

#: Gets a request and what sends one to the server; several at once. What it returns is the answer.
Meddle = Callable[[Asked, Send], Answer]


def pass_on(asked: Asked, send: Send) -> Answer:
    """Does nothing to it."""
    return send(asked)


class Between(StoppedAtTheEnd):
    """A port that is a server to the canary. url: for `hostPort`."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self.meddle: Meddle = pass_on
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Any:
                """Whatever the method is: `http.server` asks for a function of its name."""
                if name.startswith("do_"):
                    return lambda: outer._handle(self)
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                pass

        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._listener.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}{self._server.path}"
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def _handle(self, came: BaseHTTPRequestHandler) -> None:
        body = came.rfile.read(int(came.headers.get("Content-Length") or 0))
        path = came.path.removeprefix(f"{self._server.path}/v1/")
        answer = self.meddle(Asked(came.command, path, _passed_on(dict(came.headers)), body), self._send)
        came.send_response(answer.status)
        for name, value in answer.headers.items():
            came.send_header(name, value)
        came.send_header("Content-Length", str(len(answer.body)))
        came.end_headers()
        came.wfile.write(answer.body)

    def _send(self, asked: Asked) -> Answer:
        connection = http.client.HTTPConnection(self._server.hostname or "", self._server.port, timeout=60)
        path = f"{self._server.path}/v1/{asked.path}"
        try:
            connection.request(asked.method, path, asked.body or None, {**asked.headers, "Connection": "close"})
            answer = connection.getresponse()
            return Answer(answer.status, _passed_on(dict(answer.getheaders())), answer.read())
        finally:
            connection.close()

    def stop(self) -> None:
        """Ends it."""
        self._listener.shutdown()
        self._listener.server_close()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOT_PASSED_ON}
