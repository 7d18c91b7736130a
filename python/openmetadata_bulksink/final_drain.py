"""Who asks for the final drain (rule A6): the workflow, right before it decides its state.

Upstream's `BaseWorkflow.calculate_success` is the one function that runs between the last record and everything that
is told about the run: persisted state, summary, exit code. While a sink writes natively, that function lets the
workflow's sinks write what is pending first, on whatever thread it runs: its steps, and those that a step of somebody's
own holds, which share the workflow's client. Where it is not upstream's own, only `close()` drains.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import Undo, known, loaded, put

MODULE = "metadata.workflow.base"

#: `calculate_success`, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"fe945e4b44bce941", "0a326901d053da4d"})


#: The sinks that write natively. Not kept where a sink is: that module may be loaded anew under them.
_native: weakref.WeakSet[Any] = weakref.WeakSet()


def belongs(sink: Any) -> Undo:
    """Have a sink drained with its workflow, until the undo."""
    _native.add(sink)
    return lambda: _native.discard(sink)


def install() -> Undo:
    """Have sinks drained before their workflow decides. Raises StepsAside: without a word where this process has no
    workflow.
    """
    workflow = loaded(MODULE).BaseWorkflow
    known(_KNOWN, "upstream's way of deciding the state of a run", workflow, "calculate_success")
    original = vars(workflow)["calculate_success"]

    @wraps(original)
    def calculate_success(self: Any) -> Any:
        steps = self.workflow_steps()
        sinks = _sinks_of(self, steps)
        try:
            for sink in sinks:
                sink._drain(steps)
        except BaseException:
            _no_success_with_losses(self, steps, sinks)
            raise
        return original(self)

    return put(workflow, "calculate_success", calculate_success)


def _sinks_of(workflow: Any, steps: Sequence[Any]) -> list[Any]:
    client = getattr(workflow, "metadata", None)
    return [sink for sink in list(_native) if sink.metadata is client or any(step is sink for step in steps)]


#: What a workflow tells its state with, where it has it (the second: 2.0).
_TELLS = ("set_ingestion_pipeline_status", "terminal_progress_update_type")


def _no_success_with_losses(workflow: Any, steps: Sequence[Any], sinks: Sequence[Any]) -> None:
    """An interruption leaves before the state is decided, and upstream then tells the one that it began with, which is
    success. Where something failed, or is pending still, it fails instead.
    """

    def truthful(name: str) -> None:
        tell = getattr(workflow, name)

        def told(state: Any, *more: Any, **named: Any) -> Any:
            undo()
            lost = any(step.get_status().failures for step in (*steps, *sinks))
            if state.value == "success" and (lost or any(sink.is_pending() for sink in sinks)):
                state = type(state)("failed")
            return tell(state, *more, **named)

        undo = put(workflow, name, told, calls_original=True)

    for name in _TELLS:
        if hasattr(workflow, name):
            truthful(name)


def replaced_by() -> str | None:
    """A class of workflows that decides its state in another way; upstream has none."""
    base = getattr(sys.modules.get(MODULE), "BaseWorkflow", None)
    found = list(base.__subclasses__()) if base is not None else []
    for cls in found:
        found += cls.__subclasses__()
        if "calculate_success" in vars(cls):
            return f"{cls.__module__}.{cls.__qualname__}"
    return None
