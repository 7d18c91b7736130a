"""The report's workload: Amazon Redshift, 9,962 tables, 385 life cycles, and the rates that were measured there.

A smaller scale means fewer tables, never other rates. Standard library only: it runs in the process that is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from benchmarks.designs.records import Entity, LifeCycle, Record

REPORT_TABLES = 9_962
REPORT_LIFE_CYCLES = 385
REPORT_SCHEMAS = 10

EXTRACT_MS = 39.0
SINGLE_PUT_MS = 131.0
BULK_REQUEST_MS = 105.0
BULK_ROW_MS = 26.0
LIFE_CYCLE_GET_MS = 39.0
LIFE_CYCLE_PATCH_MS = 39.0

SERVICE = "warehouse"
DATABASE = f"{SERVICE}.dev"
COLUMNS = 20

_TYPES = ("BIGINT", "VARCHAR", "NUMERIC", "TIMESTAMP", "BOOLEAN", "DOUBLE", "DATE", "INT", "SMALLINT", "CHAR")
# 1 January 2026, in milliseconds; each table is a second younger than the one before.
_FIRST_CREATION = 1_767_225_600_000

T = TypeVar("T")


@dataclass(frozen=True)
class Scale:
    """How much of the report's workload; `tables` of it, and the rest in proportion."""

    tables: int

    @property
    def schemas(self) -> int:
        """At least one."""
        return max(1, round(self.tables * REPORT_SCHEMAS / REPORT_TABLES))

    @property
    def life_cycles(self) -> int:
        """At least one."""
        return max(1, round(self.tables * REPORT_LIFE_CYCLES / REPORT_TABLES))

    def describe(self) -> str:
        """For a document."""
        text = (
            f"{self.tables:,} tables in {self.schemas} schema{'s' * (self.schemas > 1)}, {self.life_cycles} life cycles"
        )
        return text if self.tables == REPORT_TABLES else f"{text} ({self.tables / REPORT_TABLES:.1%} of the report's)"


def latency() -> dict[str, dict[str, float]]:
    """The rates as the reference server takes them."""
    return {
        "bulk": {"request_ms": BULK_REQUEST_MS, "row_ms": BULK_ROW_MS},
        "single": {"request_ms": SINGLE_PUT_MS},
        "get": {"request_ms": LIFE_CYCLE_GET_MS},
        "patch": {"request_ms": LIFE_CYCLE_PATCH_MS},
        "life_cycle": {"request_ms": LIFE_CYCLE_PATCH_MS},
    }


def rates() -> dict[str, float]:
    """The same for people and for the results."""
    return {
        "extraction, a table": EXTRACT_MS,
        "single PUT": SINGLE_PUT_MS,
        "bulk PUT, a request": BULK_REQUEST_MS,
        "bulk PUT, a row": BULK_ROW_MS,
        "life cycle, GET": LIFE_CYCLE_GET_MS,
        "life cycle, PATCH": LIFE_CYCLE_PATCH_MS,
    }


def server_seconds(scale: Scale, batch: int = 100) -> float:
    """S: what the server works on this catalogue if every request is full and a life cycle is one PATCH."""
    rows = 1 + scale.schemas + scale.tables
    requests = 2 + -(-scale.tables // batch)
    milliseconds = rows * BULK_ROW_MS + requests * BULK_REQUEST_MS + scale.life_cycles * LIFE_CYCLE_PATCH_MS
    return milliseconds / 1000


def service_request() -> dict[str, Any]:
    """The database service, which exists before a run starts."""
    return {"name": SERVICE, "serviceType": "Redshift"}


def records(scale: Scale) -> Iterator[Record]:
    """The catalogue in a source's order, at once: the database, schemas with their tables, life cycles behind them."""
    yield Entity("databases", DATABASE, {"name": "dev", "service": SERVICE})
    with_life_cycle = {index * scale.tables // scale.life_cycles for index in range(scale.life_cycles)}
    last_schema = ""
    for number in range(scale.tables):
        schema = f"{DATABASE}.mart_{number * scale.schemas // scale.tables:03}"
        if schema != last_schema:
            yield Entity("databaseSchemas", schema, {"name": schema.rsplit(".", 1)[1], "database": DATABASE})
            last_schema = schema
        yield table(schema, number)
        if number in with_life_cycle:
            yield LifeCycle(f"{schema}.{_name(number)}", {"created": {"timestamp": _FIRST_CREATION + number * 1000}})


def table(schema: str, number: int, columns: int = COLUMNS) -> Entity:
    """The create request of one table."""
    body = {
        "name": _name(number),
        "description": f"Fact table {number}",
        "tableType": "Regular",
        "columns": [_column(number, position) for position in range(columns)],
        "databaseSchema": schema,
        "sourceHash": f"{number:032x}",
    }
    return Entity("tables", f"{schema}.{_name(number)}", body)


def _name(number: int) -> str:
    return f"fact_{number:05}"


def _column(table_number: int, position: int) -> dict[str, Any]:
    kind = _TYPES[(table_number + position) % len(_TYPES)]
    column: dict[str, Any] = {
        "name": f"c{position:03}",
        "dataType": kind,
        "dataTypeDisplay": kind.lower(),
        "description": f"Column {position} of fact table {table_number}",
        "constraint": "NOT_NULL" if position % 7 == 0 else "NULL",
        "ordinalPosition": position + 1,
    }
    if kind in ("VARCHAR", "CHAR"):
        column["dataLength"] = 256
    return column


def extracted(scale: Scale, convert: Callable[[Record], T]) -> Iterator[T]:
    """The catalogue at the report's speed: each table takes 39 ms, what it costs to build it included.

    Like a real extraction it holds the thread it runs on, and does not catch up on time that its consumer took.
    """
    catalogue = records(scale)
    started = time.perf_counter()
    for record in catalogue:
        item = convert(record)
        if isinstance(record, Entity) and record.collection == "tables":
            time.sleep(max(0.0, started + EXTRACT_MS / 1000 - time.perf_counter()))
        yield item
        started = time.perf_counter()


def scale_as_dict(scale: Scale) -> dict[str, int]:
    """For the results."""
    return {**asdict(scale), "schemas": scale.schemas, "life_cycles": scale.life_cycles}
