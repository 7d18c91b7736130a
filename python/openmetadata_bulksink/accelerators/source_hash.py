"""For the hash of each entity upstream dumps the request, copies the dump without fields that come and go, puts its
lists in order, writes it as JSON, and hashes that. From the dump on one native function writes the same text.

It has no answer for what ordinary requests do not hold; then upstream's function is asked.
"""

from __future__ import annotations

from hashlib import md5
from typing import Any

from openmetadata_bulksink.accelerators import StepsAside, Undo, fingerprint, known, loaded, put

MODULE = "metadata.utils.source_hash"
#: The one module that uses it.
CALLER = "metadata.ingestion.api.topology_runner"

_FUNCTIONS = (
    "_normalize_whitespace",
    "_get_column_sort_key",
    "_get_tag_sort_key",
    "_get_constraint_sort_key",
    "_get_entity_reference_sort_key",
    "_remove_volatile_fields",
    "_sort_columns",
    "_normalize_for_hash",
    "generate_source_hash",
)

#: These, as text, where aliases stay in the order in which they come: 1.11 from 1.11.9 on, and 1.12; 2.0.0 to 2.0.3.
_ALIASES_AS_THEY_COME = frozenset({"28aeb924b60f7bf0", "37096d400af5a618", "806c04b59e675ff9"})
#: And where they are sorted: 1.13; 2.0.4 and later.
_KNOWN = _ALIASES_AS_THEY_COME | {"3e8d4130c9959238", "c1211237eac9b8bc"}

#: What the native function leaves out.
_VOLATILE = {"href", "deleted", "inherited"}

#: `generate_source_hash` of 1.11.0 to 1.11.8, as text: it takes what pydantic makes of the request as it is.
_STRAIGHT = frozenset({"84154fe91f284fed"})


def install() -> Undo:
    """Put the native text in. Raises StepsAside, without a word where upstream makes no text of its own."""
    from openmetadata_bulksink import _native

    caller, module = loaded(CALLER), loaded(MODULE)
    what = "upstream's source hash"
    if not hasattr(module, "_remove_volatile_fields"):
        known(_STRAIGHT, what, module, "generate_source_hash")
        raise StepsAside
    known(_KNOWN, what, module, *_FUNCTIONS)
    original, left_out = module.generate_source_hash, module.SOURCE_HASH_EXCLUDE_FIELDS
    if caller.generate_source_hash is not original or module.VOLATILE_ENTITY_REFERENCE_FIELDS != _VOLATILE:
        raise StepsAside(f"{what} has changed")
    sorts_aliases = fingerprint(*(getattr(module, name) for name in _FUNCTIONS)) not in _ALIASES_AS_THEY_COME
    hash_text = _native.hash_text

    def generate_source_hash(create_request: Any, exclude_fields: Any = None) -> str | None:
        text = None
        if not exclude_fields:
            try:
                text = hash_text(create_request.model_dump(exclude=dict(left_out)), sorts_aliases=sorts_aliases)
            except Exception:  # noqa: BLE001 - upstream's function says what it says about such a request
                text = None
        if text is None:
            return original(create_request, exclude_fields)  # type: ignore[no-any-return]
        return md5(text.encode(), usedforsecurity=False).hexdigest()

    return put(caller, "generate_source_hash", generate_source_hash)
