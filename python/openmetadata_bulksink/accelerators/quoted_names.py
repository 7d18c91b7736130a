"""Upstream looks at each part of each fully qualified name with a regular expression, to see whether it needs quotes.
A name without a quote, a dot and a line feed is its own answer.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from openmetadata_bulksink.accelerators import Undo, known, loaded, put

MODULE = "metadata.utils.fqn"

#: `quote_name`, as text: 1.11 to 2.0.
_KNOWN = frozenset({"f77a4bb4d621d14d"})


def install() -> Undo:
    """Put the short way in. Raises StepsAside."""
    fqn = loaded(MODULE)
    known(_KNOWN, "upstream's quoting of names", fqn, "quote_name")
    original = fqn.quote_name

    @wraps(original)  # `column_names` looks at its text
    def quote_name(name: Any) -> Any:
        if name.__class__ is str and '"' not in name and "." not in name and "\n" not in name:
            return name
        return original(name)

    return put(fqn, "quote_name", quote_name)
