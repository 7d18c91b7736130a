"""A small HTTP server that takes what an OpenMetadata client sends, keeps it, and answers as a server without
opinions would.

For unit tests of the adapter, which look at requests. It is not strict; the reference server (`tests/server`) is.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from openmetadata_bulksink import records


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def bare(self) -> str:
        return self.path.partition("?")[0]


class RecordingServer:
    """`with RecordingServer() as server`: `server.url` is a hostPort, `server.requests` what came in, in order."""

    def __init__(self, version: str = "2.0.7") -> None:
        self.version = version
        self.requests: list[Request] = []
        self.entities: dict[str, dict[str, dict[str, Any]]] = {}
        #: FQN -> message of rows that are refused in bulk.
        self.refuse: dict[str, str] = {}
        #: (method, start of path) -> (status, body) that is answered instead.
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        #: FQN -> what a GET by name shows, as a function of the path.
        self.shown: dict[str, Callable[[str], tuple[int, Any]]] = {}
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                path = self.path.removeprefix("/api/v1")
                request = Request(self.command, path, dict(self.headers), body)
                with server._lock:
                    server.requests.append(request)
                    status, answer = server._handle(request)
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/api"

    def __enter__(self) -> RecordingServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def sent(self, method: str, bare: str) -> list[Request]:
        return [one for one in self.requests if one.method == method and one.bare == bare]

    def rows(self, collection: str) -> list[dict[str, Any]]:
        """All rows of bulk requests of a collection, in order."""
        return [row for one in self.sent("PUT", f"/{collection}/bulk") for row in json.loads(one.body)]

    def _handle(self, request: Request) -> tuple[int, Any]:
        for (method, start), answer in self.answers.items():
            if request.method == method and request.path.startswith(start):
                return answer
        bare = request.bare
        if bare == "/system/version":
            return 200, {"version": self.version, "revision": "x", "timestamp": 0}
        if bare.endswith("/bulk") and request.method == "PUT":
            return 200, self._bulk(bare.strip("/").removesuffix("/bulk"), json.loads(request.body))
        if request.method == "PUT" and "/name/" not in bare and request.body:
            body = json.loads(request.body)
            if isinstance(body, dict) and "name" in body:
                return 200, self._keep(bare.strip("/"), body)
        if request.method == "GET" and "/name/" in bare:
            collection, _, name = bare.strip("/").partition("/name/")
            if unquote(name) in self.shown:
                return self.shown[unquote(name)](request.path)
            found = self.entities.get(collection, {}).get(unquote(name))
            if found is not None:
                return 200, found
            return 404, {"code": 404, "message": f"{collection} instance for {unquote(name)} not found"}
        if request.method == "GET":
            found = list(self.entities.get(bare.strip("/"), {}).values())
            return 200, {"data": found, "paging": {"total": len(found)}}
        if request.method == "PATCH" and "/name/" in bare:
            collection, _, name = bare.strip("/").partition("/name/")
            found = self.entities.get(collection, {}).get(unquote(name))
            return (200, found) if found else (404, {"code": 404, "message": "not found"})
        if request.method == "PATCH":
            collection, _, wanted = bare.strip("/").rpartition("/")
            for found in self.entities.get(collection, {}).values():
                if found["id"] == wanted:
                    return 200, found
            return 404, {"code": 404, "message": "not found"}
        return 200, {"numberOfRowsProcessed": 0, "numberOfRowsPassed": 0, "numberOfRowsFailed": 0}

    def _keep(self, collection: str, body: dict[str, Any]) -> dict[str, Any]:
        form = records.form_of_collection(collection)
        fqn = form.fqn(body, form.parent(body))
        kept = dict(body)
        for field in ("databaseSchema", "database", "service"):
            if isinstance(kept.get(field), str):
                kept[field] = {"id": str(uuid.uuid4()), "type": field if field != "service" else "databaseService"}
        before = self.entities.get(collection, {}).get(fqn)
        kept.update(
            id=before["id"] if before else str(uuid.uuid4()), fullyQualifiedName=fqn, name=body.get("name", fqn)
        )
        self.entities.setdefault(collection, {})[fqn] = kept
        return kept

    def _bulk(self, collection: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        passed, failed = [], []
        form = records.form_of_collection(collection)
        for row in rows:
            fqn = form.fqn(row, form.parent(row))
            if fqn in self.refuse:
                failed.append({"request": fqn, "message": self.refuse[fqn], "status": 400})
            else:
                self._keep(collection, row)
                passed.append({"request": fqn, "status": 200})
        return {
            "dryRun": False,
            "status": "success" if not failed else "partialSuccess",
            "numberOfRowsProcessed": len(rows),
            "numberOfRowsPassed": len(passed),
            "numberOfRowsFailed": len(failed),
            "successRequest": passed,
            "failedRequest": failed,
        }
