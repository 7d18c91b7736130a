"""What stands between the canary and the reference server: passes everything on, and changes what it is told to.

Plain threads and one connection a request; loopback only.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

Entity = dict[str, Any]

#: Gets the collection and the page of a list, and changes it.
OnList = Callable[[str, Entity], None]

#: Gets the rows of a bulk request for tables; returns those that go on, and what is done to the answer.
OnTables = Callable[[list[Entity]], tuple[list[Entity], Callable[[Entity], None]]]


def _unchanged(_: Entity) -> None:
    pass


class Between:
    """A port that is a server to the canary. url: for `hostPort`."""

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._lock = threading.Lock()
        self.on_list: OnList = lambda *_: None
        self.on_tables: OnTables = lambda rows: (rows, _unchanged)
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

    def _handle(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        parts = urlsplit(asked.path)
        collection = parts.path.removeprefix(f"{self._server.path}/v1/")
        with self._lock:
            repair = _unchanged
            if (asked.command, collection) == ("PUT", "tables/bulk") and body[:1] == b"[":
                rows, repair = self.on_tables(json.loads(body))
                body = json.dumps(rows).encode()
        status, headers, answer = self._send(asked, body)
        if asked.command == "GET" and "/" not in collection and status == 200:
            answer = self._changed(answer, lambda page: self.on_list(collection, page))
        elif repair is not _unchanged and status == 200:
            answer = self._changed(answer, repair)
        asked.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(answer)))
        asked.end_headers()
        asked.wfile.write(answer)

    def _send(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._server.hostname or "", self._server.port, timeout=60)
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "content-length"}
        try:
            connection.request(asked.command, asked.path, body or None, {**headers, "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _changed(self, answer: bytes, change: Callable[[Entity], None]) -> bytes:
        content = json.loads(answer)
        with self._lock:
            change(content)
        return json.dumps(content).encode()

    def __enter__(self) -> Between:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown()
        self._listener.server_close()
