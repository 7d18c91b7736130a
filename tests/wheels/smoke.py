"""An installed wheel, tried with nothing but the standard library: the native module writes a hundred tables to a
server of this process, and the start-up hook is in place. The release recipe runs it on each platform.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

TABLES = 100


class Server(BaseHTTPRequestHandler):
    """Takes each row of a bulk request."""

    protocol_version = "HTTP/1.1"
    taken: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.taken.extend(row["name"] for row in rows)
        counts = {"numberOfRowsProcessed": len(rows), "numberOfRowsPassed": len(rows), "numberOfRowsFailed": 0}
        body = json.dumps({"status": "success", **counts, "successRequest": [], "failedRequest": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def main() -> None:
    """Raises AssertionError where the wheel does not do what it is for."""
    import _openmetadata_bulksink_boot as boot
    from openmetadata_bulksink import BulkSink, __version__

    assert boot.is_in_place(), "the start-up hook did not run"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with BulkSink(f"http://127.0.0.1:{server.server_port}/api/v1", token="a.b.c") as sink:
        for number in range(TABLES):
            body = json.dumps({"name": f"t{number}", "databaseSchema": "a.b.c"})
            sink.submit("tables", f"a.b.c.t{number}", body)
    outcomes = [outcome.status for outcome in sink.take_outcomes()]
    server.shutdown()
    server.server_close()
    assert outcomes == ["written"] * TABLES, outcomes
    assert sorted(Server.taken) == sorted(f"t{number}" for number in range(TABLES))
    print(f"openmetadata-bulksink {__version__} wrote {TABLES} tables")


if __name__ == "__main__":
    main()
