"""Names as upstream's filters see them: a regular expression, matched from the start, case ignored. And as the server
stores them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from openmetadata_bulksink import records

#: Matches no name; `includes` without an entry would match every name.
NOTHING = r"^(?!)"


def alike(name: str) -> str:
    """Two names with the same key may be matched by each other's pattern, so they stay together. Coarser than
    `re.IGNORECASE`, never finer: `ß` and `ss` are one key, too. A dollar sign matches before a last line break.
    """
    folded = name.removesuffix("\n").upper().casefold()
    # Python matches i with the Turkish letters; full case folding writes one of them as two characters.
    return folded.replace("\u0307", "").replace("\u0131", "i").replace("\u0345", "\u03b9")


def stored(name: str) -> str:
    """What the server calls a database, a schema or a table that the source calls so. Imports upstream."""
    from metadata.ingestion.models.custom_basemodel_validation import replace_separators

    return str(replace_separators(name))


def stored_fqn(service: str, *names: str) -> str:
    """The server's FQN of what the source calls by these names, database first."""
    return ".".join(map(records.quote_name, (service, *map(stored, names))))


def pattern(names: Iterable[str]) -> str:
    """One expression for all names. Upstream compiles every entry of a filter for every name that it asks about; a
    list of 5,000 entries would be 25 million.
    """
    written = "|".join(re.escape(name) for name in sorted(set(names)))
    return f"^(?:{written})$" if written else NOTHING
