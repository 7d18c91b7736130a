"""One module for each accelerator. What they share: how one recognises upstream, steps aside, and is put in place."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

#: Takes an installed accelerator away again.
Undo = Callable[[], None]


class StepsAside(Exception):
    """Upstream is not the one that the accelerator knows (the text says what differs), or does not use it (no
    text).
    """


def fingerprint(*functions: Any) -> str:
    """A hash of the source text of functions; byte code would differ between Pythons."""
    digest = hashlib.sha256()
    for function in functions:
        try:
            digest.update(inspect.getsource(function).encode())
        except (OSError, TypeError):
            raise StepsAside("upstream's source text is not available") from None
    return digest.hexdigest()[:16]


def loaded(name: str) -> Any:
    """A module that this process has imported. Raises StepsAside, without a word, where it has not."""
    module = sys.modules.get(name)
    if module is None:
        raise StepsAside
    return module


def recognised(versions: frozenset[str], what: str, *functions: Any) -> None:
    """Check that functions are those of a version whose text was read; None stands for one that is not there. Raises
    StepsAside.
    """
    if None in functions or fingerprint(*functions) not in versions:
        raise StepsAside(f"{what} has changed")


def known(versions: frozenset[str], what: str, owner: Any, *names: str) -> None:
    """As `recognised`, for functions of a module or class by their names."""
    recognised(versions, what, *(getattr(owner, name, None) for name in names))


def names_used_by(function: object) -> tuple[str, ...]:
    """The global names and attributes that a function uses; none of what is no function."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return code.co_names if code else ()


def put(owner: Any, name: str, replacement: Any) -> Undo:
    """Replace an attribute of a module or class. The undo leaves alone what somebody else has put there since."""
    original = vars(owner)[name]
    setattr(owner, name, replacement)

    def undo() -> None:
        if vars(owner).get(name) is replacement:
            setattr(owner, name, original)

    return undo


def all_of(undo: Sequence[Undo]) -> Undo:
    """One undo for several."""

    def take_out() -> None:
        for each in undo:
            each()

    return take_out
