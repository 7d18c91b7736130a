"""One request to the server, with the workflow's own address, headers, token, TLS and proxy; its answer as it came.

Not upstream's client: that hides statuses and headers, which are what a report is about.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from openmetadata_bulksink import connection
from openmetadata_bulksink.masking import Mask

#: Seconds for a connection, and for an answer.
_PATIENCE = (10.0, 120.0)

#: Nobody has answered, or somebody for a server that is away or has no time.
AWAY = frozenset({0, 408, 429, 502, 503, 504})

#: Faults that pass, and after how many seconds such a request is sent again.
_PASSING = AWAY | {500}
_PAUSES = (0.5, 1.0, 2.0, 4.0)


class Unanswered(Exception):
    """The server does not answer what must be known; the text is masked."""


class Answer(NamedTuple):
    """status: 0 where there was no answer; text says why then. body: None where it is no JSON."""

    status: int
    text: str
    body: Any
    headers: dict[str, str]

    @property
    def well(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300

    @property
    def forbidden(self) -> bool:
        """Whether it is the token that is at fault."""
        return self.status in (401, 403)

    @property
    def away(self) -> bool:
        """Whether it says nothing of the server but that it is away."""
        return self.status in AWAY

    @property
    def message(self) -> str:
        """What it says, in one line: the API's own message, or the first words of a page."""
        found = self.body.get("message") if isinstance(self.body, dict) else None
        text = " ".join(str(found or self.text).split())
        return text if len(text) <= 300 else text[:300] + " ..."


class Server:
    """The workflow's server."""

    def __init__(self, client: Any, mask: Mask) -> None:
        """client: upstream's. Raises connection.Unusable."""
        self._http = import_module("requests").Session()
        self._client, self._mask = client, mask
        carried = connection.arguments(client)
        self.base = str(carried["base_url"])
        self._headers, self._token = dict(carried.get("headers") or {}), carried.get("token")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        patience: tuple[float, float] = _PATIENCE,
    ) -> Answer:
        """One attempt. body: bytes go as they are, anything else as JSON."""
        sent = {**self._headers, **(headers or {})}
        if self._token is not None:
            sent["Authorization"] = f"Bearer {self._token()}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            found = self._http.request(
                method,
                self.base + path,
                data=data,
                headers=sent,
                timeout=patience,
                verify=self._client._verify,
                cert=self._client._cert,
                cookies=self._client._cookies,
                allow_redirects=False,
            )
            text = self._mask(found.text)
        except OSError as error:  # the library's own errors are such
            return Answer(0, self._mask(f"{type(error).__name__}: {error}"), None, {})
        try:
            content = found.json()
        except ValueError:
            content = None
        return Answer(int(found.status_code), text, content, {k.lower(): v for k, v in found.headers.items()})

    def until_answered(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        patience: tuple[float, float] = _PATIENCE,
        passing: Collection[int] = _PASSING,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Answer:
        """The same, again after faults that pass. around: entered for each attempt."""
        for pause in (*_PAUSES, None):
            with around():
                answer = self.ask(method, path, body, headers=headers, patience=patience)
            if pause is None or answer.status not in passing:
                break
            time.sleep(pause)
        return answer

    def get(self, path: str) -> Any:
        """The JSON of a GET. Raises Unanswered."""
        answer = self.until_answered("GET", path)
        if not answer.well or answer.body is None:
            raise Unanswered(f"GET {path.partition('?')[0]} was answered with {answer.status}: {answer.message}")
        return answer.body

    def list(self, collection: str, **parameters: str) -> Iterator[dict[str, Any]]:
        """All entities of a list, page by page. Raises Unanswered."""
        after = ""
        while True:
            asked = {**parameters, "limit": "1000", **({"after": after} if after else {})}
            page = self.get(f"/{collection}?{urlencode(asked)}")
            yield from page.get("data") or ()
            after = (page.get("paging") or {}).get("after") or ""
            if not after:
                return

    def close(self) -> None:
        """Lets go of the connections."""
        self._http.close()


def by_name(collection: str, fqn: str) -> str:
    """The path of an entity."""
    return f"/{collection}/name/{quote(fqn, safe='')}"
