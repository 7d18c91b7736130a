"""Runs at the start of each Python of an environment that has openmetadata-bulksink: notes a few module names, and
nothing else.

When (and only if) a program imports `metadata.ingestion.sink.metadata_rest`, our sink takes the place of the class in
it; `metadata.ingestion.sink.native_rest`, the sink type `native-rest`, is found here, since no file of ours lies in
upstream's package. With `OM_BULKSINK_KEEP_ALARM=1` upstream's time limits leave a runner's alarm alone (`alarm.py`).
Imports only what every interpreter has loaded already, reads two environment variables, prints nothing, starts
nothing, raises nothing. With `OM_BULKSINK=0` the class stays upstream's, under both names. The line that calls it is in
`openmetadata-bulksink-init.pth`, and from CPython 3.15 on in `openmetadata-bulksink-init.start`.
"""

import os
import sys

TYPE_CHECKING = False  # `typing` is not loaded in every interpreter; type checkers know this name
if TYPE_CHECKING:
    from typing import Any

_PACKAGE = "metadata"
_SINK = "metadata.ingestion.sink.metadata_rest"
_NATIVE = "metadata.ingestion.sink.native_rest"
_TIMEOUT = "metadata.utils.timeout"
_KEEP_ALARM = "OM_BULKSINK_KEEP_ALARM"


class _Hook:
    """A finder for these modules. It stays: `importlib.reload` and a second import ask it again."""

    def __init__(self, replaces: bool) -> None:
        self.replaces = replaces

    def find_spec(self, name: "str", path: "Any" = None, target: "Any" = None) -> "Any":
        if not name.startswith(_PACKAGE):
            return None
        if name == _NATIVE:
            from importlib.machinery import ModuleSpec

            loader: Any = _NativeRest(self)
            return ModuleSpec(name, loader, origin="openmetadata-bulksink")
        if name == _TIMEOUT and _KEEP_ALARM in os.environ:  # with either sink
            return self._watched(name, path, target)
        if not self.replaces:
            return None
        if name == _SINK:
            return self._watched(name, path, target)
        # A hook that came later and answers for all of upstream (pytest's, which rewrites assertions) would keep the
        # one module from us. It leaves namespace packages to others, and the folder of sinks is one.
        if sys.meta_path[0] is not self:
            sys.meta_path[:] = [self, *(one for one in sys.meta_path if one is not self)]
        return None

    def _watched(self, name: "str", path: "Any", target: "Any") -> "Any":
        """What the other finders find, by a loader that tells us when the module has run."""
        for finder in list(sys.meta_path):
            find = getattr(finder, "find_spec", None) if finder is not self else None
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                if spec.loader is not None:
                    _watch(spec.loader)
                return spec
        return None


class _NativeRest:
    """Loads the sink type `native-rest`."""

    def __init__(self, hook: "_Hook") -> None:
        self._hook = hook

    def create_module(self, _spec: "Any") -> "Any":
        return None

    def exec_module(self, module: "Any") -> "None":
        from importlib import import_module

        sinks = import_module(_SINK)
        if self._hook.replaces:
            _replace(sinks)
        module.NativeRestSink = sinks.MetadataRestSink


def _watch(loader: "Any") -> None:
    """Let this one loader object tell us when its module has run; the class of loaders is left alone."""
    run: Any = getattr(loader, "exec_module", None)

    def exec_module(module: "Any") -> None:
        if module.__name__ not in (_SINK, _TIMEOUT):  # a loader of many modules: pytest's, and that of a zip file
            run(module)
            return
        loader.__dict__.pop("exec_module", None)
        run(module)
        if module.__name__ == _SINK:
            _replace(module)
        else:
            _keep_alarm(module)

    if run is None or not hasattr(loader, "__dict__"):
        _not_active(f"upstream's sink comes from a {type(loader).__name__}, which cannot be watched")
    elif "exec_module" not in vars(loader):
        loader.exec_module = exec_module


def _replace(module: "Any") -> None:
    try:
        from openmetadata_bulksink.activate import replace

        replace(module)
    except Exception as error:  # noqa: BLE001 - somebody else's import must not fail because of us
        _not_active(f"{type(error).__name__}: {error}")


def _keep_alarm(module: "Any") -> None:
    try:
        from openmetadata_bulksink.alarm import keep

        keep(module)
    except Exception as error:  # noqa: BLE001 - as above
        _not_active(f"{type(error).__name__}: {error}")


def _not_active(reason: "str") -> None:
    import logging

    logging.getLogger("metadata.BulkSink").info("openmetadata-bulksink is not active: %s", reason)


def is_in_place() -> bool:
    """Whether this process has the hook, and it replaces the class."""
    hook = _present()
    return hook is not None and hook.replaces


def _present() -> "Any":
    for finder in sys.meta_path:
        if type(finder).__name__ == "_Hook" and type(finder).__module__ == __name__:
            return finder
    return None


def start() -> None:
    """Idempotent: a .pth of a virtual environment is run twice."""
    try:
        if _present() is not None:
            return
        off = os.environ.get("OM_BULKSINK", "1").strip().lower() in ("0", "false", "off", "no")
        sys.meta_path.insert(0, _Hook(replaces=not off))
        if not off and _SINK in sys.modules:
            _replace(sys.modules[_SINK])
    except Exception:  # noqa: BLE001 - no interpreter may fail to start because of us
        pass
