"""Foreign keys of tables whose referred table is still pending (the row of A4 about them).

For each foreign key upstream asks the server for the referred table, most often one that it has yielded a moment ago.
Two things stand in front of that here:

- `let_pass`: the lookup does not wait at the fence. Waiting would cost one small PUT for each foreign key. Upstream
  copes with "not there yet": it tries again when all tables are written (and up to 1.13 loses other constraints of the
  table then, which is mended here).
- `install` (the accelerator): while the referred table is pending, its columns are read from the pending body, so
  that the key goes out with its table; the engine keeps the order (rule E1). A chain of pending references would be
  written one table after the other. Before the first that is long, the server is asked once whether it has the table
  from an earlier run; if not, the engine cuts chains (E3). Tables that had their turn are answered from what
  `seen_tables` remembers of them.

Neither changes what ends up in the catalogue, the order of constraints within a table aside.
"""

from __future__ import annotations

import inspect
import json
import sys
from functools import wraps
from typing import Any
from weakref import WeakSet

from openmetadata_bulksink.accelerators import StepsAside, Undo, all_of, fingerprint, put, recognised, seen_tables
from openmetadata_bulksink.fence import Fence

SOURCE = "metadata.ingestion.source.database.common_db_source"
_CONSTRAINTS = "metadata.utils.constraints"

#: `_prepare_foreign_constraints` and what it reads the referred columns with, as text: 1.11 and 1.12; 1.13; 2.0.0 to
#: 2.0.5, which reads them for the kind of relationship only; 2.0.6 and later.
_KNOWN = frozenset({"a33adc6d3a908c0f", "44a7b156ea38473e", "f0a7e502fc122fb3", "ef131cbbdf4c53dd"})

#: `yield_table_constraints` of 1.11 to 1.13, as text.
_LOSSY_LAST_PASS = frozenset({"a2ac3fde133a82c4"})

#: Before a table that would wait for so many others, one after the other, the server is asked.
_LONGEST_CHAIN = 4


class _Answers:
    """Whether lookups are answered from this run's own requests at the moment."""

    on = False


#: Fences of sinks of which it is known whether they write a catalogue again.
_asked: WeakSet[Fence] = WeakSet()


def install() -> Undo:
    """Answer lookups from this run's own requests. `let_pass` must be in already. Raises StepsAside."""
    source: Any = sys.modules.get(SOURCE)
    constraints: Any = sys.modules.get(_CONSTRAINTS)
    if source is None or constraints is None:
        raise StepsAside  # no database source in this process
    lookup = getattr(source.CommonDbSourceService, "_prepare_foreign_constraints", None)
    readers = [
        getattr(constraints, name)
        for name in ("_is_column_unique", "resolve_column_names", "get_relationship_type")
        if hasattr(constraints, name)
    ]
    recognised(_KNOWN, "upstream's lookup of foreign keys", lookup, *readers)
    _Answers.on = True
    return _stop_answering


def _stop_answering() -> None:
    _Answers.on = False
    _asked.clear()


def let_pass() -> Undo:
    """Open the fence for foreign key lookups. Raises StepsAside where upstream has no such function: they are fenced
    then, as every other read.
    """
    source: Any = sys.modules.get(SOURCE)
    cls = getattr(source, "CommonDbSourceService", None)
    original = None if cls is None else vars(cls).get("_prepare_foreign_constraints")
    if original is None:
        raise StepsAside
    names = tuple(inspect.signature(original).parameters)
    if "add_to_global" not in names:
        raise StepsAside
    place = names.index("add_to_global") - 1

    @wraps(original)
    def prepare(self: Any, *args: Any, **kwargs: Any) -> Any:
        first_try = args[place] if len(args) > place else kwargs.get("add_to_global", True)
        fence = self.metadata.client.__dict__.get("_request")
        if not first_try or not isinstance(fence, Fence) or not (_Answers.on or fence.pending()):
            return original(self, *args, **kwargs)
        with fence.open():
            return original(_Source(self, fence) if _Answers.on else self, *args, **kwargs)

    return all_of([*_repair_last_pass(cls), put(cls, "_prepare_foreign_constraints", prepare, calls_original=True)])


def _repair_last_pass(cls: Any) -> list[Undo]:
    """Up to 1.13 the pass that adds deferred keys reads each table without its constraints, so that its patch replaces
    those that came with the table. More is pending here than upstream ever buffers, so more keys can be deferred: the
    pass must not cost what was written. It reads the field, as upstream does from 2.0 on.
    """
    original = cls.__dict__.get("yield_table_constraints")
    try:
        if original is None or fingerprint(original) not in _LOSSY_LAST_PASS:
            return []
    except StepsAside:
        return []

    @wraps(original)
    def last_pass(self: Any) -> Any:
        fenced = isinstance(self.metadata.client.__dict__.get("_request"), Fence)
        return original(_SourceOfLastPass(self) if fenced else self)

    return [put(cls, "yield_table_constraints", last_pass, calls_original=True)]


class _SourceOfLastPass:
    """Upstream's source, seen by its last pass: tables are read with their constraints."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.metadata = _WithConstraints(source.metadata)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _WithConstraints:
    """Upstream's client, except that a table comes with its constraints."""

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metadata, name)

    def get_by_name(self, entity: Any, fqn: Any, *args: Any, **kwargs: Any) -> Any:
        if entity.__name__ == "Table" and not args and not kwargs:
            kwargs["fields"] = ["tableConstraints"]
        return self._metadata.get_by_name(entity, fqn, *args, **kwargs)


class _Source:
    """Upstream's source, seen by one lookup: its client looks among the tables of this run first."""

    def __init__(self, source: Any, fence: Fence) -> None:
        self._source = source
        self.metadata = _OwnRequestsFirst(source.metadata, fence)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _OwnRequestsFirst:
    """Upstream's client, except that a table of this run is answered from the request that was made for it."""

    def __init__(self, metadata: Any, fence: Fence) -> None:
        self._metadata = metadata
        self._fence = fence

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metadata, name)

    def get_by_name(self, entity: Any, fqn: Any, *args: Any, **kwargs: Any) -> Any:
        if entity.__name__ == "Table" and not args and not kwargs:
            name = str(getattr(fqn, "root", fqn))
            self._prepare_for_chains(entity, fqn, name)
            table = pending_table(self._fence, name) or seen_tables.table(self._fence, name)
            if table is not None:
                return table
        return self._metadata.get_by_name(entity, fqn, *args, **kwargs)

    def _prepare_for_chains(self, entity: Any, fqn: Any, name: str) -> None:
        if self._fence in _asked or (_depth(self._fence, name) or 0) + 1 < _LONGEST_CHAIN:
            return
        _asked.add(self._fence)
        # It waits for others, so it was not sent yet: if the server has it, it is from an earlier run.
        if self._metadata.get_by_name(entity, fqn) is None:
            self._fence.engine.cut_chains()


def _depth(fence: Fence, fqn: str) -> int | None:
    """How long a chain of pending records a pending table waits for; None where it is not pending."""
    try:
        return fence.engine.pending_depth("tables", fqn)
    except ValueError:
        return None


def pending_table(fence: Fence, fqn: str) -> seen_tables.Table | None:
    """The columns of a pending table; None where it is not pending."""
    try:
        body = fence.engine.pending_body("tables", fqn)
    except ValueError:
        return None
    if body is None or b"__reserved__" in body:  # upstream reads such names back in another form than it sends them
        return None
    columns = json.loads(body).get("columns") or []
    return seen_tables.Table([seen_tables.column(each["name"], each.get("constraint")) for each in columns])
