"""Runs at the start of each Python of an environment that has openmetadata-bulksink: notes one module name, and
nothing else.

When (and only if) a program imports `metadata.ingestion.sink.metadata_rest`, our sink takes the place of the class in
it. Imports only what every interpreter has loaded already, reads one environment variable, prints nothing, starts
nothing, raises nothing. `OM_BULKSINK=0` switches it off. The line that calls it is in
`openmetadata-bulksink-init.pth`, and from CPython 3.15 on in `openmetadata-bulksink-init.start`.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` is not loaded in every interpreter; type checkers know this name
if TYPE_CHECKING:
    from typing import Any

_MODULE = "metadata.ingestion.sink.metadata_rest"


class _OneModule:
    """Finds one module: lets the other finders find it, looks at it once it has run, and takes itself away then."""

    def find_spec(self, name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
        if name != _MODULE:
            return None
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None) if finder is not self else None
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if spec.loader is not None:
                    _watch(spec.loader, self)
                return spec
        return None


def _watch(loader: "Any", finder: "object") -> None:
    """Let this one loader object tell us when its module has run; the class of loaders is left alone."""
    run = getattr(loader, "exec_module", None)
    if run is None:
        return

    def exec_module(module: "Any") -> None:
        loader.__dict__.pop("exec_module", None)
        run(module)
        _remove(finder)
        try:
            from openmetadata_bulksink.activate import replace

            replace(module)
        except Exception:  # noqa: BLE001 - somebody else's import must not fail because of us
            pass

    if hasattr(loader, "__dict__"):
        loader.exec_module = exec_module


def _remove(finder: "object") -> None:
    sys.meta_path[:] = [one for one in sys.meta_path if one is not finder]


def start() -> None:
    """Idempotent: a .pth of a virtual environment is run twice."""
    try:
        if os.environ.get("OM_BULKSINK", "1").strip().lower() in ("0", "false", "off", "no"):
            return
        if _MODULE in sys.modules:
            return
        for finder in sys.meta_path:
            if type(finder).__name__ == "_OneModule" and type(finder).__module__ == __name__:
                return
        sys.meta_path.insert(0, _OneModule())
    except Exception:  # noqa: BLE001 - no interpreter may fail to start because of us
        pass
