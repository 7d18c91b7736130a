"""One stream through both sinks, and everything in which they differ; a stream that differs can be made shorter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Any

from tests.ingest import ReferenceServer, compare, describe
from tests.python.order.sides import Side
from tests.python.order.streams import Step
from tests.python.order.upstream_classes import Classes


@dataclass(frozen=True)
class Setting:
    """How our side is set up: what may change the times at which things happen, and must not change anything else."""

    batch_size: int
    workers: int
    linger: float
    request_ms: float
    row_ms: float

    @classmethod
    def of(cls, rng: Random) -> Setting:
        return cls(
            batch_size=rng.choice((2, 3, 7, 100)),
            workers=rng.choice((1, 2, 4, 8)),
            linger=rng.choice((0.0, 0.005, 2.0)),
            request_ms=rng.choice((0.0, 2.0, 10.0)),
            row_ms=rng.choice((0.0, 0.5, 2.0)),
        )


@contextmanager
def variables(**wanted: str) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Comparison:
    """Upstream's class and ours, each with a server of its own."""

    def __init__(self, theirs: ReferenceServer, ours: ReferenceServer) -> None:
        from openmetadata_bulksink.sink import sink_class

        self.classes = Classes()
        found: Any = import_module("metadata.ingestion.sink.metadata_rest").MetadataRestSink
        # Whether our hook has run in this process is pytest's business, which may load modules in its own way.
        self.their_class: Any = vars(found).get("_bulksink_replaces", found)
        self.our_class: Any = sink_class(self.their_class)
        self._theirs, self._ours = theirs, ours
        #: What upstream lost in the last stream.
        self.lost_by_upstream: frozenset[str] = frozenset()

    def upstream(self, steps: Sequence[Step]) -> tuple[list[Any], Side]:
        """Upstream's own sink, one record at a time."""
        self._theirs.reset()
        side = Side(self.their_class, {"bulk_sink_batch_size": 1}, self._theirs, self.classes, one_by_one=True)
        return _run(side, steps), side

    def native(self, steps: Sequence[Step], setting: Setting) -> tuple[list[Any], Side]:
        """Our sink."""
        self._ours.reset()
        singles = {"request_ms": min(setting.request_ms, 2.0)}
        self._ours.set_latency(
            {"bulk": {"request_ms": setting.request_ms, "row_ms": setting.row_ms}, "single": singles}
        )
        with variables(OM_BULKSINK_WORKERS=str(setting.workers), OM_BULKSINK_LINGER=str(setting.linger)):
            side = Side(self.our_class, {"bulk_sink_batch_size": setting.batch_size}, self._ours, self.classes)
            return _run(side, steps), side

    def differences(
        self, steps: Sequence[Step], setting: Setting, *, reference: Sequence[Step] | None = None
    ) -> list[str]:
        """Everything that differs; nothing is as it should be. reference: what upstream gets instead, where the order
        is what is compared: then there are no answers to compare.
        """
        their_answers, theirs = self.upstream(steps if reference is None else reference)
        our_answers, ours = self.native(steps, setting)
        found: list[str] = []
        if reference is None:
            for number, (step, one, other) in enumerate(zip(steps, their_answers, our_answers, strict=True)):
                if one != other:
                    found.append(f"step {number}, {step}: upstream {_short(one)} | we {_short(other)}")
        if theirs.failed != ours.failed:
            found.append(
                f"failures: upstream {dict(theirs.failed - ours.failed)} | we {dict(ours.failed - theirs.failed)}"
            )
        states = compare(self._theirs.state(), self._ours.state())
        if states:
            found.append(f"state (upstream | we): {describe(states)}")
        self.lost_by_upstream = frozenset(theirs.failed)
        # A child may be sent while its parent is sent again that had been refused: it is refused, too, or not.
        allowed: set[str] = set() if reference is None else {"child_before_parent"}
        found += [f"order: {one}" for one in self._ours.violations() if one["rule"] not in allowed]
        unknown = self._ours.summary()["unknown_routes"]
        if unknown:
            found.append(f"routes that the reference server does not know: {unknown}")
        return found


def _run(side: Side, steps: Sequence[Step]) -> list[Any]:
    answers = [side.take(number, step) for number, step in enumerate(steps)]
    side.close()
    return answers


def shortened(comparison: Comparison, steps: Sequence[Step], setting: Setting) -> list[Step]:
    """The stream with everything left out that is not needed for it to differ. Parents are needed: a stream in which
    upstream loses more than before shows something else.
    """
    if not comparison.differences(steps, setting):
        return list(steps)
    lost = comparison.lost_by_upstream
    kept = list(steps)
    size = max(1, len(kept) // 2)
    while size:
        at = 0
        while at < len(kept):
            shorter = kept[:at] + kept[at + size :]
            if comparison.differences(shorter, setting) and comparison.lost_by_upstream <= lost:
                kept = shorter
            else:
                at += size
        size //= 2
    return kept


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]} ..."
