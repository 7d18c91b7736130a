"""Which statements may be asked ahead, and when two are the same.

Only what reads, and gives the same rows on whatever connection: nothing of a session, of a clock, of chance. When in
doubt a statement is left alone, which costs its round trip. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

_READS = re.compile(
    r"\s*(?:(?:/\*.*?\*/|--[^\n]*\n)\s*)*\(*\s*(SELECT|SHOW|WITH|DESCRIBE|DESC)\b", re.IGNORECASE | re.DOTALL
)
#: What a text that begins like one that reads could do nevertheless.
_WRITES = re.compile(
    r"\bINTO\b|\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE|KEY)\b|\bLOCK\s+IN\b|\bWITH\b.*\b(INSERT|UPDATE|DELETE|MERGE)\s",
    re.IGNORECASE | re.DOTALL,
)
_OF_SESSION = re.compile(
    r"@|\bpg_temp|\b(CURRENT|SESSION|SYSTEM)_USER\b|\bCURRENT_(ROLE|SCHEMA|SETTING|DATE|TIME|TIMESTAMP)\b"
    r"|\bLOCALTIME|\b(SYSDATE|GETDATE|PROCESSLIST)\b|\bSHOW\s+(SESSION\s+|LOCAL\s+)?(VARIABLES|STATUS|WARNINGS|ERRORS)"
    r"|\b(NOW|RANDOM|RAND|USER|DATABASE|SCHEMA|CONNECTION_ID|PG_BACKEND_PID|LAST_INSERT_ID|FOUND_ROWS|ROW_COUNT"
    r"|LASTVAL|CURRVAL|NEXTVAL|SETVAL|SET_CONFIG|SLEEP|PG_SLEEP\w*|GET_LOCK|PG_\w*ADVISORY\w*|TXID_\w+|PG_CURRENT_\w+"
    r"|PG_EXPORT_SNAPSHOT|CURDATE|CURTIME|UTC_\w+|UNIX_TIMESTAMP|UUID\w*|GEN_RANDOM_UUID|\w+_TIMESTAMP|TIMEOFDAY"
    r"|PG_MY_TEMP_SCHEMA)\s*\(",
    re.IGNORECASE,
)

#: Values that are the same if they are equal and of one class.
_PLAIN = (str, int, float, bool, type(None), bytes, Decimal, date, time)

#: What identifies a statement with its parameters.
Key = Hashable


class Statement(NamedTuple):
    """As the driver gets it. parameters: None where SQLAlchemy gives the driver none at all."""

    text: str
    parameters: Any


@lru_cache(maxsize=512)
def reads(text: str) -> bool:
    """Whether a statement only reads, on whatever connection; `SET`, `USE` and the rest do not."""
    return _READS.match(text) is not None and _WRITES.search(text) is None


@lru_cache(maxsize=512)
def may_be_ahead(text: str) -> bool:
    """Whether a statement may be sent earlier than it would be, and by another connection."""
    return reads(text) and _OF_SESSION.search(text) is None


def key_of(statement: Statement) -> Key | None:
    """Equal for the same statement; None where that cannot be told."""
    try:
        return statement.text, _frozen(statement.parameters)
    except TypeError:
        return None


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return frozenset((name, _frozen(each)) for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return type(value), tuple(_frozen(each) for each in value)
    if isinstance(value, _PLAIN):
        return type(value), value
    raise TypeError(type(value))
