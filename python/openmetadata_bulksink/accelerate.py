"""The accelerators (docs/accelerators.md): upstream's constants, computed once instead of again and again on the thread
that all wait for.

An accelerator stands in for upstream code that it recognises by a hash of its source text, and steps aside from
anything else. Each is a module under `accelerators/`; this file is the table of them, and installs and removes them
around a run.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

from openmetadata_bulksink.accelerators import (
    StepsAside,
    Undo,
    all_of,
    bigquery_comments,
    column_names,
    coming,
    entity_table,
    foreign_keys,
    frozen_imports,
    name_walk,
    postgres_bulk,
    proxies,
    put_in,
    query_log,
    quoted_names,
    read_ahead,
    schema_caches,
    seen_tables,
    source_hash,
    stale_scope,
    statements,
    tidy_up,
    tracebacks,
    type_names,
    version,
    version_numbers,
)

#: By name: what installs it. Raises StepsAside.
_TABLE: dict[str, Callable[[], Undo]] = {
    "version": version.install,
    "foreign_keys": foreign_keys.install,
    "seen_tables": seen_tables.install,
    "entity_table": entity_table.install,
    "name_walk": name_walk.install,
    "version_numbers": version_numbers.install,
    "type_names": type_names.install,
    "proxies": proxies.install,
    "column_names": column_names.install,
    "quoted_names": quoted_names.install,
    "source_hash": source_hash.install,
    "schema_caches": schema_caches.install,
    "query_log": query_log.install,
    "statements": statements.install,
    "tracebacks": tracebacks.install,
    "stale_scope": stale_scope.install,
    "frozen_imports": frozen_imports.install,
    "postgres_bulk": postgres_bulk.install,
    "read_ahead": read_ahead.install,
    "bigquery_comments": bigquery_comments.install,
}

#: Those that look ahead of the source.
_LOOK_AHEAD = frozenset({"postgres_bulk", "read_ahead"})

#: What an accelerator could stand in for; each of these imports the rest.
_MODULES = (
    version.MODULE,
    foreign_keys.SOURCE,
    name_walk.CALLER,
    source_hash.MODULE,
    schema_caches.SOURCE,
    statements.SOURCE,
    *read_ahead.MODULES,
    bigquery_comments.MODULE,
)

_lock = threading.Lock()
_installed: dict[str, tuple[int, Undo]] = {}


def install(names: Iterable[str]) -> tuple[list[Undo], list[str], list[str]]:
    """Install accelerators. Returns what removes them, the names of those that are active, and why others stepped
    aside: whatever one of them raises is a reason. Nothing is left in place where an interruption ends it.
    """
    undo: list[Undo] = []
    active: list[str] = []
    aside: list[str] = []
    chosen = set(names)
    try:
        if "foreign_keys" in chosen:
            with suppress(StepsAside):
                undo.append(hold("foreign key lookups pass", foreign_keys.let_pass))
        if _LOOK_AHEAD & chosen:
            with suppress(StepsAside):
                undo.append(hold("tables that come", coming.install))
        for name, put in _TABLE.items():
            if name not in chosen:
                continue
            try:
                undo.append(hold(name, put))
                active.append(name)
            except StepsAside as reason:
                if str(reason):
                    aside.append(f"{name}, {reason}")
            except Exception as error:  # noqa: BLE001 - upstream is not as it was, however that shows
                aside.append(f"{name}, {type(error).__name__}: {error}")
    except BaseException:
        all_of(undo)()
        raise
    return undo, active, aside


def before_tables(names: Iterable[str], sink: Any, decide: Callable[[], object]) -> Undo:
    """Let a sink decide before the first table of its source is read, so that what it installs is there for it; where
    none of these accelerators needs that, do nothing. The source is known by the client that it shares with the sink,
    which is not kept alive by this.
    """
    if not _LOOK_AHEAD.intersection(names):
        return all_of([])
    undo = [coming.decide_first(sink.metadata, weakref.WeakMethod(decide))]
    with suppress(StepsAside):
        undo.append(hold("tables that come", coming.install))
    return all_of(undo)


def grant(metadata: Any, connections: int | None) -> Undo:
    """Let the source that has this client open so many connections for `read_ahead`; None: what its workflow grants."""
    return read_ahead.grant(metadata, connections)


def granted(metadata: Any) -> int | None:
    """What was granted; 0: nothing, and it would help the source that has this client; None: it would not."""
    return read_ahead.granted(metadata)


def examine(names: Iterable[str]) -> tuple[list[Undo], list[str], list[str]]:
    """As `install`, for all of upstream's modules that an accelerator could stand in: they are imported. For the
    doctor.
    """
    for module in _MODULES:
        with suppress(ImportError):
            import_module(module)
    return install(names)


def hold(name: str, put: Callable[[], Undo]) -> Undo:
    """Several sinks of one process share an accelerator; the last one that lets go removes it, in whatever order they
    end.
    """
    with _lock:
        tidy_up()
        count, take_out = _installed.get(name, (0, None))
        if take_out is None:
            take_out = put_in(put)
        _installed[name] = (count + 1, take_out)
    return lambda: _let_go(name)


def _let_go(name: str) -> None:
    with _lock:
        count, take_out = _installed.pop(name, (0, None))
        if take_out is None:
            return
        if count > 1:
            _installed[name] = (count - 1, take_out)
        else:
            take_out()
        tidy_up()
