"""One run of the link benchmark in a process of its own: tables as large as asked for, written with `BulkSink` itself.

Runs in an environment of upstream with our wheel. The bodies are what upstream's own model of a create request
serialises to. Their words are drawn from a list, so that they compress as those of a warehouse that is described do.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from typing import Any

from benchmarks.designs.records import Entity
from benchmarks.report.frameworks import converter

# So many different tables, then the same again under other names: more than a batch, and than gzip looks back.
DISTINCT = 150
SCHEMA = "warehouse.dev.mart"

_NAME, _HASH = "name_of_the_table", "0123456789abcdef0123456789abcdef"

_TEXT = """
account active address adjusted agent amount approved area article audit average balance bank base batch billing birth
block branch brand budget campaign cancelled card carrier category channel charge city claim class client closed code
comment company contact content contract cost country coupon created credit currency customer cycle daily date day
debit default delivery department deposit description detail device discount district document domain due duration
effective email employee end entry error event exchange expected expiry external factor fee file first flag flow
forecast fraud full gender goods gross group hash header height hour house import income index initial inserted
insurance interest internal inventory invoice item job journal key kind label language last latitude ledger legal level
limit line list loan local location lock login lot main manager margin market master measure member merchant message
method minimum mobile model month name national net next note number offer office opened operator opportunity option
order origin owner package page parent partner party path payer payment percent period person phone place plan point
policy position postal previous price primary priority process product profile profit program project promotion
provider purchase quantity quarter quota range rank rate reason received record reference refund region registered
rejected related release remaining renewal report request requested reserve response result return revenue review risk
role route row rule salary sales sample scope score sector segment seller sequence service session shipment shipping
shop signed site size source stage standard start state status stock store street subject supplier survey system target
tax team territory text ticket time title total tracking transaction transfer trial type unit updated usage user valid
value variant vendor version visit volume warehouse week weight year zip zone
"""
_WORDS = _TEXT.split()
_KINDS = (
    ("VARCHAR", "character varying({})"),
    ("BIGINT", "bigint"),
    ("NUMERIC", "numeric(12,2)"),
    ("TIMESTAMP", "timestamp without time zone"),
    ("BOOLEAN", "boolean"),
    ("DATE", "date"),
    ("DOUBLE", "double precision"),
    ("INT", "integer"),
    ("TEXT", "text"),
)


def main(descriptor: int) -> None:
    """One job: {"url", "token", "tables", "body_bytes", "workers", "gzip"}."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())
        answers.write(json.dumps({"result": run(job)}) + "\n")


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds from the first table to the last outcome, and what this process computed in them."""
    from openmetadata_bulksink import BulkSink

    templates = bodies(int(job["body_bytes"]))
    sink = BulkSink(job["url"] + "/v1", token=job["token"], workers=int(job["workers"]), gzip=bool(job["gzip"]))
    sink.submit("services/databaseServices", "warehouse", b'{"name":"warehouse","serviceType":"Redshift"}')
    sink.submit("databases", "warehouse.dev", b'{"name":"dev","service":"warehouse"}', "warehouse")
    sink.submit("databaseSchemas", SCHEMA, b'{"name":"mart","database":"warehouse.dev"}', "warehouse.dev")
    sink.drain()
    sent_before = sink.stats().requests
    started, cpu = time.perf_counter(), _cpu()
    size = 0
    for number in range(int(job["tables"])):
        name = f"table_{number:011}"
        body = templates[number % DISTINCT].replace(_NAME.encode(), name.encode())
        body = body.replace(_HASH.encode(), f"{number:032x}".encode())
        size += len(body)
        sink.submit("tables", f"{SCHEMA}.{name}", body, SCHEMA)
    sink.drain()
    total = time.perf_counter() - started
    cpu = _cpu() - cpu
    outcomes = sink.take_outcomes()
    requests = sink.stats().requests - sent_before
    sink.close()
    return {
        "total_s": total,
        "cpu_s": cpu,
        "body_bytes": size / int(job["tables"]),
        "requests": requests,
        "lost": [outcome.reason for outcome in outcomes if outcome.status != "written"][:3],
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def bodies(size: int) -> list[bytes]:
    """Create requests of about so many bytes, with placeholders for the name and the source hash."""
    chance = random.Random(1)
    convert = converter()
    found = []
    for _ in range(DISTINCT):
        request = convert(Entity("tables", "", _table(chance, size)))
        found.append(request.model_dump_json(exclude_unset=True, exclude_none=True).encode())
    return found


def _table(chance: random.Random, size: int) -> dict[str, Any]:
    columns: list[dict[str, Any]] = []
    body = {
        "name": _NAME,
        "tableType": "Regular",
        "description": _sentence(chance, 12),
        "columns": columns,
        "tableConstraints": [],
        "databaseSchema": SCHEMA,
        "sourceHash": _HASH,
    }
    length = len(json.dumps(body, separators=(",", ":")))
    names: set[str] = set()
    while length < size:
        name = "_".join(chance.sample(_WORDS, chance.choice((1, 2, 2, 3))))
        if name not in names:
            names.add(name)
            columns.append(_column(chance, name, len(columns) + 1))
            length += len(json.dumps(columns[-1], separators=(",", ":"))) + 1
    return body


def _column(chance: random.Random, name: str, position: int) -> dict[str, Any]:
    kind, display = chance.choice(_KINDS)
    length = chance.choice((16, 32, 64, 128, 255, 256, 1000, 4000)) if kind == "VARCHAR" else 1
    column: dict[str, Any] = {
        "name": name,
        "dataType": kind,
        "dataLength": length,
        "dataTypeDisplay": display.format(length),
        "constraint": "NOT_NULL" if chance.random() < 0.3 else "NULL",
        "ordinalPosition": position,
    }
    if chance.random() < 0.4:
        column["description"] = _sentence(chance, chance.randint(4, 14))
    return column


def _sentence(chance: random.Random, length: int) -> str:
    words = chance.sample(_WORDS, length)
    for place in range(2, length, 3):
        words[place] = chance.choice(("of the", "in", "for each", "and", "as of the", "by", "that is"))
    return " ".join(words).capitalize() + "."


if __name__ == "__main__":
    main(int(sys.argv[1]))
