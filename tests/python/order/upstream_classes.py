"""Upstream's classes, as far as this version has them, and its own rules for names."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from tests.python.order.kinds import KINDS, Body

_GENERATED = "metadata.generated.schema."

#: What else a stream may need, by the name that it has there: module and class.
_OTHERS: dict[str, str] = {
    "barrier": "metadata.ingestion.models.barrier.Barrier",
    "lineage": "metadata.generated.schema.api.lineage.addLineage.AddLineageRequest",
    "lineage_by_name": "metadata.ingestion.models.ometa_lineage.OMetaFQNLineageRequest",
    "lineage_override": "metadata.ingestion.models.ometa_lineage.OMetaLineageRequest",
    "dashboard_usage": "metadata.ingestion.source.dashboard.dashboard_service.DashboardUsage",
    "pipeline_usage": "metadata.ingestion.source.pipeline.pipeline_service.PipelineUsage",
}


class Classes:
    """What this upstream has."""

    def has(self, name: str) -> bool:
        if name == "delete_stale":
            return hasattr(_found("metadata.ingestion.ometa.ometa_api.OpenMetadata"), "delete_stale_entities")
        if name in KINDS:
            return _found(f"{_GENERATED}api.{KINDS[name].create}") is not None
        return _found(_OTHERS[name]) is not None

    def create(self, kind: str) -> Any:
        return _found(f"{_GENERATED}api.{KINDS[kind].create}")

    def entity(self, kind: str) -> Any:
        return _found(f"{_GENERATED}{KINDS[kind].entity}")

    def other(self, name: str) -> Any:
        return _found(_OTHERS.get(name, name))

    def is_single(self, kind: str) -> bool:
        """Whether upstream's newest sink writes that kind one by one."""
        return "Service" in kind or kind in _SINGLE

    # --- names ---

    def fqn(self, kind: str, body: Body, above: str | None) -> str:
        """The FQN of what a create request makes, with the name as upstream's model encodes it."""
        if kind == "query":
            part = import_module("metadata.utils.fqn").get_query_checksum(body["query"])
        else:
            name = self.request(kind, body).name
            part = self.quote(str(getattr(name, "root", name)))
        if kind == "user":
            part = part.lower()
        infix = [KINDS[kind].infix] if KINDS[kind].infix else []
        return ".".join([*([above] if above else []), *infix, part])

    def request(self, kind: str, body: Body) -> Any:
        """The create request; references to entities stand for some id."""
        return self.create(kind).model_validate(without_references(body))

    def quote(self, name: str) -> str:
        return str(import_module("metadata.utils.fqn").quote_name(name))

    def split(self, fqn: str) -> list[str]:
        return _split(fqn)

    def above(self, fqn: str, infix: str = "") -> str:
        parts = _split(fqn)[:-1]
        return ".".join(parts[:-1] if infix and parts[-1] == infix else parts)

    def is_within(self, fqn: str, top: str) -> bool:
        return fqn == top or fqn.startswith(top + ".")


_SINGLE = frozenset(
    {
        "domain",
        "dataProduct",
        "dataContract",
        "team",
        "container",
        "pipeline",
        "testCase",
        "testDefinition",
        "glossary",
        "metric",
    }
)


@cache
def _split(fqn: str) -> list[str]:
    found: list[str] = import_module("metadata.utils.fqn").split(fqn)
    return found


@cache
def _found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None


_NO_ID = "00000000-0000-4000-8000-000000000000"


def without_references(value: Any) -> Any:
    """A body in which every reference that a side has still to look up is some id."""
    if isinstance(value, dict):
        if "$id" in value:
            return _NO_ID
        if "$reference" in value:
            return {"id": _NO_ID, "type": value["$reference"][0]}
        return {key: without_references(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_references(inner) for inner in value]
    return value
