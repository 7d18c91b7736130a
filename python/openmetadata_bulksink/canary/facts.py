"""What this server does where servers differ, asked in a service of our own, one request for each question.

Each answer is one line for people and one for the report, with the status and the server's own words. What the server
does not answer now, and what a row would have shown that it did not take, is not known, and no property of it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from openmetadata_bulksink.canary.asking import AWAY, Answer, Server, by_name
from openmetadata_bulksink.canary.catalogue import COLLECTIONS
from openmetadata_bulksink.canary.reading import masked


class Fact(NamedTuple):
    """question: a word for the report. answer: in words. detail: statuses, counts and texts, names masked."""

    question: str
    answer: str
    detail: Any = None


class _NotKnown(Exception):
    """Why a question has no answer."""


class Place:
    """Where the questions are asked: a schema in a service of ours."""

    def __init__(self, server: Server, service: str) -> None:
        """service: an empty one. Sends no request."""
        self._server, self._answers, self.service = server, True, service
        self.database, self.schema = f"{service}.facts", f"{service}.facts.public"

    def fill(self) -> tuple[str, Answer] | None:
        """One of everything that the catalogue has. Returns the first collection that the token may not write, and the
        answer.
        """
        bodies: dict[str, Any] = {
            "databases": {"name": "facts", "service": self.service},
            "databaseSchemas": {"name": "public", "database": self.database},
            "tables": self._rows({"name": "first"}),
            "storedProcedures": {
                "name": "p",
                "databaseSchema": self.schema,
                "storedProcedureCode": {"code": "SELECT 1"},
            },
        }
        for collection, body in bodies.items():
            path = _TABLES if collection == "tables" else f"/{collection}"
            refused = _refused_row(self._server.until_answered("PUT", path, body))
            if refused is not None and refused.forbidden:
                return collection, refused
        return None

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """A request until it is answered; once only where the one before was not. Raises _NotKnown."""
        # 500 may be the server's word to this very request, always.
        passing = AWAY if self._answers else ()
        answer = self._server.until_answered(method, path, body, headers=headers, patience=_PATIENCE, passing=passing)
        self._answers = not answer.away
        if answer.away:
            raise _NotKnown(f"not answered ({answer.status})")
        return answer

    def bulk(self, *rows: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
        body = self._rows(*rows)
        return self.ask("PUT", _TABLES, gzip.compress(body) if headers else body, headers)

    def take(self, row: dict[str, Any]) -> Answer:
        """A row that has to be taken for what is asked next. Raises _NotKnown."""
        answer = self.bulk(row)
        refused = _refused_row(answer)
        if refused is not None:
            raise _NotKnown(f"not known: a row was not taken ({refused.status})")
        return answer

    def get(self, name: str, fields: str = "") -> Answer:
        return self.ask("GET", f"{by_name('tables', f'{self.schema}.{name}')}?fields={fields}")

    def _rows(self, *rows: dict[str, Any]) -> bytes:
        return json.dumps([{"databaseSchema": self.schema, "columns": _COLUMNS, **row} for row in rows]).encode()


_TABLES = "/tables/bulk?async=false"
_COLUMNS = [{"name": "id", "dataType": "INT"}]

#: Seconds for a connection, and for an answer.
_PATIENCE = (10.0, 30.0)


def all_of(place: Place) -> list[Fact]:
    """Everything that is asked."""
    found: list[Fact] = []
    for question, ask in _QUESTIONS.items():
        try:
            found += [one._replace(detail=masked(one.detail, place.service)) for one in ask(place)]
        except _NotKnown as reason:
            found.append(Fact(question, str(reason)))
    return found


def _version(place: Place) -> Iterator[Fact]:
    found = place.ask("GET", "/system/version")
    version = found.body.get("version") if isinstance(found.body, dict) else None
    yield Fact("version", str(version or f"not said ({found.status})"), {"server": found.headers.get("server")})


def _bulk_routes(place: Place) -> Iterator[Fact]:
    """An empty bulk request for each collection: what answers it exists, and nothing is written."""
    statuses: dict[str, int | None] = {}
    for name in _WITH_BULK:
        try:
            statuses[name] = place.ask("PUT", f"/{name}/bulk?async=false", b"[]").status
        except _NotKnown:
            statuses[name] = None
    unknown = [name for name, status in statuses.items() if status is None]
    lacking = [name for name, status in statuses.items() if status in (404, 405)]
    text = f"{len(statuses) - len(lacking) - len(unknown)} of {len(statuses)} collections"
    text += f"; not {', '.join(lacking)}" if lacking else ""
    text += f"; not answered: {', '.join(unknown)}" if unknown else ""
    yield Fact("bulk", text, statuses)


_WITH_BULK = (
    *COLLECTIONS,
    "queries",
    "charts",
    "dashboards",
    "dashboard/datamodels",
    "topics",
    "searchIndexes",
    "mlmodels",
    "apiCollections",
    "apiEndpoints",
    "containers",
    "pipelines",
    "metrics",
    "drives/directories",
    "drives/files",
    "drives/spreadsheets",
    "drives/worksheets",
)


def _form(place: Place) -> Iterator[Fact]:
    """A new row, the same row, a refused row: how the answer looks."""
    first, again = place.take({"name": "form"}), place.take({"name": "form"})
    mixed = place.bulk({"name": "form"}, {"name": "refused", "tags": [_NO_TAG]})
    shapes = {"new": _shape(first), "known": _shape(again), "one of two refused": _shape(mixed)}
    body = mixed.body if isinstance(mixed.body, dict) else {}
    failed = _first_failure(mixed)
    if not mixed.well or failed is None:
        how = "taken" if mixed.well else "refused with its whole request"
        yield Fact("form", f"status {mixed.status}, a bad row is {how}", shapes)
        return
    echo = "echoed whole" if isinstance(failed.get("request"), dict) else "named"
    yield Fact("form", f"status {body.get('status')}, a refused row is {echo}", shapes)


_NO_TAG = {"tagFQN": "NoSuchThing.AtAll", "source": "Classification", "labelType": "Manual", "state": "Confirmed"}


def _shape(answer: Answer) -> Any:
    """The form of an answer: names, types, statuses and counts; no text."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: of(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [of(value[0]), f"{len(value)} rows"] if value else []
        return value if isinstance(value, (int, bool)) or value is None else type(value).__name__

    return {"status": answer.status, "body": of(answer.body)}


def _refusals(place: Place) -> Iterator[Fact]:
    """The texts of refusals, one row a request."""
    rows: dict[str, dict[str, Any]] = {
        "unknown tag": {"tags": [_NO_TAG]},
        "unknown owner": {"owners": [{"id": "00000000-0000-4000-8000-000000000000", "type": "user"}]},
        "missing parent": {"databaseSchema": f"{place.service}.facts.nowhere"},
        "missing length": {"columns": [{"name": "c", "dataType": "VARCHAR"}]},
        "repeated column": {"columns": [*_COLUMNS, *_COLUMNS]},
        "long name": {"name": "n" * 257},
        "name with ::": {"name": "a::b"},
        "unknown field": {"noSuchField": 1},
        "unknown type": {"columns": [{"name": "c", "dataType": "NOSUCHTYPE"}]},
    }
    place.take({"name": "good"})
    texts = {}
    for what, wrong in rows.items():
        answer = place.bulk({"name": "refused", **wrong})
        texts[what] = _first_row(answer)
    parent = texts["missing parent"]
    yield Fact("missing parent", str(parent[1] or "taken")[:200].replace(place.service, "SERVICE"), parent)
    whole = [what for what, (status, _) in texts.items() if not 200 <= status < 300]
    taken = [what for what, (status, text) in texts.items() if 200 <= status < 300 and text is None]
    said = f"{len(rows) - len(whole) - len(taken)} of {len(rows)} sorts by their row"
    said += f"; the whole request for {', '.join(whole)}" if whole else ""
    said += f"; taken: {', '.join(taken)}" if taken else ""
    yield Fact("refusals", said, texts)


def _first_failure(answer: Answer) -> Any:
    """What a bulk answer says of the first row that it refused; None: it refused none."""
    failed = answer.body.get("failedRequest") if isinstance(answer.body, dict) else None
    return failed[0] if failed else None


def _refused_row(answer: Answer) -> Answer | None:
    """The answer to a request of one row, with the row's own status where that was refused; None: it was taken."""
    if not answer.well:
        return answer
    failed = _first_failure(answer)
    if failed is None:
        return None
    status = failed.get("status")
    return Answer(status if isinstance(status, int) else answer.status, str(failed.get("message")), None, {})


def _first_row(answer: Answer) -> tuple[int, str | None]:
    """The status of the request, and what was said of its only row; None: it was taken."""
    if not answer.well:
        return answer.status, answer.message
    failed = _first_failure(answer)
    return answer.status, None if failed is None else str(failed.get("message"))[:300]


def _parents(place: Place) -> Iterator[Fact]:
    """Whether a row sees another row of its request: a foreign key to a table that comes with it."""
    key = {"constraintType": "FOREIGN_KEY", "columns": ["id"], "referredColumns": [f"{place.schema}.referred.id"]}
    place.take({"name": "alone"})
    answer = place.bulk({"name": "referred"}, {"name": "referring", "tableConstraints": [key]})
    status, text = _first_row(answer)
    yield Fact("rows of one request", "see each other" if text is None else "do not see each other", [status, text])


def _patch_by_name(place: Place) -> Iterator[Fact]:
    place.take({"name": "patched"})
    patch = [{"op": "add", "path": "/lifeCycle", "value": {"created": {"timestamp": 1_700_000_000_000}}}]
    answer = place.ask(
        "PATCH",
        by_name("tables", f"{place.schema}.patched"),
        patch,
        headers={"Content-Type": "application/json-patch+json", "Content-type": "application/json-patch+json"},
    )
    there = place.get("patched", "lifeCycle")
    kept = bool(there.well and isinstance(there.body, dict) and there.body.get("lifeCycle"))
    yield Fact("PATCH by name", "yes" if answer.well and kept else f"no ({answer.status})", _said(answer))


def _source_hash(place: Place) -> Iterator[Fact]:
    """Whether a row with a known hash is skipped, and whether the hash can be read."""
    place.take({"name": "hashed", "sourceHash": "h1"})
    place.take({"name": "hashed", "sourceHash": "h1", "displayName": "changed"})
    there = place.get("hashed", "sourceHash")
    if not there.well:
        raise _NotKnown(f"not known: a table could not be read ({there.status})")
    body = there.body if isinstance(there.body, dict) else {}
    skipped = body.get("displayName") != "changed"
    text = f"{'a row with a known hash is skipped' if skipped else 'every row is compared'}; the hash is "
    text += "kept" if body.get("sourceHash") == "h1" else "not kept"
    yield Fact("sourceHash", text, {"skipped": skipped, "kept": body.get("sourceHash") == "h1"})


def _gzip(place: Place) -> Iterator[Fact]:
    place.take({"name": "plain"})
    answer = place.bulk({"name": "zipped"}, headers={"Content-Encoding": "gzip"})
    yield Fact("gzip", "read" if place.get("zipped").well else f"not read ({answer.status})", _said(answer))


def _said(answer: Answer) -> Any:
    return [answer.status] if answer.well else [answer.status, answer.message]


_QUESTIONS: dict[str, Callable[[Place], Iterator[Fact]]] = {
    "version": _version,
    "bulk": _bulk_routes,
    "form": _form,
    "refusals": _refusals,
    "rows of one request": _parents,
    "PATCH by name": _patch_by_name,
    "sourceHash": _source_hash,
    "gzip": _gzip,
}
