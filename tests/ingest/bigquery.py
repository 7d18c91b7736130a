"""A BigQuery for upstream's unmodified connector: the REST calls that Google's client makes, answered on the loopback
address. Only what an ingestion of tables and views needs; queries find nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.ingest.stopped import StoppedAtTheEnd
from tests.ingest.workflow import database_source

PROJECT = "shop"

_TYPES = ("INTEGER", "STRING", "NUMERIC", "TIMESTAMP", "BOOLEAN", "DATE", "JSON", "FLOAT")


def tables(dataset: str, number: int, *, columns: int = 8) -> list[dict[str, Any]]:
    """Tables as the API describes them, each with something of its own: comments, labels, partitions, clusters, nested
    columns, views.
    """
    return [_table(dataset, n, columns) for n in range(number)]


def _table(dataset: str, number: int, columns: int) -> dict[str, Any]:
    name = f"table_{number:05}"
    fields: list[dict[str, Any]] = [{"name": "id", "type": "INTEGER", "mode": "REQUIRED"}]
    fields += [
        {
            "name": f"column_{c:03}",
            "type": _TYPES[(number + c) % len(_TYPES)],
            "mode": "NULLABLE",
            "description": f"{c}",
        }
        for c in range(1, columns)
    ]
    made: dict[str, Any] = {
        "kind": "bigquery#table",
        "id": f"{PROJECT}:{dataset}.{name}",
        "tableReference": {"projectId": PROJECT, "datasetId": dataset, "tableId": name},
        "type": "TABLE",
        "schema": {"fields": fields},
    }
    match number % 6:
        case 0:
            made["description"] = f'Table {number} of {dataset}, with "quotes", ünïcode and\nlines'
        case 1:
            made["labels"] = {"team": f"team_{number % 3}"}
        case 2:
            made["timePartitioning"] = {"type": "DAY"}
            made["clustering"] = {"fields": ["id", "column_001"]}
            made["description"] = ""
        case 3:
            made["type"], made["view"] = "VIEW", {"query": f"SELECT id FROM {dataset}.table_00000"}
            made["description"] = f"View {number}"
        case 4:
            nested = {"name": "address", "type": "RECORD", "mode": "REPEATED", "fields": [dict(fields[1])]}
            fields.append(nested)
            made["description"] = f"Nested {number}"
    return made


class BigQuery(StoppedAtTheEnd):
    """One running stand-in; ends with the block. requests: "METHOD path" of each call, in their order."""

    def __init__(self, datasets: Mapping[str, Iterable[dict[str, Any]]]) -> None:
        self.datasets = {name: {one["tableReference"]["tableId"]: one for one in of} for name, of in datasets.items()}
        self.requests: list[str] = []
        self._lock = threading.Lock()
        handler = type("Calls", (_Calls,), {"bigquery": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, name="bigquery", daemon=True).start()

    def variables(self, folder: Path) -> dict[str, str]:
        """What sends Google's client here. folder: gets a file with credentials that only this one takes."""
        (folder / "subject").write_text("somebody")
        account = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/a-pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/token",
            "credential_source": {"file": str(folder / "subject")},
        }
        (folder / "account.json").write_text(json.dumps(account))
        variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"), "GOOGLE_CLOUD_PROJECT": PROJECT}
        return {**variables, "BIGQUERY_EMULATOR_HOST": self.url}

    def source(self, *, service: str = "bq", options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The workflow's source."""
        credentials = {"gcpConfig": {"type": "gcp_adc", "projectId": PROJECT}}
        # Policy tags come from another service of Google's.
        connection = {"credentials": credentials, "includePolicyTags": False}
        return database_source("BigQuery", service, connection, options)

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and content for one call."""
        with self._lock:
            self.requests.append(f"{method} {path}")
        match path.strip("/").split("/"):
            case ["token"]:
                kind = "urn:ietf:params:oauth:token-type:access_token"
                return 200, {
                    "access_token": "any",
                    "issued_token_type": kind,
                    "token_type": "Bearer",
                    "expires_in": 3600,
                }
            case ["bigquery", "v2", "projects", _, "datasets"]:
                return 200, {"kind": "bigquery#datasetList", "datasets": [_dataset(name) for name in self.datasets]}
            case ["bigquery", "v2", "projects", _, "datasets", name] if name in self.datasets:
                return 200, _dataset(name) | {"description": f"All of {name}", "location": "EU"}
            case ["bigquery", "v2", "projects", _, "datasets", name, "tables"] if name in self.datasets:
                listed = list(self.datasets[name].values())
                return 200, {"kind": "bigquery#tableList", "tables": listed, "totalItems": len(listed)}
            case ["bigquery", "v2", "projects", _, "datasets", name, "tables", table] if table in self.datasets.get(
                name, ()
            ):
                return 200, self.datasets[name][table]
            case ["bigquery", "v2", "projects", project, "queries"] if method == "POST":
                return 200, _nothing_found(project, body["requestId"])
        return 404, {"error": {"code": 404, "message": f"Not found: {path}", "errors": [{"reason": "notFound"}]}}


def _nothing_found(project: str, job: str) -> dict[str, Any]:
    return {
        "kind": "bigquery#queryResponse",
        "jobReference": {"projectId": project, "jobId": job, "location": "EU"},
        "jobComplete": True,
        "totalRows": "0",
        "schema": {"fields": [{"name": "nothing", "type": "STRING", "mode": "NULLABLE"}]},
        "rows": [],
    }


def _dataset(name: str) -> dict[str, Any]:
    return {
        "kind": "bigquery#dataset",
        "id": f"{PROJECT}:{name}",
        "datasetReference": {"projectId": PROJECT, "datasetId": name},
    }


class _Calls(BaseHTTPRequestHandler):
    """One connection of Google's client."""

    protocol_version = "HTTP/1.1"
    #: Head and content are sent one after the other.
    disable_nagle_algorithm = True
    bigquery: BigQuery

    def do_GET(self) -> None:
        self._handle({})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_json = "json" in self.headers.get("Content-Type", "")
        self._handle(json.loads(content) if is_json and content else {})

    def _handle(self, body: Mapping[str, Any]) -> None:
        status, answer = self.bigquery.answer(self.command, urlsplit(self.path).path, body)
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the calls are in `requests`."""
