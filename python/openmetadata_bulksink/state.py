"""What a sink is at any time: one of three things, in one attribute.

A sink begins `UNDECIDED`. The first record that upstream would buffer decides, once (`decision.py`): it is `Native`
from then on until it is closed, or `UPSTREAMS`, as if this package were not there. A native sink that was closed is
`UNDECIDED` again: upstream's can be used after `close()`, too. Nothing else of a sink changes with it: its config stays
the user's, and its buffers stay upstream's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openmetadata_bulksink import records, settings, tags
    from openmetadata_bulksink.accelerators import Undo
    from openmetadata_bulksink.writer import Writer


@dataclass(frozen=True)
class Undecided:
    """No record has come yet that would be written natively. before: what has written until the sink was closed."""

    before: Writer | None = None


class Upstreams:
    """Every record goes upstream's way."""


UNDECIDED = Undecided()
UPSTREAMS = Upstreams()


@dataclass
class Native:
    """Records go to the engine.

    undo: what gives upstream back to itself, first in, last out. refusals: what the engine raises for a record that it
    cannot take; everything else is not about the record. forms: how the classes that upstream buffers are written; a
    new mapping for each class that is learnt, since several threads may read it. singles: the classes that upstream
    writes one by one. asked: whether a workflow has asked for the final drain before it decided its state.
    """

    writer: Writer
    tuning: settings.Tuning
    undo: list[Undo]
    refusals: tuple[type[Exception], ...]
    forms: Mapping[type, records.Form] = field(default_factory=dict)
    singles: set[type] = field(default_factory=set)
    scopes: dict[type, Callable[[Any], Any]] = field(default_factory=dict)
    tag_class: type | None = None
    tag_forms: tags.Forms | None = None
    labels_pending: bool = False
    asked: bool = False
