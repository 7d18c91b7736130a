"""Everything that can be set, and where it comes from: the environment, the sink's YAML, the live client.

The only file that reads an environment variable of ours (the boot module reads `OM_BULKSINK` by itself, because it
must not import anything). A known variable that cannot be used stops the workflow; an unknown one is only named, since
others set variables for names of theirs. It decides nothing about requests: it hands `BulkSink` its keyword arguments
and says where they came from.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from openmetadata_bulksink.masking import quotable

PREFIX = "OM_BULKSINK"

#: Accelerators by name; the table itself is in `accelerate.py`.
ACCELERATORS = (
    "version",
    "foreign_keys",
    "seen_tables",
    "entity_table",
    "name_walk",
    "version_numbers",
    "type_names",
    "proxies",
    "column_names",
    "quoted_names",
    "source_hash",
    "schema_caches",
    "query_log",
    "statements",
    "tracebacks",
    "stale_scope",
    "frozen_imports",
    "postgres_bulk",
    "read_ahead",
    "bigquery_comments",
)

#: Connections for statements ahead that a user can grant.
MOST_AHEAD = 64

#: Requests in flight at the most, for the variable, the workflow's key and `BulkSink`'s argument alike.
MOST_WORKERS = 64

#: What Kubernetes sets in each container for a service called `om-bulksink`; no misspelt setting of ours.
_OF_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT\w*)|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)\Z")

#: How alike two names must be, their common prefix aside, for one to be meant by the other.
_NEAR = 0.75

#: What a variable of somebody's may be called.
_NAME = re.compile(r"[A-Z]+(_[A-Z]{1,12}|_\d{1,5}){0,8}")

_ON = frozenset({"1", "true", "on", "yes"})
_OFF = frozenset({"0", "false", "off", "no"})


class SettingError(ValueError):
    """A setting cannot be used; the text names it and says what to change."""


@dataclass(frozen=True)
class Tuning:
    """What the environment says. None: not set, so that the default or the YAML decides."""

    enabled: bool = True
    workers: int | None = None
    delivery_timeout: float | None = None
    budget_bytes: int | None = None
    batch_bytes: int | None = None
    linger: float | None = None
    strict_barrier: bool = False
    embed_life_cycle: bool = False
    gzip: bool = False
    dead_letters: str | None = None
    keep_alarm: bool = False
    term_grace: float | None = None
    report: str | None = None
    accelerate: frozenset[str] = field(default_factory=lambda: frozenset(ACCELERATORS))
    read_ahead: int | None = None

    @property
    def accelerators(self) -> frozenset[str]:
        """Those to put in: 0 connections are the end of `read_ahead`; without a number the workflow may grant some."""
        return self.accelerate - {"read_ahead"} if self.read_ahead == 0 else self.accelerate


def switched_off(environ: Mapping[str, str] | None = None) -> bool:
    """Whether `OM_BULKSINK` says off. A value that is neither on nor off counts as on here: `tuning` refuses it by
    name.
    """
    return (environ or os.environ).get(PREFIX, "1").strip().lower() in _OFF


def tuning(environ: Mapping[str, str] | None = None) -> Tuning:
    """Read and check all of our variables. Raises SettingError."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name in given(environ):
        variable = VARIABLES.get(name)
        if variable is None:
            continue
        stripped = environ[name].strip()
        if stripped:
            key, read = variable
            values[key] = read(name, stripped)
    return Tuning(**values)


def given(environ: Mapping[str, str] | None = None) -> list[str]:
    """The names of all variables with our prefix, known or not."""
    environ = os.environ if environ is None else environ
    return sorted(name for name in environ if name == PREFIX or name.startswith(PREFIX + "_"))


def unknown(environ: Mapping[str, str] | None = None) -> list[str]:
    """One line for each variable that has our prefix and is no setting; it names the one that may be meant."""
    lines = []
    for name in given(environ):
        if name in VARIABLES:
            continue
        rest = name[len(PREFIX) + 1 :]
        known = {one.removeprefix(PREFIX + "_"): one for one in VARIABLES if not _OF_KUBERNETES.match(rest)}
        near = difflib.get_close_matches(rest, known, n=1, cutoff=_NEAR)
        hint = f"; did you mean {known[near[0]]}?" if near else ""
        lines.append(f"{_shown(name)} is not a setting of openmetadata-bulksink and is not used{hint}")
    return lines


def _shown(name: str) -> str:
    """A variable's name, unless something was pasted into it."""
    return name if _NAME.fullmatch(name) else f"A variable that begins with {PREFIX}_"


def _switch(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered in _ON:
        return True
    if lowered in _OFF:
        return False
    raise SettingError(f"{name} must be 0 or 1, not {quotable(text)}.")


def _whole(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise SettingError(f"{name} must be a whole number from {low} to {high}, not {quotable(text)}.")
        return value

    return read


def _seconds(low: float, high: float) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise SettingError(f"{name} must be a number of seconds from {low:g} to {high:g}, not {quotable(text)}.")
        return value

    return read


def _megabytes(name: str, text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 65536:
        raise SettingError(f"{name} must be a number of MiB from 1 to 65536, not {quotable(text)}.")
    return int(value * 1024 * 1024)


def _path(name: str, text: str) -> str:
    """The file is only opened when a record is lost, so a directory that is not there is refused here."""
    folder = Path(text).absolute().parent
    if not folder.is_dir():
        there = next(one for one in folder.parents if one.is_dir())
        raise SettingError(f"{name} names a file below {str(there)!r}, in what is not a directory; create it first.")
    if Path(text).is_dir():
        raise SettingError(f"{name} must name a file, and {text!r} is a directory.")
    return text


def _report(name: str, text: str) -> str:
    """Whether it can be written is no reason to stop a workflow: that is a warning, later."""
    if Path(text).suffix.lower() not in (".html", ".json"):
        raise SettingError(f"{name} must name a file that ends in .html or .json, not in {Path(text).suffix!r}.")
    return text


def _accelerators(name: str, text: str) -> frozenset[str]:
    lowered = text.lower()
    if lowered in _ON:
        return frozenset(ACCELERATORS)
    if lowered in _OFF:
        return frozenset()
    chosen = frozenset(part.strip() for part in lowered.split(",") if part.strip())
    unknown = sorted(chosen.difference(ACCELERATORS))
    if unknown:
        raise SettingError(
            f"{name} must be 0, 1, or names out of {', '.join(ACCELERATORS)} with commas between them; "
            f"unknown: {', '.join(map(quotable, unknown))}."
        )
    return chosen


#: Each variable with the field of `Tuning` that it sets, and its reader.
VARIABLES: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "OM_BULKSINK": ("enabled", _switch),
    "OM_BULKSINK_WORKERS": ("workers", _whole(1, MOST_WORKERS)),
    "OM_BULKSINK_DELIVERY_TIMEOUT": ("delivery_timeout", _seconds(1, 86400)),
    "OM_BULKSINK_BUDGET_MB": ("budget_bytes", _megabytes),
    "OM_BULKSINK_BATCH_BYTES": ("batch_bytes", _whole(1024, 1 << 30)),
    "OM_BULKSINK_LINGER": ("linger", _seconds(0, 60)),
    "OM_BULKSINK_STRICT_BARRIER": ("strict_barrier", _switch),
    "OM_BULKSINK_EMBED_LIFE_CYCLE": ("embed_life_cycle", _switch),
    "OM_BULKSINK_GZIP": ("gzip", _switch),
    "OM_BULKSINK_DEAD_LETTERS": ("dead_letters", _path),
    "OM_BULKSINK_KEEP_ALARM": ("keep_alarm", _switch),
    "OM_BULKSINK_TERM_GRACE": ("term_grace", _seconds(1, 3600)),
    "OM_BULKSINK_REPORT": ("report", _report),
    "OM_BULKSINK_ACCELERATE": ("accelerate", _accelerators),
    "OM_BULKSINK_READ_AHEAD": ("read_ahead", _whole(0, MOST_AHEAD)),
}


class Writing(NamedTuple):
    """How the sink writes: what YAML and environment come to."""

    batch_size: int
    synchronous: bool
    bulk_query: str
    workers: int
    workers_from: str

    def describe(self) -> str:
        """For the start line."""
        if self.synchronous:
            return "one request at a time, as the workflow's sink settings ask"
        return f"{self.workers} workers ({self.workers_from}), {self.batch_size} records a request"


def writing(config: Any, chosen: Tuning, server_version: str | None = None) -> Writing:
    """`config` is the sink's config model of whatever upstream version; the server's version decides the default of
    1.11.
    """
    batch_size = max(1, int(config.bulk_sink_batch_size))
    synchronous = batch_size == 1 or not getattr(config, "enable_async_pipeline", True)
    query = "async=false"
    if hasattr(config, "override_metadata"):  # 2.0 and later
        query += f"&overrideMetadata={str(bool(config.override_metadata)).lower()}"
    if chosen.workers is not None:
        workers, source = chosen.workers, "OM_BULKSINK_WORKERS"
    else:
        workers, source = _workers_of(config, server_version)
    return Writing(batch_size, synchronous, query, workers, source)


def _workers_of(config: Any, server_version: str | None) -> tuple[int, str]:
    """The number of workers without our variable, and where it comes from. Upstream reads its key nowhere, so that a
    workflow with a number that makes no sense has run so far, and goes on running.
    """
    # Servers of 1.11 fan one request out over threads of their own.
    old = server_version is not None and server_version.startswith("1.11.")
    default = (2, "default for a server of 1.11") if old else (4, "default")
    if "async_pipeline_workers" not in config.model_fields_set:
        return default
    wanted = int(config.async_pipeline_workers)
    key = "async_pipeline_workers of the workflow"
    if wanted < 1:
        return default[0], f"{default[1]}; {key} is {wanted}"
    if wanted > MOST_WORKERS:
        return MOST_WORKERS, f"the most; {key} is {wanted}"
    return wanted, key


def engine_arguments(chosen: Tuning, how: Writing, connection: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of `BulkSink`; what nobody set is left to its defaults."""
    arguments: dict[str, Any] = {
        **connection,
        "bulk_query": how.bulk_query,
        "batch_size": how.batch_size,
        "workers": how.workers,
        "synchronous": how.synchronous,
        "embed_life_cycle": chosen.embed_life_cycle,
        # Clients before 2.0 compare the stored hash with one of their own; from 2.0 on it is the server that compares.
        "keep_source_hash": "overrideMetadata" not in how.bulk_query,
        "gzip": chosen.gzip,
        "dead_letters": chosen.dead_letters,
        "batch_bytes": chosen.batch_bytes,
        "linger": chosen.linger,
        "delivery_timeout": chosen.delivery_timeout,
        "budget_bytes": chosen.budget_bytes,
    }
    return {name: value for name, value in arguments.items() if value is not None}
