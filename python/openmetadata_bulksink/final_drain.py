"""Who asks for the final drain (rule A6): the workflow, right before it decides its state.

Upstream's `BaseWorkflow.calculate_success` is the one function that runs between the last record and everything that
is told about the run: persisted state, summary, exit code. While a sink writes natively, that function lets the sinks
among the workflow's own steps write what is pending first, on whatever thread it runs. Where it is not upstream's own,
only `close()` drains.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from openmetadata_bulksink import own
from openmetadata_bulksink.accelerators import Undo, known, loaded, put

MODULE = "metadata.workflow.base"

#: `calculate_success`, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"fe945e4b44bce941", "0a326901d053da4d"})


def install(drain: Callable[[Sequence[Any]], None]) -> Undo:
    """Have `drain` called with the steps of a workflow before the workflow decides. Raises StepsAside: without a word
    where this process has no workflow.
    """
    workflow = loaded(MODULE).BaseWorkflow
    known(_KNOWN, "upstream's way of deciding the state of a run", workflow, "calculate_success")
    original = vars(workflow)["calculate_success"]

    @wraps(original)
    def calculate_success(self: Any) -> Any:
        drain(self.workflow_steps())
        return original(self)

    return put(workflow, "calculate_success", calculate_success)


def replaced_by() -> str | None:
    """A class of workflows, of somebody's own, that decides its state in another way."""
    base = getattr(sys.modules.get(MODULE), "BaseWorkflow", None)
    found = list(base.__subclasses__()) if base is not None else []
    for cls in found:
        found += cls.__subclasses__()
        mine = vars(cls).get("calculate_success")
        if mine is not None and own.why_not(mine, "metadata") is not None:
            return f"{cls.__module__}.{cls.__qualname__}"
    return None
