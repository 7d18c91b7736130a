"""Something between us and the server cuts connections in the middle of large requests."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.wheel

#: Requests of more bytes than this never arrive whole.
LARGEST = 300_000
#: Bytes of one table's request: seven of them may go together.
BYTES = 40_000
TABLES = 100


class Server(ThreadingHTTPServer):
    """Takes every row of what arrives."""

    daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        length = int(self.headers["Content-Length"])
        if length > LARGEST:
            self.rfile.read(LARGEST // 3)
            # Closed with a reset: whether the sender hears of it while it writes, or when it reads, is chance.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        rows = json.loads(self.rfile.read(length))
        text = json.dumps({"numberOfRowsPassed": len(rows), "numberOfRowsFailed": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """The tests speak of what they see."""


@pytest.fixture
def cutting() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_batches_that_are_cut_go_in_parts(cutting: Server, workers: int) -> None:
    """Other collections get their turn between the parts: what they show is that the server works."""
    from openmetadata_bulksink import BulkSink

    with BulkSink(cutting.url, delivery_timeout=60.0, linger=0.05, workers=workers) as sink:
        body = json.dumps({"name": "t", "description": "y" * BYTES})
        for number in range(TABLES):
            sink.submit("tables", f"a.t{number}", body)
        written = threading.Event()

        def databases() -> None:
            number = 0
            while not written.wait(0.2):
                sink.submit("databases", f"d{number}", '{"name":"d"}')
                number += 1

        others = threading.Thread(target=databases)
        others.start()
        sink.drain()
        written.set()
        others.join()
        sink.drain()
        outcomes = sink.take_outcomes()
    assert [outcome.reason for outcome in outcomes if outcome.status != "written"] == []
    assert sum(outcome.collection == "tables" for outcome in outcomes) == TABLES
