"""The native text behind the source hash against upstream's own functions: the same, to the byte, or no answer."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import hashlib
import importlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openmetadata_bulksink import _native
from openmetadata_bulksink.accelerators import source_hash

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

_CALM = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
thorough = settings(max_examples=400, deadline=None, suppress_health_check=_CALM)


class Kind(enum.Enum):
    """As upstream's enumerations."""

    TABLE = "Table"
    VIEW = "View"


class Word(str, enum.Enum):
    """An enumeration that JSON takes for a text."""

    NAME = "name"


class Text(str):
    """A text that is not one."""

    __slots__ = ()


class Refuses:
    """An object that has no text."""

    def __str__(self) -> str:
        raise ValueError("no text")


PIECES = ["a", "B", "é", "\u2028", "\U0001f600", '"', "\\", "/", "\x00", "\x1f", "\x7f", "\n", "\r", "\t", "\b", "\f"]
PIECES += [" ", "  ", "\u3000", "\x1c", "\u200b", "select", "1"]
texts = st.lists(st.sampled_from(PIECES), max_size=5).map("".join) | st.text(max_size=6)
plain = (
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from([Kind.TABLE, Kind.VIEW, uuid.UUID(int=7), dt.datetime(2026, 11, 28, tzinfo=dt.timezone.utc)])
)
strange = st.sampled_from(
    [float("nan"), float("inf"), ("a", {"href": 1}), Word.NAME, Text("name"), frozenset({1}), b"x", "\ud800", Refuses()]
)
names = st.sampled_from(["name", "tagFQN", "ordinalPosition", "columns", "children", "tags", "constraintType", "id"])
fields = names | st.sampled_from(["href", "deleted", "inherited", "fullyQualifiedName", "sourceHash"]) | texts


def trees(leaves: Any) -> Any:
    """What may stand in a request, on any depth."""
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=4), max_leaves=8
    )


labels = st.lists(st.fixed_dictionaries({"tagFQN": texts | st.none()}, optional={"href": texts}), max_size=3)
constraints = st.lists(
    st.fixed_dictionaries(
        {"constraintType": st.sampled_from([Kind.TABLE, Kind.VIEW, None, "UNIQUE"])},
        optional={"columns": st.none() | st.lists(texts, max_size=3)},
    ),
    max_size=4,
)
references = st.lists(
    st.dictionaries(
        st.sampled_from(["fullyQualifiedName", "name", "id", "deleted", "type"]),
        st.none() | texts | st.just(uuid.UUID(int=7)),
        max_size=4,
    ),
    max_size=4,
)


def columns(depth: int = 2) -> Any:
    """Columns with and without a number, with tags and columns below them; or mere names."""
    children = columns(depth - 1) if depth else st.none()
    one = st.fixed_dictionaries(
        {"name": texts, "dataType": st.sampled_from([Kind.TABLE, Kind.VIEW])},
        optional={
            "ordinalPosition": st.none() | st.integers(-2, 5),
            "children": children,
            "tags": st.none() | labels,
            "profile": trees(plain),
        },
    )
    return st.lists(one, max_size=4) | st.lists(texts, max_size=3)


ordinary = {
    "columns": columns(),
    "tags": st.none() | labels,
    "tableConstraints": st.none() | constraints,
    "owners": st.none() | references,
    "aliases": st.none() | st.lists(texts, max_size=3),
    "schemaDefinition": st.none() | texts,
    "extension": trees(plain),
    "deleted": st.booleans(),
}
anything = st.dictionaries(st.sampled_from(list(ordinary)) | fields, trees(plain | strange), max_size=5)
requests = st.fixed_dictionaries({"name": texts}, optional=ordinary)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Upstream's functions."""
    return importlib.import_module(source_hash.MODULE)


@pytest.fixture(scope="module")
def sorts_aliases(server_profile: str) -> bool:
    """Upstream does so from 1.13 on."""
    return server_profile not in ("1.11", "1.12")


def text_of(theirs: Any, request: Any) -> str | None:
    """What upstream hashes; None where it gives up."""
    try:
        return json.dumps(theirs._normalize_for_hash(copy.deepcopy(request)), sort_keys=True, default=str)
    except Exception:  # noqa: BLE001 - upstream catches whatever it is
        return None


@thorough
@given(request=requests)
@example(request={"name": "t", "aliases": ["b", "a"], "columns": [], "tags": [], "schemaDefinition": " a \n b "})
@example(request={"columns": [{"name": "b"}, {"name": "a"}, {"name": "c", "ordinalPosition": 1}]})
def test_ordinary_requests_have_upstreams_text(theirs: Any, sorts_aliases: bool, request: dict[str, Any]) -> None:
    untouched = copy.deepcopy(request)
    found = _native.hash_text(request, sorts_aliases=sorts_aliases)
    assert found is not None
    assert found == text_of(theirs, request)
    assert request == untouched


@thorough
@given(request=anything)
def test_strange_requests_have_upstreams_text_or_no_answer(
    theirs: Any, sorts_aliases: bool, request: dict[str, Any]
) -> None:
    found = _native.hash_text(request, sorts_aliases=sorts_aliases)
    assert found is None or found == text_of(theirs, request)


@pytest.mark.parametrize(
    "request_",
    [
        {"columns": [{"name": "a", "ordinalPosition": 1.5}]},
        {"columns": [{"name": "a"}, "b"]},
        {"columns": [{"name": "a", "children": {"name": "b"}}]},
        {"columns": [{"name": "a", "tags": ({"tagFQN": "b"},)}]},
        {"columns": [1, 2]},
        {"tableConstraints": [{"columns": "ab"}]},
        {"schemaDefinition": ["select"]},
        {"name": OrderedDict(href=1)},
        {1: "a"},
        {"name": "\ud800"},
        OrderedDict(name="a"),
        [],
        None,
    ],
)
def test_what_is_not_known_has_no_answer(request_: Any) -> None:
    assert _native.hash_text(request_, sorts_aliases=True) is None


def test_depth_has_an_end() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert _native.hash_text({"extension": deep}, sorts_aliases=True) is None
    while deep:
        deep = deep.pop()


# --- through upstream's models ---


@pytest.fixture
def installed() -> Iterator[Any]:
    """The caller's function while the accelerator is in place."""
    caller = importlib.import_module(source_hash.CALLER)
    undo = source_hash.install()
    yield caller.generate_source_hash
    undo()


def made(kind: str, module: str, **values: Any) -> Any:
    return getattr(importlib.import_module(f"metadata.generated.schema.api.data.{module}"), kind)(**values)


def create_requests() -> list[Any]:
    """One request of each kind that a database source makes, with what upstream puts in order."""
    owner = {"id": "0d8a1f0e-6c2b-4d55-9f0b-0a1b2c3d4e5f", "type": "user", "href": "http://h/1", "deleted": False}
    other = {**owner, "id": "1d8a1f0e-6c2b-4d55-9f0b-0a1b2c3d4e5f", "name": "ann"}
    tags = [{"tagFQN": name, "source": "Classification", "labelType": "Manual", "state": "Suggested"} for name in "ba"]
    inside = [{"name": name, "dataType": "INT", "ordinalPosition": n} for n, name in ((2, "x"), (1, "y"))]
    listed = [
        {"name": "é", "dataType": "STRUCT", "children": inside, "tags": tags},
        {"name": "b", "dataType": "VARCHAR", "dataLength": 10, "ordinalPosition": 2, "description": "a\nb"},
        {"name": "a", "dataType": "ARRAY", "arrayDataType": "INT", "ordinalPosition": 1, "constraint": "PRIMARY_KEY"},
    ]
    keys = [
        {"constraintType": "UNIQUE", "columns": ["b", "a"]},
        {"constraintType": "FOREIGN_KEY", "columns": ["a"], "referredColumns": ["s.d.p.u.c"]},
        {"constraintType": "PRIMARY_KEY", "columns": ["a"]},
    ]
    return [
        made(
            "CreateTableRequest",
            "createTable",
            name="t",
            databaseSchema="s.d.p",
            columns=listed,
            tableConstraints=keys,
            owners=[other, owner],
            tags=tags,
            tableType="Partitioned",
            schemaDefinition=" create  table\n\tt (a int) ",
            tablePartition={"columns": [{"columnName": "a", "intervalType": "COLUMN-VALUE"}]},
            sourceUrl="http://h/t?a=é",
        ),
        made("CreateDatabaseRequest", "createDatabase", name="d", service="s", description="D"),
        made("CreateDatabaseSchemaRequest", "createDatabaseSchema", name="p", database="s.d"),
        made(
            "CreateStoredProcedureRequest",
            "createStoredProcedure",
            name="f",
            databaseSchema="s.d.p",
            storedProcedureCode={"language": "SQL", "code": "select  1"},
        ),
    ]


def test_hashes_of_requests_are_upstreams(theirs: Any, installed: Any, sorts_aliases: bool) -> None:
    for request in create_requests():
        assert _native.hash_text(request.model_dump(exclude={"sourceHash"}), sorts_aliases=sorts_aliases), request
        request.sourceHash = "the old one"
        assert installed(request) == theirs.generate_source_hash(request) is not None


def test_what_is_not_known_is_upstreams_to_hash(theirs: Any, installed: Any) -> None:
    (table, *_) = create_requests()
    table.displayName = Text("t")
    assert installed(table) == theirs.generate_source_hash(table) is not None
    assert installed(table, {"owners": True}) == theirs.generate_source_hash(table, {"owners": True})
    assert installed(table, {"owners": True}) != installed(table)
    assert installed(None) is None is theirs.generate_source_hash(None)


def test_the_text_alone_is_hashed(installed: Any, sorts_aliases: bool) -> None:
    (table, *_) = create_requests()
    text = _native.hash_text(table.model_dump(exclude={"sourceHash"}), sorts_aliases=sorts_aliases)
    assert text is not None
    assert installed(table) == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
