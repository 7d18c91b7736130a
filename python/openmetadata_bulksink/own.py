"""Is this upstream's own? (rules A7, A9.) One answer, for what decides whether a sink goes native and for accelerators.

A function is its module's own if it was compiled there and nothing stands around it but the decorators that its own
source text names. The name of the package says nothing: users have modules of their own below `metadata`. Wrappers,
mocks and spies are somebody else's, whatever name they carry: `functools.wraps` copies a name, not the globals.
Wrappers of ours do not count, since they call what they wrap; those of known tracers can be told apart. Nothing here
changes anything.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from functools import _lru_cache_wrapper
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

#: Methods of classes that are written in C, as sockets are.
_NATIVE_METHODS = (MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType)

_OURS = __name__.partition(".")[0]

#: Packages that wrap HTTP clients to make spans.
TRACERS = {
    "opentelemetry": "OpenTelemetry",
    "ddtrace": "Datadog",
    "sentry_sdk": "Sentry",
}


def why_not(thing: Any, module: str | None = None) -> str | None:
    """What makes a function or class somebody else's, in words such as "is wrapped by users.audit"; None: it is its
    module's own. module: the one that must have it; the one that it says it is from, if not given. A wrapper of a
    tracer is somebody else's here.
    """
    if isinstance(thing, type):
        return _class_why_not(thing)
    *layers, core = _layers(thing)
    if not _is(core, FunctionType):
        return f"was replaced by a {_kind(core)}"
    home = _home(core)
    if not home or home != (module or home):
        return f"was replaced by a function of {home or 'no module'}"
    package = home.partition(".")[0]
    around = [layer for layer in layers if _package(layer) != _OURS]
    for layer in around:
        if _package(layer) not in (package, *_MAKERS_OF_DECORATORS):
            return f"is wrapped by {_home(layer) or _kind(layer)}"
    if around and len(around) > _decorators(core):
        return f"is wrapped by {_home(around[0]) or _kind(around[0])}"
    return None


def replaced(instance: Any, names: Iterable[str] | None = None) -> str | None:
    """Which method of an object is not the one that its classes were written with, as "REST.put was replaced by ...";
    None: all are. names: only these; all functions of its classes, if not given. Wrappers of tracers pass.
    """
    cls = type(instance)
    names = methods(cls) if names is None else tuple(names)
    mine = vars(instance) if hasattr(instance, "__dict__") else {}
    for name in names:
        if name in mine:
            return f"{cls.__qualname__}.{name} was replaced by {_name_of(mine[name])}"
    return replaced_in(cls, names)


def replaced_in(cls: type, names: Iterable[str]) -> str | None:
    """As `replaced`, of a class alone."""
    for name in names:
        for owner in cls.__mro__[:-1]:  # all but `object`: a method may call the one that it overrides
            if name in vars(owner) and not isinstance(vars(owner)[name], _NATIVE_METHODS):
                problem = _below_tracers(vars(owner)[name], owner.__module__)
                if problem is not None:
                    return f"{cls.__qualname__}.{name} {problem}"
    return None


def replaced_of(module: ModuleType, names: Iterable[str]) -> str | None:
    """As `replaced`, of functions of a module."""
    for name in names:
        problem = _below_tracers(getattr(module, name), module.__name__)
        if problem is not None:
            return f"{module.__name__}.{name} {problem}"
    return None


def _below_tracers(function: Any, module: str) -> str | None:
    below = without_tracers(function)
    return None if below is None else why_not(below, module)


def methods(cls: type) -> tuple[str, ...]:
    """The names of all functions of a class and of those that it inherits from, but `object`."""
    found: dict[str, None] = {}
    for each in cls.__mro__:
        if each is not object:
            found.update((name, None) for name, value in vars(each).items() if _is_method(name, value))
    return tuple(found)


def tracer(function: Any) -> str | None:
    """The tracer that has wrapped a function, by its usual name."""
    for layer in _layers(function):
        known = TRACERS.get(_package(layer))
        if known is not None:
            return known
    return None


def without_tracers(function: Any) -> Any:
    """The function below a tracer's wrappers, where they are the outermost; None below a tracer's function that does
    not tell what it calls.
    """
    return next((layer for layer in _layers(function) if _package(layer) not in TRACERS), None)


def text_of(thing: Any) -> str | None:
    """The source text of a function, decorators included, or of a class; None where there is none to read."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return None


#: Packages whose wrappers the source text of a function names as its decorators. How many it names is counted.
_MAKERS_OF_DECORATORS = ("functools", "contextlib", "pydantic", "sqlalchemy")


def _layers(thing: Any) -> Iterator[Any]:
    """What is called, then what that wraps, down to what wraps nothing."""
    seen: set[int] = set()
    while id(thing) not in seen:
        seen.add(id(thing))
        if _is(thing, staticmethod, classmethod, MethodType):
            thing = thing.__func__
            continue
        if _is(thing, property):
            thing = thing.fget
            continue
        yield thing
        # Statically first: a mock has any attribute that it is asked for.
        if inspect.getattr_static(thing, "__wrapped__", None) is None:
            return
        thing = thing.__wrapped__


def _is(thing: Any, *kinds: type) -> bool:
    """As `isinstance`, by what a thing is: wrapt's wrappers say that they are of the class that they wrap."""
    return issubclass(type(thing), kinds)


def _home(layer: Any) -> str:
    """The module whose code a layer runs."""
    if _is(layer, FunctionType):
        return str(layer.__globals__.get("__name__", ""))
    if _is(layer, MethodType):
        return _home(layer.__func__)
    if _is(layer, _lru_cache_wrapper):
        return "functools"
    # The wrappers of wrapt, native or not, vendored or not, keep here who wraps. Everything else of them is proxied.
    if inspect.getattr_static(layer, "_self_wrapper", None) is not None:
        return _home(layer._self_wrapper)
    return str(type(layer).__module__)


def _package(layer: Any) -> str:
    return _home(layer).partition(".")[0]


def _kind(thing: Any) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")


def _name_of(thing: Any) -> str:
    home = _home(thing)
    return f"a function of {home}" if _is(thing, FunctionType, MethodType) and home else f"a {_kind(thing)}"


def _is_method(name: str, value: Any) -> bool:
    """Whether a class was written with a method under that name; a mock in its place counts as one."""
    if _is(value, staticmethod, classmethod):
        value = value.__func__
    if isinstance(value, FunctionType):
        return True
    if isinstance(value, _NATIVE_METHODS):
        return False
    return callable(value) and not isinstance(value, (type, BuiltinFunctionType)) and not name.startswith("_abc")


def _decorators(function: FunctionType) -> int:
    tree = _parsed(function)
    return len(tree.decorator_list) if isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)) else 0


def _parsed(thing: Any) -> ast.AST | None:
    text = text_of(thing)
    if text is None:
        return None
    try:
        return ast.parse(textwrap.dedent(text)).body[0]
    except (SyntaxError, IndexError):
        return None


def _class_why_not(cls: type) -> str | None:
    """A class is its own if the methods are that its text has."""
    tree = _parsed(cls)
    if not isinstance(tree, ast.ClassDef):
        return "has no source text"
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            problem = why_not(vars(cls).get(statement.name), cls.__module__)
            if problem is not None:
                return f"has a method {statement.name} that {problem}"
    return None
