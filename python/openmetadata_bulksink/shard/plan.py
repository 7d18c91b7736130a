"""The plan: which schemas are in which shard. A value, and the JSON document that travels. Holds names and sizes, no
secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from openmetadata_bulksink.shard import documents
from openmetadata_bulksink.shard.documents import BadDocument, document
from openmetadata_bulksink.shard.names import alike
from openmetadata_bulksink.shard.packing import Kept, Key, Unit, key, load

#: So many of the plans before it a plan remembers; a success of an older one is no longer asked for by then.
_MOST_BEFORE = 1_000


@dataclass(frozen=True)
class Plan:
    """run: a random id, on each result of this plan. made: seconds since 1970. databases: in the order in which one run
    would walk them, those without schemas too. start_up: seconds from the start of the process to the first question
    to the source. incremental: each schema must stay in its shard. before: the runs of the plan whose places it keeps,
    of the one before that, and so on.
    """

    run: str
    made: float
    fingerprint: str
    service: str
    databases: tuple[str, ...]
    shards: tuple[tuple[Unit, ...], ...]
    start_up: float = 0.0
    incremental: bool = False
    before: tuple[str, ...] = ()

    @property
    def line(self) -> tuple[str, ...]:
        """The runs of this plan and of those before it, for one that keeps its places."""
        return (self.run, *self.before)[:_MOST_BEFORE]

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
        found: dict[Key, Kept] = {}
        for number, shard in enumerate(self.shards):
            for unit in shard:
                kept = found.get(key(unit), Kept(number, unit.since, frozenset()))
                found[key(unit)] = kept._replace(names=kept.names | {(unit.database, unit.schema)})
        return found

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
        return documents.sealed(asdict(self), indent=1)


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


def read(text: str, what: str, now: float | None = None) -> Plan:
    """The plan in a document; `what` names it in errors. now: seconds since 1970. Raises BadDocument."""
    content = document(text, what)
    try:
        if not documents.is_as_written(content):
            raise BadDocument(
                f"{what} is not as `shard plan` wrote it: what was taken out of it would be missed by all shards. What "
                "is to be left out belongs into the filters of the YAML; then make a new plan"
            )
        plan = Plan(
            run=documents.text(content["run"]),
            made=documents.amount(content["made"]),
            fingerprint=documents.text(content["fingerprint"]),
            service=documents.text(content["service"]),
            databases=tuple(map(documents.text, documents.listed(content["databases"]))),
            shards=tuple(tuple(_units(shard)) for shard in documents.listed(content["shards"])),
            start_up=documents.amount(content["start_up"]),
            incremental=documents.flag(content["incremental"]),
            before=tuple(map(documents.text, documents.listed(content["before"]))),
        )
    except (KeyError, RecursionError, TypeError, ValueError):
        raise BadDocument(f"{what} is not a plan of `shard plan`") from None
    if now is not None and plan.made > now + documents.CLOCKS:
        raise BadDocument(f"{what} was made in the future: this machine's clock, or that of the other one, is wrong")
    return plan


def _units(shard: Any) -> Iterator[Unit]:
    for database, schema, tables, since in documents.listed(shard):
        yield Unit(documents.text(database), documents.text(schema), documents.count(tables), documents.count(since))
