"""The requests that every design makes, over one session. A session belongs to one thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from benchmarks.designs.records import Entity, Failure, LifeCycle

TIMEOUT = (10, 300)

# PUT is idempotent here, and so is a PATCH that only adds one known value.
RETRIES = Retry(
    total=6,
    backoff_factor=0.5,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "PUT", "PATCH"),
    raise_on_status=False,
    respect_retry_after_header=True,
)


class Connection:
    """A session with retries."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = requests.Session()
        # The server is on this machine: nothing of the environment may come in between.
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        adapter = HTTPAdapter(max_retries=RETRIES)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Ends the session."""
        self._session.close()

    def put_one(self, entity: Entity) -> list[Failure]:
        """One create request."""
        answer, reason = self._send("PUT", f"/{entity.collection}", json.dumps(entity.body).encode())
        return [] if answer is not None else [Failure("create", entity.fqn, reason)]

    def put_many(self, collection: str, entities: Sequence[Entity]) -> list[Failure]:
        """One bulk request; the answer is read row by row."""
        body = json.dumps([entity.body for entity in entities]).encode()
        answer, reason = self._send("PUT", f"/{collection}/bulk?async=false", body)
        if answer is None:
            return [Failure("create", entity.fqn, reason) for entity in entities]
        passed = int(answer.get("numberOfRowsPassed") or 0)
        if passed == len(entities):
            return []
        refused = {}
        for row in answer.get("failedRequest") or ():
            request = row.get("request")
            name = request if isinstance(request, str) else (request or {}).get("name", "")
            refused[name] = str(row.get("message"))
        lost = []
        for entity in entities:
            text = refused.get(entity.fqn, refused.get(str(entity.body["name"])))
            if text is not None:
                lost.append(Failure("create", entity.fqn, text))
        if unnamed := len(entities) - passed - len(lost):
            lost.append(Failure("create", "?", f"{unnamed} rows of a batch neither passed nor were named"))
        return lost

    def add_life_cycle(self, record: LifeCycle) -> list[Failure]:
        """GET by name for the id, then PATCH by id: what the API's clients do."""
        found, reason = self._send("GET", f"/tables/name/{quote(record.fqn, safe='')}")
        if found is not None:
            patch = json.dumps([{"op": "add", "path": "/lifeCycle", "value": record.life_cycle}]).encode()
            found, reason = self._send("PATCH", f"/tables/{found['id']}", patch, "application/json-patch+json")
        return [] if found is not None else [Failure("life cycle", record.fqn, reason)]

    def _send(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[dict[str, Any] | None, str]:
        """The answer as an object, or None and why there is none."""
        headers = {} if body is None else {"Content-Type": kind}
        try:
            answer = self._session.request(method, self._url + path, data=body, headers=headers, timeout=TIMEOUT)
            if not answer.ok:
                return None, f"{answer.status_code} {answer.text[:300]}"
            value = answer.json()
        except (requests.RequestException, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"
        return (value, "") if isinstance(value, dict) else (None, f"{method} {path}: the answer is no object")
