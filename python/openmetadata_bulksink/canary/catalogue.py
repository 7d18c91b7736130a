"""What both sinks write: a small catalogue in stages, as plain data. The same for every service, its name aside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openmetadata_bulksink.records import quote_name

Body = dict[str, Any]

#: The workflows, in order. A stage may only change what an earlier one has written.
STAGES = ("first", "again", "changed", "gone", "back")

#: Collections that are written, each with the field that names the parent; in the order of creation.
COLLECTIONS = {
    "databases": "service",
    "databaseSchemas": "database",
    "tables": "databaseSchema",
    "storedProcedures": "databaseSchema",
}

#: Tables that the server must refuse, each by a rule for its row. Anything that would refuse the whole request does not
#: stand here: upstream's sink loses the other 99 rows of it, and ours none.
REFUSED = {
    "refused_tag": "a tag that is not there",
    "refused_owner": "an owner that is not there",
    "refused_schema": "a schema that is not there",
    "refused_length": "a column without its length",
    "refused_twice": "two columns of one name",
}

#: Names as sources bring them; upstream's models encode what the server would not take.
ODD_NAMES = (
    "two words",
    "a.b",
    "a.b.c d",
    "with/slash",
    "x::y",
    "p>q",
    'quo"ted',
    "ünï–code ✓",
    "100%&+?#=;",
    "orders",
    "Orders",
    "ORDERS",
    " leading",
    "back\\slash",
    "it's",
    "(a,b)[c]{d}",
    "long_" * 40,
)

#: The workflows that send them.
REFUSING = ("first", "again")

_TABLES = 120
_GONE = 12
_ELSEWHERE = 14
#: Upstream's sink takes two requests for each, in three of the workflows.
_LIFE_CYCLES = 8
_CYCLES = (("key_0", "key_1", "key_2"), ("key_3", "key_4"), ("key_5",))


@dataclass(frozen=True)
class Record:
    """One thing that a source yields.

    act: `create` (collection and body), `life_cycle` (of the table `fqn`), `keys` (to be patched into the table `fqn`),
    `barrier`, `stale` (of `collection` below `fqn`; body holds what was seen).
    """

    act: str
    collection: str = ""
    fqn: str = ""
    body: Body = field(default_factory=dict)


class Given(NamedTuple):
    """What the server has already, for references: FQNs of tags, and an owner as a reference."""

    tags: tuple[str, ...] = ()
    owner: Body | None = None


class Catalogue:
    """The catalogue below one service."""

    def __init__(self, service: str, given: Given) -> None:
        self._service = quote_name(service)
        self._given = given
        self._shop = f"{self._service}.shop"
        self._public = f"{self._shop}.public"
        self._passing = f"{self._shop}.comes and goes"
        self._ware = f"{self._service}.{quote_name('ware.house')}"
        self._elsewhere = f"{self._ware}.{quote_name('dotted.schema')}"

    def stage(self, name: str) -> Iterator[Record]:
        """What the source yields in one workflow."""
        if name in ("first", "again", "changed"):
            yield from self._whole(name)
        elif name == "gone":
            yield from self._containers(with_passing=False)
            yield Record("barrier")
            seen = {"seen": [self._public]}
            yield Record("stale", "databaseSchemas", self._shop, seen)
        else:
            yield from self._containers()
            yield from self._tables_that_pass()

    def _whole(self, stage: str) -> Iterator[Record]:
        changed = stage == "changed"
        yield from self._containers(changed=changed)
        yield from self._tables_with_keys(stage)
        if stage in REFUSING:
            yield from self._refused()
        yield from self._tables(changed=changed)
        yield from self._tables_that_pass()
        yield from self._tables_elsewhere(changed=changed)
        yield from self._procedures(changed=changed)
        yield from self._life_cycles(changed=changed)
        yield Record("barrier")
        if stage == "first":
            for name, other in self._pairs():
                key = [_key(f"{self._public}.{other}.id")]
                yield Record("keys", "tables", f"{self._public}.{name}", {"tableConstraints": key})

    # --- what holds tables ---

    def _containers(self, *, changed: bool = False, with_passing: bool = True) -> Iterator[Record]:
        service = self._service.strip('"')
        about = {"description": "A database of the canary", "displayName": "Shop 2" if changed else "Shop"}
        yield _create("databases", {"name": "shop", "service": service, **about})
        yield _create("databases", {"name": "ware.house", "service": service})
        yield _create("databaseSchemas", {"name": "public", "database": self._shop, **self._tagged(0)})
        if with_passing:
            yield _create("databaseSchemas", {"name": "comes and goes", "database": self._shop})
        yield _create("databaseSchemas", {"name": "dotted.schema", "database": self._ware})

    # --- tables ---

    def _tables_with_keys(self, stage: str) -> Iterator[Record]:
        """Keys in circles. As a source does: first they are patched in behind all tables, later they are known."""
        for name, other in self._pairs():
            body = {**self._table(name), "columns": _columns(3)}
            if stage != "first":
                body["tableConstraints"] = [_key(f"{self._public}.{other}.id")]
            yield _create("tables", body)

    @staticmethod
    def _pairs() -> Iterator[tuple[str, str]]:
        for cycle in _CYCLES:
            yield from zip(cycle, (*cycle[1:], cycle[0]), strict=True)

    def _tables(self, *, changed: bool) -> Iterator[Record]:
        for name in ODD_NAMES:
            yield _create("tables", {**self._table(name), "columns": _columns(3), "description": f"Called {name}"})
        rest = _TABLES - len(ODD_NAMES) - sum(map(len, _CYCLES)) - _GONE - _ELSEWHERE
        for at in range(rest):
            yield _create("tables", {**self._table(f"t{at:03d}"), **self._variety(at, changed=changed)})

    def _variety(self, at: int, *, changed: bool) -> Body:
        """Of table number `at`: wide, nested, view, tagged, owned, constrained and plain ones take turns."""
        body: Body = {"columns": _columns(60 if at % 9 == 0 else 3)}
        kind = at % 8
        if kind == 1:
            body["columns"] = _nested()
        elif kind == 2:
            body |= {"tableType": "View", "schemaDefinition": f"CREATE VIEW t{at:03d} AS SELECT 'ü' -- {at}"}
        elif kind == 3:
            body |= self._tagged(at)
        elif kind == 4 and self._given.owner is not None:
            body["owners"] = [self._given.owner]
        elif kind == 5:
            body["tableConstraints"] = [{"constraintType": "UNIQUE", "columns": ["id", "c1"]}]
            body["description"] = f"**A comment** of table {at}\n\n- with lines, \"quotes\", ünïcode ✓ and a 'tick'"
        elif kind == 6:
            body |= {"tableType": "External", "displayName": f"Table {at}", "retentionPeriod": "P30D"}
        if changed:
            body |= self._change(at, body)
        return body

    def _change(self, at: int, before: Body) -> Body:
        """What is different the third time: a comment more, a column more, a column less, another type, a tag."""
        turn = at % 5
        columns = list(before["columns"])
        if turn == 0:
            return {"displayName": f"Changed {at}", "description": f"Another comment of table {at}"}
        if turn == 1:
            return {"columns": [*columns, {"name": "came_later", "dataType": "DATE", "description": "New"}]}
        if turn == 2 and len(columns) > 1 and "tableConstraints" not in before:
            return {"columns": columns[:-1]}
        if turn == 3:
            return self._tagged(at + 1)
        return {}

    def _tables_that_pass(self) -> Iterator[Record]:
        for at in range(_GONE):
            body = {**self._table(f"passing {at}", self._passing), "columns": _columns(3)}
            yield _create("tables", body)

    def _tables_elsewhere(self, *, changed: bool) -> Iterator[Record]:
        for at in range(_ELSEWHERE):
            name = f"e.{at:02d}"
            yield _create("tables", {**self._table(name, self._elsewhere), **self._variety(at, changed=changed)})

    def _refused(self) -> Iterator[Record]:
        label = {"tagFQN": "NoSuchThing.AtAll", "source": "Classification", "labelType": "Manual", "state": "Confirmed"}
        nobody = {"id": "00000000-0000-4000-8000-000000000000", "type": "user"}
        twice = [{"name": "c", "dataType": "INT"}, {"name": "c", "dataType": "INT"}]
        wrong: dict[str, Body] = {
            "refused_tag": {"tags": [label]},
            "refused_owner": {"owners": [nobody]},
            "refused_schema": {"databaseSchema": f"{self._shop}.nowhere"},
            "refused_length": {"columns": [{"name": "c", "dataType": "VARCHAR"}]},
            "refused_twice": {"columns": twice},
        }
        for name in REFUSED:
            yield _create("tables", {**self._table(name), "columns": _columns(3), **wrong[name]})

    def _table(self, name: str, schema: str | None = None) -> Body:
        return {"name": name, "databaseSchema": schema or self._public}

    # --- what is not a table ---

    def _procedures(self, *, changed: bool) -> Iterator[Record]:
        for at in range(4):
            code = {"language": "SQL", "code": f"BEGIN SELECT {at}{' + 1' if changed else ''}; END"}
            body: Body = {"name": f"procedure {at}", "databaseSchema": self._public, "storedProcedureCode": code}
            if at % 2:
                body["description"] = "A procedure of the canary"
            yield _create("storedProcedures", body)

    def _life_cycles(self, *, changed: bool) -> Iterator[Record]:
        for at in range(_LIFE_CYCLES):
            times = {"created": {"timestamp": 1_700_000_000_000 + at}}
            times["accessed"] = {"timestamp": 1_710_000_000_000 + at + (1_000_000 if changed else 0)}
            yield Record("life_cycle", "tables", f"{self._public}.t{at:03d}", times)

    def _tagged(self, at: int) -> Body:
        if not self._given.tags:
            return {}
        name = self._given.tags[at % len(self._given.tags)]
        return {"tags": [{"tagFQN": name, "source": "Classification", "labelType": "Automated", "state": "Suggested"}]}


def with_hash(body: Body, service: str) -> Body:
    """The body with a `sourceHash` of its own, as from upstream's sources; the service's name does not count."""
    text = json.dumps(body, sort_keys=True).replace(service, "")
    return {**body, "sourceHash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}


def _create(collection: str, body: Body) -> Record:
    return Record("create", collection, body=body)


def _key(column: str) -> Body:
    return {
        "constraintType": "FOREIGN_KEY",
        "columns": ["id"],
        "referredColumns": [column],
        "relationshipType": "MANY_TO_ONE",
    }


def _columns(count: int) -> list[Body]:
    made: list[Body] = [{"name": "id", "dataType": "BIGINT", "constraint": "PRIMARY_KEY", "ordinalPosition": 1}]
    types: tuple[Body, ...] = (
        {"dataType": "VARCHAR", "dataLength": 40, "dataTypeDisplay": "varchar(40)"},
        {"dataType": "DECIMAL", "precision": 18, "scale": 2},
        {"dataType": "TIMESTAMP", "description": "When, in UTC – „exactly“"},
        {"dataType": "ARRAY", "arrayDataType": "INT"},
        {"dataType": "BOOLEAN", "constraint": "NOT_NULL"},
    )
    others = ({"name": f"c{at}", "ordinalPosition": at + 1, **types[(at - 1) % len(types)]} for at in range(1, count))
    return [*made, *others]


def _nested() -> list[Body]:
    leaf: Body = {"name": "leaf", "dataType": "TEXT", "description": "Far inside"}
    inside: list[Body] = [
        {"name": "street", "dataType": "STRING", "description": "Inside"},
        {"name": "deep", "dataType": "STRUCT", "children": [leaf]},
    ]
    return [
        {"name": "id", "dataType": "INT"},
        {
            "name": "address",
            "dataType": "STRUCT",
            "dataTypeDisplay": "struct<street:string,deep:..>",
            "children": inside,
        },
        {"name": "dotted.column", "dataType": "JSON"},
    ]
