"""One module for each accelerator. What they share: how one recognises upstream, steps aside, and is put in place."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

from openmetadata_bulksink import own

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
        text = own.text_of(function)
        if text is None:
            raise StepsAside("upstream's source text is not available")
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def loaded(name: str) -> Any:
    """A module that this process has imported. Raises StepsAside, without a word, where it has not."""
    module = sys.modules.get(name)
    if module is None:
        raise StepsAside
    return module


def recognised(versions: frozenset[str], what: str, *functions: Any) -> None:
    """Check that functions are those of a version whose text was read, and that nobody has wrapped or replaced them;
    None stands for one that is not there. Raises StepsAside.
    """
    for function in functions:
        problem = None if function is None else own.why_not(function)
        if problem is not None:
            raise StepsAside(f"{what} has changed: {getattr(function, '__name__', 'a function')} {problem}")
    if None in functions or fingerprint(*functions) not in versions:
        raise StepsAside(f"{what} has changed")


def known(versions: frozenset[str], what: str, owner: Any, *names: str) -> None:
    """As `recognised`, for functions of a module or class by their names."""
    recognised(versions, what, *(getattr(owner, name, None) for name in names))


def names_used_by(function: object) -> tuple[str, ...]:
    """The global names and attributes that a function uses; none of what is no function."""
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    return code.co_names if code else ()


def put(owner: Any, name: str, replacement: Any, *, calls_original: bool = False) -> Undo:
    """Replace an attribute of a module or class, or stand in front of one that a class inherits. Raises StepsAside
    where somebody else has put something there that the replacement does not call. The undo leaves alone what somebody
    else has put there since, and sees to it that what they put back one day is upstream's, not ours.
    """
    inherited = name not in vars(owner)
    original = getattr(owner, name) if inherited else vars(owner)[name]
    problem = own.why_not(original) if callable(original) and not calls_original else None
    if problem is not None:
        raise StepsAside(f"upstream's {name} {problem}")
    setattr(owner, name, replacement)

    def undo() -> None:
        if vars(owner).get(name) is not replacement:
            _leave_behind(_Left(owner, name, replacement, original))
        elif inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)

    return undone_if_incomplete(undo)


def all_of(undo: Sequence[Undo]) -> Undo:
    """One undo for several."""

    def take_out() -> None:
        for each in reversed(undo):
            each()

    return take_out


# --- all or nothing ---

#: Undos of what the accelerator that is being installed has put so far.
_so_far: ContextVar[list[Undo] | None] = ContextVar("_so_far", default=None)


def put_in(install: Callable[[], Undo]) -> Undo:
    """Install an accelerator as a whole, or, where that raises anything, not at all."""
    done: list[Undo] = []
    token = _so_far.set(done)
    try:
        undo = install()
    except BaseException:
        all_of(done)()
        raise
    finally:
        _so_far.reset(token)
    return undone_if_incomplete(undo)


def undone_if_incomplete(undo: Undo) -> Undo:
    """Have something undone if the accelerator that is being installed does not get to its end."""
    done = _so_far.get()
    if done is not None:
        done.append(undo)
    return undo


# --- what outlives us ---


class _Left(NamedTuple):
    """A replacement that somebody may still put back (`mock.patch` does), and what belongs there instead."""

    owner: Any
    name: str
    replacement: Any
    original: Any


_left: list[_Left] = []


class _PutsBackUpstreams(ModuleType):
    """A module of upstream's while somebody else holds a replacement of ours."""

    def __setattr__(self, name: str, value: Any) -> None:
        for left in _left:
            if left.owner is self and left.name == name and left.replacement is value:
                value = left.original
        super().__setattr__(name, value)


def _leave_behind(left: _Left) -> None:
    _left.append(left)
    if type(left.owner) is ModuleType:
        left.owner.__class__ = _PutsBackUpstreams


def tidy_up() -> None:
    """Put upstream's back where one of our replacements has come back: into a class, that is. There nobody tells us."""
    for left in _left:
        if vars(left.owner).get(left.name) is left.replacement:
            setattr(left.owner, left.name, left.original)
