"""Memory stays bounded when the source outruns the server, and around records that are larger than the budget.

Smaller here than with `make memory`, which sends a million tables (BULKSINK_TEST_TABLES).
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import prepare

pytestmark = [pytest.mark.wheel]

TABLES = int(os.environ.get("BULKSINK_TEST_TABLES", "60000"))
#: From here on nothing may grow: the budget is full and everything has been allocated once.
SETTLED = min(50_000, TABLES // 2)

PROGRAM = """
import json, os, sys
from openmetadata_bulksink import BulkSink

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024

SCHEMA = "lake.main.public"
tables, settled = int(sys.argv[1]), int(sys.argv[2])
columns = [{"name": f"column_{n:03}", "dataType": "INT", "description": "d" * 100} for n in range(32)]
at = {}
written = failed = 0
with BulkSink(os.environ["URL"], token=os.environ["TOKEN"], workers=4) as sink:
    for number in range(tables):
        body = json.dumps({"name": f"t{number}", "databaseSchema": SCHEMA, "columns": columns})
        sink.submit("tables", f"{SCHEMA}.t{number}", body, parent=SCHEMA)
        for outcome in sink.take_outcomes():
            written += outcome.status == "written"
            failed += outcome.status != "written"
        if number + 1 == settled:
            at["settled"] = rss()
    blocked = sink.stats().blocked_seconds
    at["end"] = rss()
    sink.drain()
    for outcome in sink.take_outcomes():
        written += outcome.status == "written"
        failed += outcome.status != "written"
print(json.dumps({"written": written, "failed": failed, "blocked": blocked, "body": len(body), **at}))
"""


def run(server: ReferenceServer, program: str, *arguments: object, timeout: float = 280) -> dict[str, float]:
    import json

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *[str(argument) for argument in arguments]],
        env={**os.environ, "URL": f"{server.url}/v1", "TOKEN": server.token},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.timeout(7_200)
def test_memory_is_flat_when_the_source_outruns_the_server(server_program: Path) -> None:
    """Entities are not kept by the server: a million tables of 5 kB would fill it, not us."""
    # A request every 120 ms on each of four workers: slower than the program makes tables, also on a busy machine.
    latency = {"bulk": {"request_ms": 120}}
    with ReferenceServer(server_program, latency=latency, arguments=["--keep-bodies", "false"]) as server:
        prepare(server)
        found = run(server, PROGRAM, TABLES, SETTLED, timeout=7_000)
    print(f"{TABLES} tables of {found['body']} bytes: {found}")
    assert found["written"] == TABLES
    assert found["failed"] == 0
    assert found["blocked"] > 1, "the source did not outrun the server"
    assert 4_500 < found["body"] < 6_000
    grown = (found["end"] - found["settled"]) / 1_024
    assert grown < 16, f"{grown:.0f} MiB more than after {SETTLED} tables"
    assert found["end"] / 1_024 < 250, f"{found['end'] / 1_024:.0f} MiB"


LARGE = """
import json, os, sys
from openmetadata_bulksink import BulkSink

SCHEMA = "lake.main.public"
size, budget = int(sys.argv[1]), int(sys.argv[2])
def body(name, text):
    columns = [{"name": "c", "dataType": "INT"}]
    return json.dumps({"name": name, "databaseSchema": SCHEMA, "description": text, "columns": columns})
with BulkSink(os.environ["URL"], token=os.environ["TOKEN"], budget_bytes=budget) as sink:
    for number in range(20):
        sink.submit("tables", f"{SCHEMA}.s{number}", body(f"s{number}", "small"), parent=SCHEMA)
    sink.submit("tables", f"{SCHEMA}.large", body("large", "x" * size), parent=SCHEMA)
    for number in range(20, 40):
        sink.submit("tables", f"{SCHEMA}.s{number}", body(f"s{number}", "small"), parent=SCHEMA)
    sink.drain()
    lost = [outcome.reason for outcome in sink.take_outcomes() if outcome.status != "written"]
print(json.dumps({"lost": len(lost), "reasons": lost[:2]}))
"""


@pytest.mark.parametrize(
    ("size", "budget"), [(100 << 20, 64 << 20), (10_000, 1_000)], ids=["100 MB", "a budget smaller than a record"]
)
def test_a_record_that_is_larger_than_the_budget(server: ReferenceServer, size: int, budget: int) -> None:
    prepare(server)
    found = run(server, LARGE, size, budget)
    assert found["lost"] == 0, found
    tables = server.state()["tables"]
    assert len(tables) == 41
    assert len(tables["lake.main.public.large"]["description"]) == size


SILENT = """
import json, os, sys, threading, time
from openmetadata_bulksink import BulkSink

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

SCHEMA = "lake.main.public"
kind, records, budget = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
life_cycle = json.dumps({"created": {"timestamp": 1, "accessedBy": {"id": "x" * 36, "type": "user"}}})
table = json.dumps({"name": "t", "databaseSchema": SCHEMA, "columns": [{"name": "c", "dataType": "INT"}]})
sink = BulkSink(os.environ["URL"], token=os.environ["TOKEN"], budget_bytes=budget)
given = 0

def feed():
    global given
    for number in range(records):
        if kind == "life cycles":
            sink.submit_life_cycle("tables", f"{SCHEMA}.t{number}", life_cycle)
        else:
            sink.submit("tables", f"{SCHEMA}.t", table, parent=SCHEMA)
        given = number + 1

before = rss()
feeder = threading.Thread(target=feed, daemon=True)
feeder.start()
# It waits for room: nothing is taken for a while, and nothing is answered.
seen = -1
while feeder.is_alive() and seen != given:
    seen = given
    feeder.join(3)
grown = rss() - before
found = {"given": given, "waits": feeder.is_alive(), "pending": sink.stats().pending, "grown": grown}
print(json.dumps(found), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("kind", "records", "waits"),
    [("life cycles", 1_000_000, True), ("repeats of one record", 50_000, None)],
    ids=["life cycles", "repeats"],
)
def test_a_silent_server_costs_the_budget_and_no_more(
    server: ReferenceServer, kind: str, records: int, waits: bool | None
) -> None:
    budget = 64 << 20
    server.set_faults([{"do": {"kind": "stall"}}])
    found = run(server, SILENT, kind, records, budget)
    server.set_faults([])
    print(f"{kind}: {found}")
    assert waits is None or found["waits"] is waits
    assert found["given"] == records or found["waits"]
    assert found["pending"] == found["given"]
    assert found["grown"] <= budget + (30 << 20), f"{found['grown'] / (1 << 20):.0f} MiB"
