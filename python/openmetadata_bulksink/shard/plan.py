"""The plan: which schemas are in which shard. A value, and the JSON document that travels. Holds names and sizes, no
secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openmetadata_bulksink.shard.names import alike
from openmetadata_bulksink.shard.packing import Kept, Key, Unit, key, load

FORMAT = 1


class BadDocument(Exception):
    """A plan or a result that cannot be used; the text says why."""


@dataclass(frozen=True)
class Plan:
    """run: a random id, on each result of this plan. made: seconds since 1970. databases: in the order in which one run
    would walk them, those without schemas too. start_up: seconds from the start of the process to the first question
    to the source. incremental: each schema must stay in its shard.
    """

    run: str
    made: float
    fingerprint: str
    service: str
    databases: tuple[str, ...]
    shards: tuple[tuple[Unit, ...], ...]
    start_up: float = 0.0
    incremental: bool = False

    def parts(self, shard: int) -> list[Part]:
        """The workflows of a shard: one for each database, or for each set of databases that filters cannot tell
        apart. Schemas that came with a later plan have one of their own.
        """
        found: dict[tuple[str, int], list[Unit]] = {}
        for unit in self.shards[shard]:
            found.setdefault((alike(unit.database), unit.since), []).append(unit)
        return [Part(tuple(units)) for units in found.values()]

    def units(self) -> list[Unit]:
        """All schemas, shard by shard."""
        return [unit for shard in self.shards for unit in shard]

    def places(self) -> dict[Key, Kept]:
        """For a later plan: the shard of each schema."""
        return {key(unit): Kept(number, unit.since) for number, shard in enumerate(self.shards) for unit in shard}

    def longest_share(self) -> float:
        """The longest shard, as a share of the whole; 1 where nothing is to be done."""
        loads = [load(shard) for shard in self.shards]
        return max(loads) / sum(loads) if sum(loads) else 1.0

    def too_large(self) -> list[Unit]:
        """Schemas larger than an even shard: they stay whole, and set the pace."""
        even = load(self.units()) / max(1, len(self.shards))
        return [unit for unit in self.units() if load([unit]) > even * 1.05] if len(self.shards) > 1 else []

    def to_json(self) -> str:
        """The document."""
        content = {**asdict(self), "format": FORMAT, "shards": [[list(unit) for unit in s] for s in self.shards]}
        return json.dumps({"checksum": _checksum(content), **content}, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Part:
    """One upstream workflow of a shard."""

    units: tuple[Unit, ...]

    @property
    def databases(self) -> tuple[str, ...]:
        """Mostly one."""
        return tuple(dict.fromkeys(unit.database for unit in self.units))

    @property
    def since(self) -> int:
        """The same for all of its schemas."""
        return self.units[0].since


def read(text: str, what: str) -> Plan:
    """The plan in a document; `what` names it in errors. Raises BadDocument."""
    content = document(text, what)
    try:
        if content["checksum"] != _checksum(content):
            raise BadDocument(
                f"{what} is not as `shard plan` wrote it: what was taken out of it would be missed by all shards. What "
                "is to be left out belongs into the filters of the YAML; then make a new plan"
            )
        return Plan(
            run=str(content["run"]),
            made=float(content["made"]),
            fingerprint=str(content["fingerprint"]),
            service=str(content["service"]),
            databases=tuple(map(str, content["databases"])),
            shards=tuple(tuple(_units(shard)) for shard in content["shards"]),
            start_up=float(content["start_up"]),
            incremental=bool(content["incremental"]),
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        raise BadDocument(f"{what} is not a plan of `shard plan`") from None


def _checksum(content: Mapping[str, Any]) -> str:
    """Of all but itself, however it is written."""
    text = json.dumps({name: value for name, value in content.items() if name != "checksum"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def text_of(path: Path) -> str:
    """A document's text. Raises BadDocument, OSError."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadDocument(f"{path} is not a text in UTF-8") from None


def document(text: str, what: str) -> Mapping[str, Any]:
    """A JSON object of our format. Raises BadDocument."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise BadDocument(f"{what} is not JSON; it may have been cut short") from None
    if not isinstance(content, dict) or "format" not in content:
        raise BadDocument(f"{what} is not a document of `openmetadata-bulksink shard`")
    if content["format"] != FORMAT:
        raise BadDocument(f"{what} has the format {content['format']!r}, and this version reads {FORMAT}")
    return content


def _units(shard: Iterable[Any]) -> Iterator[Unit]:
    for database, schema, tables, since in shard:
        yield Unit(str(database), str(schema), int(tables), int(since))
