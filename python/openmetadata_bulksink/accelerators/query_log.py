"""For each SQL statement upstream validates a model of it, which lives until the statement has run, and makes two
lists of all words of the statement to look at the first one. A plain object does, and so does the first word alone.

The line that upstream logs about the statement at DEBUG, and what it counts, stay as they are.
"""

from __future__ import annotations

from typing import Any

from openmetadata_bulksink.accelerators import Undo, all_of, known, loaded, put

MODULE = "metadata.ingestion.connections.query_logger"

#: `QueryInfo` and `QueryLogger`, as text: 1.11 and 1.12; 1.13; 2.0.
_KNOWN = frozenset({"b4b31de5ec102e9f", "07bcc44eef6176c6", "b4e30d43b3dd5c84"})


class _Query:
    """What upstream's two functions keep of a statement between them."""

    __slots__ = ("duration_ms", "end_time", "parameters", "start_time", "statement")

    def __init__(self, statement: str, parameters: Any, start_time: Any) -> None:
        self.statement = statement
        self.parameters = parameters
        self.start_time = start_time


def install() -> Undo:
    """Put the plain object and the shorter look in. Raises StepsAside."""
    module = loaded(MODULE)
    known(_KNOWN, "upstream's log of SQL statements", module, "QueryInfo", "QueryLogger")
    model = module.QueryInfo

    def query(*, statement: Any, parameters: Any, start_time: Any) -> Any:
        # Whatever the model would convert or refuse goes to the model.
        if statement.__class__ is str and (
            parameters is None
            or parameters.__class__ is tuple
            or (parameters.__class__ is dict and all(key.__class__ is str for key in parameters))
        ):
            return _Query(statement, parameters, start_time)
        return model(statement=statement, parameters=parameters, start_time=start_time)

    undo = [put(module, "QueryInfo", query)]
    if "_extract_query_type" in vars(module.QueryLogger):  # from 1.13 on
        undo.append(put(module.QueryLogger, "_extract_query_type", staticmethod(_first_word(module.QueryLogger))))
    return all_of(undo)


def _first_word(owner: Any) -> Any:
    original = owner._extract_query_type

    def extract_query_type(statement: Any) -> Any:
        if statement.__class__ is not str:
            return original(statement)
        words = statement.split(None, 1)
        return words[0].upper() if words else "UNKNOWN"

    return extract_query_type
