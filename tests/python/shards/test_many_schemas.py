"""A warehouse of 5,000 schemas: upstream asks its filters about each name, and compiles each entry for each of them."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from openmetadata_bulksink.shard import filters
from openmetadata_bulksink.shard.packing import Unit, pack
from openmetadata_bulksink.shard.plan import Plan

pytestmark = pytest.mark.upstream

SCHEMAS = [f"area.{number:04}" for number in range(5_000)]


def test_upstream_looks_at_one_expression_for_each_of_five_thousand_names(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams: Any = importlib.import_module("metadata.utils.filters")
    model: Any = importlib.import_module("metadata.generated.schema.type.filterPattern")
    shards = pack([Unit("sales", schema, 1) for schema in SCHEMAS], 2)
    plan = Plan("run", 0.0, "print", "svc", ("sales",), tuple(map(tuple, shards)))
    users = {"source": {"sourceConfig": {"config": {"type": "DatabaseMetadata"}}}}
    looked: list[str] = []

    class Counting:
        """Stands for `re` in upstream's module."""

        def __getattr__(self, name: str) -> Any:
            return getattr(re, name)

        def compile(self, expression: str, *flags: Any) -> Any:
            looked.append(expression)
            return re.compile(expression, *flags)

    monkeypatch.setattr(upstreams, "re", Counting())
    for number, shard in enumerate(shards):
        made = filters.of_part(users, plan, number, plan.parts(number)[0])
        pattern = model.FilterPattern.model_validate(filters.options_of(made)["schemaFilterPattern"])
        looked.clear()
        kept = [name for name in SCHEMAS if not upstreams.filter_by_schema(pattern, name)]
        assert kept == [unit.schema for unit in shard]
        assert len(looked) == len(SCHEMAS)
        assert len(set(looked)) == 1
