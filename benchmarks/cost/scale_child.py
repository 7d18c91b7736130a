"""Writes very many tables with `BulkSink` itself, and says how its memory and its time went.

Needs our wheel and nothing of upstream. The bodies come from a template: building a million real requests would take
upstream's models twenty minutes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

# Written so often: the state of memory, and progress.
SAMPLES = 40
TABLES_IN_A_SCHEMA = 1_000
TAKEN_EVERY = 1_000

_NAME = b"table_0000000"


def main(descriptor: int) -> None:
    """One job: {"url", "token", "tables", "body_bytes", "workers"}."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())

        def tell(message: dict[str, Any]) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        tell({"result": run(job, tell)})


def run(job: dict[str, Any], tell: Any) -> dict[str, Any]:
    """Memory samples, times, counts."""
    from openmetadata_bulksink import BulkSink

    tables = int(job["tables"])
    before, after = _template(int(job["body_bytes"]))
    page = os.sysconf("SC_PAGE_SIZE")
    every = max(1, tables // SAMPLES)
    samples: list[tuple[int, int]] = []
    counts = {"written": 0, "failed": 0, "warned": 0}
    reasons: list[str] = []
    sink = BulkSink(job["url"] + "/v1", token=job["token"], workers=int(job["workers"]))
    sink.submit("services/databaseServices", "warehouse", b'{"name":"warehouse","serviceType":"Redshift"}')
    sink.submit("databases", "warehouse.dev", b'{"name":"dev","service":"warehouse"}', "warehouse")

    def take() -> None:
        for outcome in sink.take_outcomes():
            counts[outcome.status] += 1
            if outcome.reason is not None and len(reasons) < 5:
                reasons.append(f"{outcome.fqn}: {outcome.reason}")

    started, cpu = time.perf_counter(), time.thread_time()
    schema = ""
    for number in range(tables):
        if number % TABLES_IN_A_SCHEMA == 0:
            name = f"mart_{number // TABLES_IN_A_SCHEMA:04}"
            schema = f"warehouse.dev.{name}"
            body = f'{{"name":"{name}","database":"warehouse.dev"}}'.encode()
            sink.submit("databaseSchemas", schema, body, "warehouse.dev")
        name = f"table_{number:07}"
        sink.submit(
            "tables", f"{schema}.{name}", b"".join((before, name.encode(), after, schema.encode(), b'"}')), schema
        )
        if number % TAKEN_EVERY == 0:
            take()
        if number % every == 0:
            samples.append((number, int(Path("/proc/self/statm").read_text().split()[1]) * page))
            tell({"submitted": number})
    submitted = time.perf_counter()
    sink.drain()
    take()
    ended = time.perf_counter()
    samples.append((tables, int(Path("/proc/self/statm").read_text().split()[1]) * page))
    stats = sink.stats().as_dict()
    main_cpu = time.thread_time() - cpu
    sink.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "total_s": ended - started,
        "submit_s": submitted - started,
        "main_cpu_s": main_cpu,
        "process_cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss_bytes": usage.ru_maxrss * 1024,
        "rss": samples,
        "body_bytes": len(before) + len(_NAME) + len(after) + len(schema) + 2,
        "counts": counts,
        "reasons": reasons,
        "stats": stats,
    }


def _template(size: int) -> tuple[bytes, bytes]:
    """The parts of a create request around the table's name and its schema."""
    columns: list[dict[str, Any]] = []
    while True:
        body = {"name": _NAME.decode(), "tableType": "Regular", "columns": columns, "databaseSchema": ""}
        text = json.dumps(body, separators=(",", ":")).encode()
        if len(text) >= size:
            break
        number = len(columns)
        columns.append(
            {
                "name": f"column_{number:03}",
                "dataType": "VARCHAR",
                "dataLength": 256,
                "dataTypeDisplay": "varchar(256)",
                "description": f"What column {number} means, in a sentence of the usual length for a description.",
                "ordinalPosition": number + 1,
            }
        )
    before, after = text.split(_NAME)
    return before, after.removesuffix(b'"}')


if __name__ == "__main__":
    main(int(sys.argv[1]))
