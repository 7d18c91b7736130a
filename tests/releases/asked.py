"""Runs inside an environment with upstream and our wheel: prints, as JSON, the source text of each function that the
adapter or an accelerator of ours looks at, by module and name.

It notes what is asked for (`inspect.getsource`, `inspect.signature`) while the class is looked at and the accelerators
are put in, so there is no second list of functions that could be forgotten.
"""

from __future__ import annotations

import inspect
import json
import sys
from importlib import import_module
from typing import Any

from openmetadata_bulksink import accelerate, eligibility, settings

_texts: dict[str, str] = {}


def _note(function: Any) -> None:
    home, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if home and name and not home.startswith(("openmetadata_bulksink", "builtins")):
        try:
            _texts[f"{home}:{name}"] = _source(inspect.unwrap(function))
        except (OSError, TypeError):
            return  # a class of C, or one that was made without a file


def _watching(original: Any) -> Any:
    def asked(function: Any, *arguments: Any, **named: Any) -> Any:
        if callable(function):
            _note(function)
        return original(function, *arguments, **named)

    return asked


def _look() -> list[str]:
    """Everything that is looked at before a sink writes. Returns why accelerators step aside."""
    sink = import_module("metadata.ingestion.sink.metadata_rest").MetadataRestSink
    eligibility.shape_problem(vars(sink).get("_bulksink_replaces", sink))
    undo, _, aside = accelerate.examine(settings.ACCELERATORS)
    for each in reversed(undo):
        each()
    return aside


_source = inspect.getsource
_look()  # imports what there is: that asks for many more
inspect.getsource = _watching(inspect.getsource)
inspect.signature = _watching(inspect.signature)
aside = _look()
json.dump({"functions": _texts, "aside": aside}, sys.stdout)
