"""Columns of tables that had their turn in this run, for look-ups of foreign keys.

Where the table that a key refers to was written a moment ago, or skipped by upstream because nothing about it has
changed, the request that says so was made in this process: asking the server for it is a round trip for what is known.
`foreign_keys` asks here first.

Not remembered: what upstream patches (the stored table is merged from two), what was deleted and comes back, and names
that upstream reads back in another form than it sends them. What the server refused is not answered from here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from openmetadata_bulksink import records
from openmetadata_bulksink.accelerators import Undo, all_of, known, loaded, put, recognised
from openmetadata_bulksink.fence import Fence

MODULE = "metadata.ingestion.api.topology_runner"

#: `sink_request`, which hands one request to the sink, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"51fd767dabdeec4b", "2661695b6a793a30"})
#: What it calls, which decides whether the request goes out, as a patch, or not at all, as text: 1.11.0, which
#: does not know what was deleted; 1.11.1 to 1.13; 2.0.
_KNOWN_DECISION = frozenset({"f100d3615fa1fcd2", "335a463d9ebe6903", "1077401a80bc3a48"})

#: Most that the tables of one run may take, in bytes; what comes later is asked for, as upstream does.
_MOST = 32 * 1024 * 1024
#: What an entry of a dictionary takes beside its two texts.
_ENTRY = 110

#: Between the columns of a table, and between a column's name and its constraint.
_NEXT, _THEN = "\x00", "\x01"


class Constraint(NamedTuple):
    value: str


class Column(NamedTuple):
    """As much of a column as upstream reads of a referred one."""

    name: str
    constraint: Constraint | None


class Table(NamedTuple):
    columns: list[Column]


def column(name: str, constraint: str | None) -> Column:
    return Column(name, Constraint(constraint) if constraint else None)


class Seen:
    """The tables of one run by their canonical FQN, each as one text."""

    def __init__(self, most: int = _MOST) -> None:
        self._columns: dict[str, str] = {}
        self._room = most

    def remember(self, fqn: str, columns: list[tuple[str, str]]) -> None:
        """columns: names with their constraints, "" for none."""
        self.forget(fqn)
        text = _NEXT.join(f"{name}{_THEN}{constraint}" for name, constraint in columns)
        size = sys.getsizeof(fqn) + sys.getsizeof(text) + _ENTRY
        if size <= self._room and text.count(_THEN) == len(columns) and text.count(_NEXT) == max(0, len(columns) - 1):
            self._columns[fqn] = text
            self._room -= size

    def forget(self, fqn: str) -> None:
        text = self._columns.pop(fqn, None)
        if text is not None:
            self._room += sys.getsizeof(fqn) + sys.getsizeof(text) + _ENTRY

    def columns(self, fqn: str) -> list[Column] | None:
        text = self._columns.get(fqn)
        if text is None:
            return None
        parts = (each.split(_THEN) for each in text.split(_NEXT)) if text else ()
        return [column(name, constraint) for name, constraint in parts]


#: By the fence of the sink that writes.
_of_sinks: WeakKeyDictionary[Fence, Seen] = WeakKeyDictionary()


def install() -> Undo:
    """Watch what becomes of tables. Raises StepsAside."""
    runner = loaded(MODULE).TopologyRunnerMixin
    what = "upstream's way of handing a request to the sink"
    known(_KNOWN, what, runner, "sink_request")
    decision = vars(runner).get("yield_and_update_context")
    recognised(_KNOWN_DECISION, what, getattr(decision, "func", None))
    original = runner.sink_request

    def sink_request(self: Any, stage: Any, entity_request: Any) -> Any:
        handed_over = original(self, stage, entity_request)
        request = getattr(entity_request, "right", None)
        if type(request).__name__ != "CreateTableRequest":
            return handed_over
        fence = self.metadata.client.__dict__.get("_request")
        if not isinstance(fence, Fence):
            return handed_over
        return _watched(self, stage, request, handed_over, fence)

    return all_of([put(runner, "sink_request", sink_request), _of_sinks.clear])


def _watched(source: Any, stage: Any, request: Any, handed_over: Any, fence: Fence) -> Iterator[Any]:
    """Passes on what upstream yields for one table, and remembers the table, unless it became something else."""
    seen = _of_sinks.setdefault(fence, Seen())
    fqn: str | None = None
    # Whatever is odd about a source or a request, it is upstream's to stumble over.
    with suppress(Exception):
        found = _canonical(request)
        seen.forget(found)
        if not _is_deleted(source, stage, request):
            fqn = found
    written = unchanged = True
    with closing(handed_over):
        for either in handed_over:
            unchanged = False
            written = written and getattr(either, "right", None) is request
            yield either
    if fqn is None or not written:
        return
    with suppress(Exception):
        columns = _columns(request)
        if columns is not None and (not unchanged or _is_unchanged(source, stage, request)):
            seen.remember(fqn, columns)


def _canonical(request: Any) -> str:
    """Raises ValueError for a name that cannot be one."""
    from openmetadata_bulksink import _native

    schema, name = records.text_of(request.databaseSchema), records.text_of(request.name)
    return _native.canonical_fqn(f"{schema or ''}.{records.quote_name(name or '')}")


def _name_in_caches(source: Any, stage: Any, request: Any) -> Any:
    return source.context.get().fqn_from_stage(stage=stage, entity_name=records.text_of(request.name))


def _is_deleted(source: Any, stage: Any, request: Any) -> bool:
    """Up to 1.13 upstream knows the deleted tables of a schema."""
    deleted: Any = getattr(source, "deleted", {}).get(stage.type_)
    return bool(deleted) and _name_in_caches(source, stage, request) in deleted


def _is_unchanged(source: Any, stage: Any, request: Any) -> bool:
    """Up to 1.13 upstream knows the hash of what the server has, and compares."""
    hashes = getattr(source, "cache", {}).get(stage.type_) or {}
    found = hashes.get(_name_in_caches(source, stage, request))
    return stage.overwrite and found is not None and found == getattr(request, "sourceHash", None)


def _columns(request: Any) -> list[tuple[str, str]] | None:
    """None where a name would be read back in another form."""
    found = []
    for each in request.columns or ():
        name = records.text_of(each.name)
        if name is None or "__reserved__" in name:
            return None
        constraint = getattr(each, "constraint", None)
        found.append((name, str(getattr(constraint, "value", constraint) or "")))
    return found


def table(fence: Fence, fqn: str) -> Table | None:
    """A table that had its turn, as the server has it; None for one that is pending, was lost, or is not known."""
    seen = _of_sinks.get(fence)
    if seen is None:
        return None
    from openmetadata_bulksink import _native

    try:
        canonical = _native.canonical_fqn(fqn)
        columns = seen.columns(canonical)
        if columns is None or fence.engine.pending_depth("tables", canonical) is not None or fence.lost(canonical):
            return None
    except ValueError:
        return None
    return Table(columns)
