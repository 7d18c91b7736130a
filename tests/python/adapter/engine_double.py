"""A stand-in for the native module, for unit tests of the adapter only: one thread, `requests`, no retry, no policy.

It has the interface of `_native.pyi` and its promises about order and outcomes, so that what the adapter submits and
waits for can be looked at without a build. Install it with `install()` before the adapter imports `_native`.
"""

from __future__ import annotations

import json
import os
import sys
import types
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from openmetadata_bulksink import records

__version__ = "0.0.0+double"


class BulkSinkError(Exception):
    pass


class ConfigurationError(BulkSinkError, ValueError):
    pass


class TransportError(BulkSinkError):
    pass


class DrainTimeout(BulkSinkError, TimeoutError):
    pass


def quote_name(name: str) -> str:
    if '"' in name or "\n" in name:
        raise ValueError(f"{name!r} cannot be quoted")
    return f'"{name}"' if "." in name else name


def hash_text(request: Any, *, sorts_aliases: bool) -> str | None:  # noqa: ARG001
    """The double knows no request: upstream's function is asked."""
    return None


def canonical_fqn(fqn: str) -> str:
    if fqn.count('"') % 2:
        raise ValueError(f"{fqn!r} has an unbalanced quote")
    parts: list[str] = []
    part, quoted = "", False
    for letter in fqn:
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            parts.append(part)
            part = ""
        else:
            part += letter
    parts.append(part)
    return ".".join(quote_name(one) for one in parts)


@dataclass
class Outcome:
    status: str
    kind: str
    collection: str
    fqn: str
    reason: str | None
    attempts: int
    sequence: int
    label: str | None = None


@dataclass
class Pending:
    sequence: int
    kind: str
    collection: str
    fqn: str
    body: bytes
    parent: str | None = None
    needs: tuple[str, ...] = ()
    once: bool = False
    first: int | None = None
    label: str | None = None


@dataclass
class BulkSink:
    base_url: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def __init__(self, base_url: str, **arguments: Any) -> None:
        self.base_url = base_url.rstrip("/")
        self.arguments = arguments
        self.batch_size = arguments.get("batch_size", 100)
        self.waits: list[dict[str, Any]] = []
        self.submissions: list[Pending] = []
        self.closed = False
        self.requests = 0
        self._reset()
        made.append(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._sequence = 0
        self._pending: list[Pending] = []
        self._outcomes: list[Outcome] = []
        self._shared: dict[int, list[int]] = {}
        self._failed: set[int] = set()
        self.forgotten = 0

    def _check(self) -> None:
        if os.getpid() != self._pid:
            self._reset()

    def _headers(self) -> dict[str, str]:
        headers = dict(self.arguments.get("headers") or {})
        token = self.arguments.get("token")
        if token is not None and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {token() if callable(token) else token}"
        return headers

    def _send(self, method: str, path: str, data: bytes) -> requests.Response:
        self.requests += 1
        return requests.request(method, f"{self.base_url}{path}", data=data, headers=self._headers(), timeout=10)

    def submit(
        self,
        collection: str,
        fqn: str,
        body: bytes | str,
        parent: str | None = None,
        needs: Any = (),
        *,
        first_wins: bool = False,
        once: bool = False,
        first: tuple[str, str, bytes | str] | None = None,
        label: str | None = None,
    ) -> int:
        self._check()
        before = None if first is None else self.submit(*first, once=once, label=label)
        self._sequence += 1
        record = Pending(
            self._sequence,
            "create",
            collection,
            fqn,
            body.encode() if isinstance(body, str) else body,
            parent,
            tuple(needs or ()),
            once,
            before,
            label,
        )
        self.submissions.append(record)
        if self.closed:
            self._end(record, "failed", "the sink is closed")
            return self._sequence
        if first_wins:
            for earlier in self._pending:
                if earlier.kind == "create" and (earlier.collection, earlier.fqn) == (collection, fqn):
                    self._shared.setdefault(earlier.sequence, []).append(self._sequence)
                    return self._sequence
        self._pending.append(record)
        if sum(one.collection == collection for one in self._pending) >= self.batch_size or self.arguments.get(
            "synchronous"
        ):
            self._flush()
        return self._sequence

    def submit_life_cycle(self, collection: str, fqn: str, life_cycle: bytes | str) -> int:
        self._check()
        self._sequence += 1
        body = life_cycle.encode() if isinstance(life_cycle, str) else life_cycle
        self._pending.append(Pending(self._sequence, "life_cycle", collection, fqn, body))
        return self._sequence

    def _end(self, record: Pending, status: str, reason: str | None) -> None:
        for sequence in (record.sequence, *self._shared.pop(record.sequence, ())):
            if status == "failed":
                self._failed.add(sequence)
            self._outcomes.append(
                Outcome(status, record.kind, record.collection, record.fqn, reason, 1, sequence, record.label)
            )

    def _flush(self) -> None:
        """Everything: what waits for nothing first, one PUT for each collection; life cycles after their entities."""
        waiting, self._pending = self._pending, []
        while waiting:
            ready = [one for at, one in enumerate(waiting) if not self._held(one, waiting, at)]
            for collection in dict.fromkeys(one.collection for one in ready):
                batch = [one for one in ready if one.collection == collection and one.kind == "create"]
                for start in range(0, len(batch), self.batch_size):
                    self._put(collection, batch[start : start + self.batch_size])
            for one in ready:
                if one.kind == "life_cycle":
                    self._patch(one)
            sent = {one.sequence for one in ready}
            waiting = [one for one in waiting if one.sequence not in sent]

    @staticmethod
    def _held(record: Pending, waiting: list[Pending], at: int) -> bool:
        wanted = {canonical_fqn(name) for name in (record.parent, *record.needs, record.fqn) if name}
        before = waiting if record.kind == "life_cycle" else waiting[:at]
        if any(one.sequence == record.first for one in before):
            return True
        return any(canonical_fqn(one.fqn) in wanted for one in before if one.kind == "create")

    def _patch(self, record: Pending) -> None:
        patch = json.dumps([{"op": "add", "path": "/lifeCycle", "value": json.loads(record.body)}]).encode()
        answer = self._send("PATCH", f"/{record.collection}/name/{quote(record.fqn, safe='')}", patch)
        self._end(record, "written" if answer.ok else "failed", None if answer.ok else answer.text)

    def _put(self, collection: str, batch: list[Pending]) -> None:
        for one in [one for one in batch if one.first in self._failed]:
            self._end(one, "failed", "what must be written first failed")
            batch.remove(one)
        if not batch:
            return
        body = b"[" + b",".join(one.body for one in batch) + b"]"
        answer = self._send("PUT", f"/{collection}/bulk?{self.arguments['bulk_query']}", body)
        failed = {}
        if answer.ok:
            for row in answer.json().get("failedRequest") or []:
                request = row["request"]
                name = request if isinstance(request, str) else self._name_of(collection, request)
                failed[canonical_fqn(name)] = row.get("message")
        for one in batch:
            if not answer.ok:
                self._end(one, "failed", f"{answer.status_code} {answer.text}")
            elif canonical_fqn(one.fqn) in failed:
                reason = failed[canonical_fqn(one.fqn)]
                status = "warned" if "checksum" in str(reason) else "failed"
                self._end(one, "written" if "without its foreign key" in str(reason) else status, reason)
            else:
                self._end(one, "written", None)

    @staticmethod
    def _name_of(collection: str, request: dict[str, Any]) -> str:
        form = records.form_of_collection(collection)
        return form.fqn(request, form.parent(request))

    def _touches(self, scope: dict[str, Any]) -> bool:
        fqn, under, collection = scope.get("fqn"), scope.get("under"), scope.get("collection")
        spared = {canonical_fqn(one) for one in scope.get("except_fqns") or ()}
        for one in self._pending:
            name = canonical_fqn(one.fqn)
            if scope.get("up_to") is not None and one.sequence > scope["up_to"]:
                continue
            if fqn is not None:
                wanted = canonical_fqn(fqn)
                if name != wanted and not (scope.get("subtree") and name.startswith(wanted + ".")):
                    continue
            if collection is not None and one.collection != collection:
                continue
            if under is not None and not name.startswith(canonical_fqn(under) + "."):
                continue
            if name in spared:
                continue
            return True
        return False

    def wait(self, **scope: Any) -> float:
        self._check()
        self.waits.append({name: value for name, value in scope.items() if value not in (None, (), False)})
        if scope.get("fqn") is not None:
            canonical_fqn(scope["fqn"])
        if self._touches(scope):
            self._flush()
            return 0.01
        return 0.0

    def drain(self, timeout: float | None = None) -> float:  # noqa: ARG002
        self._check()
        self._flush()
        return 0.0

    def close(self, timeout: float | None = None) -> None:  # noqa: ARG002
        self._check()
        if not self.closed:
            self._flush()
            self.closed = True

    def __enter__(self) -> BulkSink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take_outcomes(self) -> list[Outcome]:
        self._check()
        taken, self._outcomes = self._outcomes, []
        return taken

    def pending_body(self, collection: str, fqn: str) -> bytes | None:
        wanted = canonical_fqn(fqn)
        for one in reversed(self._pending):
            if one.kind == "create" and one.collection == collection and canonical_fqn(one.fqn) == wanted:
                return one.body
        return None

    def pending_depth(self, collection: str, fqn: str) -> int | None:
        wanted = canonical_fqn(fqn)
        for at, one in enumerate(self._pending):
            if one.kind == "create" and one.collection == collection and canonical_fqn(one.fqn) == wanted:
                earlier = {
                    canonical_fqn(other.fqn): other.fqn
                    for other in self._pending[:at]
                    if other.collection == collection
                }
                depths = [
                    1 + (self.pending_depth(collection, need) or 0)
                    for need in one.needs
                    if canonical_fqn(need) in earlier
                ]
                return max(depths, default=0)
        return None

    def cut_chains(self) -> None:
        self._check()

    def forget_written(self) -> None:
        self._check()
        self.forgotten += 1

    def mark(self) -> int:
        self._check()
        return self._sequence

    def stats(self) -> Any:
        pending = len(self._pending)
        return types.SimpleNamespace(
            submitted=self._sequence,
            pending=pending,
            requests=self.requests,
            retries=0,
            blocked_seconds=0.0,
            max_in_flight=1,
        )

    def server_version(self, timeout: float = 10.0) -> str:
        try:
            answer = requests.get(f"{self.base_url}/system/version", timeout=timeout)
            answer.raise_for_status()
            return str(answer.json()["version"])
        except (requests.RequestException, KeyError, ValueError) as error:
            raise TransportError(str(error)) from error


#: Every sink that was made, for tests to look at.
made: list[BulkSink] = []


def install() -> None:
    """Be `openmetadata_bulksink._native` for this process."""
    sys.modules["openmetadata_bulksink._native"] = sys.modules[__name__]
