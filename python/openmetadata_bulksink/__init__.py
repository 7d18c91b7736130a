"""A native bulk sink for OpenMetadata ingestion: writing overlaps extraction, and nothing is lost.

Installed next to `openmetadata-ingestion` it is active by itself; nothing in the workflow's YAML changes. This module
imports nothing at all: the native module and upstream are only touched when a sink is made, or a name below is asked
for.
"""

TYPE_CHECKING = False  # `typing` takes longer than all of this package's first import; type checkers know this name
if TYPE_CHECKING:
    from typing import Any

    from openmetadata_bulksink._native import (
        BulkSink,
        BulkSinkError,
        ConfigurationError,
        DrainTimeout,
        Outcome,
        Stats,
        TransportError,
        __version__,
        canonical_fqn,
        quote_name,
    )
    from openmetadata_bulksink.activate import install
    from openmetadata_bulksink.eligibility import why_not_native

__all__ = [
    "BulkSink",
    "BulkSinkError",
    "ConfigurationError",
    "DrainTimeout",
    "Outcome",
    "Stats",
    "TransportError",
    "__version__",
    "canonical_fqn",
    "install",
    "quote_name",
    "why_not_native",
]

_HOMES = {"install": "activate", "why_not_native": "eligibility"}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, '_native')}"), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted(__all__)
