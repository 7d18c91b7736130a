"""For the hash of each entity, upstream copies the request without fields that come and go, with one call for each
value in it. Here dictionaries are copied as a whole, and there is one call for each dictionary and list.
"""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, known, loaded, put

MODULE = "metadata.utils.source_hash"

#: `_remove_volatile_fields`, as text: 1.11.9 to 1.13; 2.0.
_KNOWN = frozenset({"baeee5be58f7ff1b", "cfa6a16afd4e2d38"})

#: `generate_source_hash` of 1.11.0 to 1.11.8, as text: it takes what pydantic makes of the request, without a copy.
_WITHOUT_COPY = frozenset({"84154fe91f284fed"})


def install() -> Undo:
    """Put the faster copy in. Raises StepsAside, without a word where upstream makes no copy."""
    module = loaded(MODULE)
    if not hasattr(module, "_remove_volatile_fields"):
        known(_WITHOUT_COPY, "upstream's source hash", module, "generate_source_hash")
        raise StepsAside
    known(_KNOWN, "upstream's source hash", module, "_remove_volatile_fields")

    def remove(value: Any) -> Any:
        if isinstance(value, dict):
            copied = dict(value)
            for name in module.VOLATILE_ENTITY_REFERENCE_FIELDS:
                copied.pop(name, None)
            for key, item in copied.items():
                if item is not None and isinstance(item, (dict, list)):
                    copied[key] = remove(item)
            return copied
        if isinstance(value, list):
            return [remove(item) if isinstance(item, (dict, list)) else item for item in value]
        return value

    return put(module, "_remove_volatile_fields", remove)
