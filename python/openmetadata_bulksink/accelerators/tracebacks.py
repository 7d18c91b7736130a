"""Where a dialect knows no comments of tables (SQLite's, for one), upstream writes out a traceback for each table, for
a line at DEBUG that is most often not logged. Not written out then.
"""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Any

from openmetadata_bulksink.accelerators import Undo, known, loaded, put

MODULE = "metadata.ingestion.source.database.common_db_source"

#: `get_table_description`, as text: 1.11 and 1.12; 1.13; 2.0.
_KNOWN = frozenset({"a504a0051e768e97", "8a961a05f8e5b973", "3d5d1cdf0aac13e1"})


class _Traceback:
    """In place of the module `traceback` in one module of upstream's: `format_exc` looks at who asks."""

    def __init__(self, original: Any, asks_for_debug: Any, logger: logging.Logger) -> None:
        self._original = original
        self._asks_for_debug = asks_for_debug
        self._logger = logger

    def format_exc(self, *args: Any, **kwargs: Any) -> str:
        if sys._getframe(1).f_code is self._asks_for_debug and not self._logger.isEnabledFor(logging.DEBUG):
            return ""
        return str(self._original.format_exc(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


def install() -> Undo:
    """Put the look in. Raises StepsAside."""
    module = loaded(MODULE)
    source = module.CommonDbSourceService
    known(_KNOWN, "upstream's reading of descriptions", source, "get_table_description")
    asks_for_debug = inspect.unwrap(source.get_table_description).__code__
    return put(module, "traceback", _Traceback(module.traceback, asks_for_debug, module.logger))
