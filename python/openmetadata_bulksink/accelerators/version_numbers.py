"""For each column of a Redshift table upstream compares SQLAlchemy's version with two constants that it parses for the
purpose, three times. Parsed once.
"""

from __future__ import annotations

from functools import lru_cache

from openmetadata_bulksink.accelerators import StepsAside, Undo, known, loaded, names_used_by, put

MODULE = "metadata.ingestion.source.database.redshift.utils"

#: `_get_column_info`, as text: 1.11.0 to 1.11.4; later ones of 1.11, and 1.12; 1.13 and 2.0.
_KNOWN = frozenset({"454e370118bd89db", "9584974b220dcae3", "e42f7e7e9d3f0850"})

_MOST = 16


def install() -> Undo:
    """Put the memo in. Raises StepsAside."""
    utils = loaded(MODULE)
    what = "upstream's use of version numbers"
    known(_KNOWN, what, utils, "_get_column_info")
    users = {name for name, function in vars(utils).items() if "Version" in names_used_by(function)}
    if users != {"_get_column_info"}:  # another use might want the class itself
        raise StepsAside(f"{what} has changed")
    return put(utils, "Version", lru_cache(maxsize=_MOST)(utils.Version))
