"""How our sink takes the place of upstream's (rule A10): the attribute `MetadataRestSink` of one module.

Three ways lead here: the boot module's import hook (`replace`), a program that calls `install()`, and the command
`ingest`, which does so (`upstreams_command`). All callers of upstream look the attribute up when they build a sink, so
replacing it is enough. Decides nothing about a run; never raises into an import of upstream's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import _openmetadata_bulksink_boot as boot
from openmetadata_bulksink import eligibility, settings
from openmetadata_bulksink.log import log
from openmetadata_bulksink.sink import inert_class, sink_class

MODULE = "metadata.ingestion.sink.metadata_rest"
ATTRIBUTE = "MetadataRestSink"

#: Marks a class as ours, with upstream's own class as its value.
_REPLACES = "_bulksink_replaces"


class NotInstalled(RuntimeError):
    """Upstream is not in this environment."""


def install() -> bool:
    """Use the native sink in this process from now on. Returns whether it is in place. Raises NotInstalled where
    upstream is not.

    For programs that build workflows themselves in an environment where start-up hooks do not run. The sink type
    `native-rest` works from then on, too. Calling it twice is harmless.
    """
    boot.start()
    try:
        module = import_module(MODULE)
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"openmetadata-ingestion with its REST sink is not installed here ({error}); install it first"
        ) from error
    return replace(module)


def replace(module: ModuleType) -> bool:
    """Put our class into upstream's module. Returns whether it is in place."""
    found = getattr(module, ATTRIBUTE, None)
    if not isinstance(found, type):
        log.info("openmetadata-bulksink is not active: %s has no class %s", module.__name__, ATTRIBUTE)
        return False
    if _REPLACES in vars(found):
        return True
    problem = eligibility.shape_problem(found)
    made = inert_class(found, problem) if problem is not None else sink_class(found)
    setattr(made, _REPLACES, found)
    setattr(module, ATTRIBUTE, made)
    return problem is None


def active_class() -> type | None:
    """Our class where it is in place; for the doctor."""
    try:
        found = getattr(import_module(MODULE), ATTRIBUTE, None)
    except ModuleNotFoundError:
        return None
    return found if isinstance(found, type) and _REPLACES in vars(found) else None


def upstreams_command(arguments: Sequence[str]) -> object:
    """Run upstream's own command `metadata` with our sink in place, unless it is switched off; returns or raises what
    that does. Raises NotInstalled.
    """
    boot.start()
    if not settings.switched_off():
        install()
    sys.argv = ["metadata", *arguments]
    try:
        command = import_module("metadata.cmd")
    except ModuleNotFoundError as error:
        raise NotInstalled(f"openmetadata-ingestion is not installed here ({error}); install it first") from error
    return command.metadata()
