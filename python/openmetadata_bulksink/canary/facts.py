"""What this server does where servers differ, asked in a service of our own, one request for each question.

Each answer is one line for people and one for the report, with the status and the server's own words.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from openmetadata_bulksink.canary.asking import Answer, Server, by_name
from openmetadata_bulksink.canary.catalogue import COLLECTIONS
from openmetadata_bulksink.canary.reading import masked


class Fact(NamedTuple):
    """question: a word for the report. answer: in words. detail: statuses, counts and texts, names masked."""

    question: str
    answer: str
    detail: Any = None


class _Table(NamedTuple):
    """Where the questions are asked."""

    server: Server
    service: str
    schema: str

    def bulk(self, *rows: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
        body = json.dumps([{"databaseSchema": self.schema, "columns": _COLUMNS, **row} for row in rows]).encode()
        if headers:
            body = gzip.compress(body)
        return self.server.ask("PUT", "/tables/bulk?async=false", body, headers=headers)

    def get(self, name: str, fields: str = "") -> Answer:
        return self.server.ask("GET", f"{by_name('tables', f'{self.schema}.{name}')}?fields={fields}")


_COLUMNS = [{"name": "id", "dataType": "INT"}]


def all_of(server: Server, service: str) -> list[Fact]:
    """Everything that is asked. service: an empty one of ours. Where even its schema cannot be made, only that."""
    found = [_version(server), *_bulk_routes(server)]
    database, schema = f"{service}.facts", f"{service}.facts.public"
    made = [
        server.until_answered("PUT", "/databases", {"name": "facts", "service": service}),
        server.until_answered("PUT", "/databaseSchemas", {"name": "public", "database": database}),
    ]
    for answer in made:
        if not answer.well:
            return [*found, Fact("schema", f"a schema could not be made ({answer.status})", answer.message)]
    table = _Table(server, service, schema)
    for ask in _QUESTIONS:
        found += [one._replace(detail=masked(one.detail, service)) for one in ask(table)]
    return found


def _version(server: Server) -> Fact:
    found = server.ask("GET", "/system/version")
    version = found.body.get("version") if isinstance(found.body, dict) else None
    return Fact("version", str(version or found.status), {"server": found.headers.get("server")})


def _bulk_routes(server: Server) -> Iterator[Fact]:
    """An empty bulk request for each collection: what answers it exists, and nothing is written."""
    answers = {name: server.ask("PUT", f"/{name}/bulk?async=false", b"[]") for name in _WITH_BULK}
    there = [name for name, answer in answers.items() if answer.status not in (404, 405)]
    lacking = [name for name in _WITH_BULK if name not in there]
    text = f"{len(there)} of {len(answers)} collections" + (f"; not {', '.join(lacking)}" if lacking else "")
    yield Fact("bulk", text, {name: answer.status for name, answer in answers.items()})


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


def _form(table: _Table) -> Iterator[Fact]:
    """A new row, the same row, a refused row: how the answer looks."""
    first, again = table.bulk({"name": "form"}), table.bulk({"name": "form"})
    mixed = table.bulk({"name": "form"}, {"name": "refused", "tags": [_NO_TAG]})
    shapes = {"new": _shape(first), "known": _shape(again), "one of two refused": _shape(mixed)}
    body = mixed.body if isinstance(mixed.body, dict) else {}
    failed = body.get("failedRequest") or []
    echo = "echoed whole" if failed and isinstance(failed[0].get("request"), dict) else "named"
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


def _refusals(table: _Table) -> Iterator[Fact]:
    """The texts of refusals, one row a request."""
    rows: dict[str, dict[str, Any]] = {
        "unknown tag": {"tags": [_NO_TAG]},
        "unknown owner": {"owners": [{"id": "00000000-0000-4000-8000-000000000000", "type": "user"}]},
        "missing parent": {"databaseSchema": f"{table.service}.facts.nowhere"},
        "missing length": {"columns": [{"name": "c", "dataType": "VARCHAR"}]},
        "repeated column": {"columns": [*_COLUMNS, *_COLUMNS]},
        "long name": {"name": "n" * 257},
        "name with ::": {"name": "a::b"},
        "unknown field": {"noSuchField": 1},
        "unknown type": {"columns": [{"name": "c", "dataType": "NOSUCHTYPE"}]},
    }
    texts = {}
    for what, wrong in rows.items():
        answer = table.bulk({"name": "refused", **wrong})
        texts[what] = _first_row(answer)
    parent = texts["missing parent"]
    yield Fact("missing parent", str(parent[1] or "taken")[:200].replace(table.service, "SERVICE"), parent)
    whole = [what for what, (status, _) in texts.items() if not 200 <= status < 300]
    taken = [what for what, (status, text) in texts.items() if 200 <= status < 300 and text is None]
    said = f"{len(rows) - len(whole) - len(taken)} of {len(rows)} sorts by their row"
    said += f"; the whole request for {', '.join(whole)}" if whole else ""
    said += f"; taken: {', '.join(taken)}" if taken else ""
    yield Fact("refusals", said, texts)


def _first_row(answer: Answer) -> tuple[int, str | None]:
    """The status of the request, and what was said of its only row; None: it was taken."""
    failed = answer.body.get("failedRequest") if isinstance(answer.body, dict) else None
    if answer.well:
        return answer.status, str(failed[0].get("message"))[:300] if failed else None
    return answer.status, answer.message


def _parents(table: _Table) -> Iterator[Fact]:
    """Whether a row sees another row of its request: a foreign key to a table that comes with it."""
    key = {"constraintType": "FOREIGN_KEY", "columns": ["id"], "referredColumns": [f"{table.schema}.referred.id"]}
    answer = table.bulk({"name": "referred"}, {"name": "referring", "tableConstraints": [key]})
    status, text = _first_row(answer)
    yield Fact("rows of one request", "see each other" if text is None else "do not see each other", [status, text])


def _patch_by_name(table: _Table) -> Iterator[Fact]:
    table.bulk({"name": "patched"})
    patch = [{"op": "add", "path": "/lifeCycle", "value": {"created": {"timestamp": 1_700_000_000_000}}}]
    answer = table.server.ask(
        "PATCH",
        by_name("tables", f"{table.schema}.patched"),
        patch,
        headers={"Content-Type": "application/json-patch+json", "Content-type": "application/json-patch+json"},
    )
    there = table.get("patched", "lifeCycle")
    kept = bool(there.well and isinstance(there.body, dict) and there.body.get("lifeCycle"))
    yield Fact("PATCH by name", "yes" if answer.well and kept else f"no ({answer.status})", _said(answer))


def _source_hash(table: _Table) -> Iterator[Fact]:
    """Whether a row with a known hash is skipped, and whether the hash can be read."""
    table.bulk({"name": "hashed", "sourceHash": "h1"})
    table.bulk({"name": "hashed", "sourceHash": "h1", "displayName": "changed"})
    there = table.get("hashed", "sourceHash")
    body = there.body if isinstance(there.body, dict) else {}
    skipped = body.get("displayName") != "changed"
    text = f"{'a row with a known hash is skipped' if skipped else 'every row is compared'}; the hash is "
    text += "kept" if body.get("sourceHash") == "h1" else "not kept"
    yield Fact("sourceHash", text, {"skipped": skipped, "kept": body.get("sourceHash") == "h1"})


def _gzip(table: _Table) -> Iterator[Fact]:
    answer = table.bulk({"name": "zipped"}, headers={"Content-Encoding": "gzip"})
    yield Fact("gzip", "read" if table.get("zipped").well else f"not read ({answer.status})", _said(answer))


def _said(answer: Answer) -> Any:
    return [answer.status] if answer.well else [answer.status, answer.message]


_QUESTIONS: tuple[Callable[[_Table], Iterator[Fact]], ...] = (
    _form,
    _refusals,
    _parents,
    _patch_by_name,
    _source_hash,
    _gzip,
)
