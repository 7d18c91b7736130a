"""The JSON documents that travel between the steps: plans and results. Read as if anybody might have changed them."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = 1

#: Clocks of two machines may differ by this much, in seconds.
CLOCKS = 300.0


class BadDocument(Exception):
    """A plan or a result that cannot be used; the text says why."""


def sealed(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """The document, with its checksum; on one line where `indent` is None."""
    whole = json.loads(json.dumps({"format": FORMAT, **content}, default=str))
    whole.pop("checksum", None)
    return json.dumps({"checksum": _checksum(whole), **whole}, indent=indent, ensure_ascii=False) + "\n"


def text_of(path: Path | None) -> str:
    """A document's text, in UTF-8, whatever the terminal's encoding; None: on standard input. Raises BadDocument,
    OSError.
    """
    try:
        return (sys.stdin.buffer.read() if path is None else path.read_bytes()).decode()
    except UnicodeDecodeError:
        raise BadDocument(f"{path or 'standard input'} is not a text in UTF-8") from None


def document(text: str, what: str) -> Mapping[str, Any]:
    """A JSON object of our format; `what` names it in errors. Raises BadDocument."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise BadDocument(f"{what} is not JSON; it may have been cut short") from None
    if not isinstance(content, dict) or "format" not in content:
        raise BadDocument(f"{what} is not a document of `openmetadata-bulksink shard`")
    if content["format"] != FORMAT:
        raise BadDocument(f"{what} has the format {content['format']!r}, and this version reads {FORMAT}")
    return content


def is_as_written(content: Mapping[str, Any]) -> bool:
    """Whether a document's checksum is that of the rest of it."""
    return bool(content.get("checksum") == _checksum(content))


def _checksum(content: Mapping[str, Any]) -> str:
    """Of all but itself, however it is written."""
    text = json.dumps({name: value for name, value in content.items() if name != "checksum"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def text(value: Any) -> str:
    """The value, if it is a text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def count(value: Any) -> int:
    """The value, if it is a whole number, 0 or more. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value


def amount(value: Any) -> float:
    """The value, if it is a finite number, 0 or more. Raises ValueError."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError(value)
    return float(value)


def flag(value: Any) -> bool:
    """The value, if it is true or false. Raises TypeError."""
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def listed(value: Any) -> list[Any]:
    """The value, if it is a list. Raises TypeError."""
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value, if it is an object. Raises TypeError."""
    if not isinstance(value, dict):
        raise TypeError(value)
    return value
