"""Each accelerator against upstream's own function: the same answers for made-up input, strange input included."""

from __future__ import annotations

import copy
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from openmetadata_bulksink.accelerators import (
    Undo,
    column_names,
    entity_table,
    name_walk,
    proxies,
    quoted_names,
    type_names,
    version_numbers,
)

pytestmark = pytest.mark.upstream

_CALM = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
thorough = settings(max_examples=120, deadline=None, suppress_health_check=_CALM)
#: For the one whose input has most forms.
very_thorough = settings(max_examples=600, deadline=None, suppress_health_check=_CALM)

#: What upstream looks for in names, and what it puts in its place.
PIECES = ["::", ":", ">", '"', "\n", "\r", "\t", ".", "a", "Z9", "é", " ", "__reserved__", "__reserved__colon__"]
PIECES += [f"__reserved__{word}__" for word in ("arrow", "quote", "newline", "carriage_return", "tab")]
#: 1.11.11.2 to 1.11.13 cut names at 256 characters as they encode them.
LONG = ["n" * 255, "n" * 256, "n" * 257, "n" * 252 + "::" + "n" * 4]
names = st.lists(st.sampled_from(PIECES), max_size=4).map("".join) | st.text(max_size=8) | st.sampled_from(LONG)
plain_names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


class Text(str):
    """A string that is not one."""

    __slots__ = ()


def outcome(function: Any, *arguments: Any, **named: Any) -> tuple[str, Any]:
    """What a call gives, in a form that compares."""
    try:
        return "returned", function(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - whatever upstream raises, we have to
        return type(error).__name__, str(error)


@contextmanager
def installed(install: Any) -> Iterator[None]:
    undo: Undo = install()
    try:
        yield
    finally:
        undo()


# --- the table of transformed names ---


def test_the_table_is_filled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.ingestion.models import custom_basemodel_validation as validation

    fill, filled = validation._initialize_transformable_entities, []
    fill()
    table = dict(validation.TRANSFORMABLE_ENTITIES)
    with installed(entity_table.install):
        counted = validation._initialize_transformable_entities
        monkeypatch.setattr(validation, "_initialize_transformable_entities", lambda: filled.append(1) or counted())
        for model in [*table, int, None]:
            assert validation.get_entity_config(model) == table.get(model)
        assert len(filled) == len(table) + 2
        monkeypatch.undo()
        assert table == {**validation.TRANSFORMABLE_ENTITIES}
        validation.TRANSFORMABLE_ENTITIES.clear()
        assert validation.get_entity_config(next(iter(table))) == next(iter(table.values()))
    assert validation._initialize_transformable_entities is fill
    assert table == {**validation.TRANSFORMABLE_ENTITIES}


# --- the name walk ---


def models() -> list[Any]:
    """All Create and response classes that upstream knows a route for, those whose names it lists, and what is inside
    of them.
    """
    from metadata.generated.schema.entity.data.table import Column, TableConstraint
    from metadata.generated.schema.type import basic, entityReference, lifeCycle, tagLabel
    from metadata.ingestion.models import custom_basemodel_validation as validation
    from metadata.ingestion.ometa import routes

    validation.get_entity_config(None)
    with_routes = [found for name, found in vars(routes).items() if name in routes.ROUTES]
    inside = [Column, TableConstraint, basic.EntityName, basic.Markdown, tagLabel.TagLabel]
    inside += [entityReference.EntityReference, lifeCycle.LifeCycle, lifeCycle.AccessDetails]
    return [*dict.fromkeys([*with_routes, *validation.TRANSFORMABLE_ENTITIES, *inside])]


@st.composite
def held(draw: st.DrawFn, *, depth: int = 2) -> Any:
    """What may stand in a field `name` or `root`, likely or not."""
    from metadata.generated.schema.entity.data.table import ColumnName, DataType
    from metadata.generated.schema.type.basic import EntityName, Timestamp

    text = draw(names)
    kinds = [
        lambda: ColumnName.model_construct(_fields_set={"root"}, root=text),
        lambda: ColumnName.model_construct(_fields_set=set(), root=text),
        lambda: EntityName.model_construct(root=text),
        lambda: EntityName.model_construct(root=draw(st.sampled_from([None, 3, Text(text), [text]]))),
        lambda: text,
        lambda: Text(text),
        lambda: Timestamp(5),
        lambda: DataType.INT,
        lambda: None,
        lambda: draw(held(depth=depth - 1)) if depth else text,
        lambda: draw(instances(depth=depth - 1)) if depth else text,
    ]
    return draw(st.sampled_from(kinds))()


@st.composite
def lists(draw: st.DrawFn, *, depth: int) -> Any:
    """What may stand in a field `columns` or `children`."""
    item = names | instances(depth=depth - 1) if depth else names
    found = draw(st.none() | st.lists(item, max_size=3))
    return draw(st.sampled_from([lambda: found, lambda: tuple(found or ()), lambda: found and {"name": found}]))()


@st.composite
def constraints(draw: st.DrawFn) -> Any:
    from metadata.generated.schema.entity.data.table import TableConstraint

    columns = st.none() | st.lists(names, max_size=3)
    known = columns.map(lambda found: TableConstraint.model_construct(_fields_set=set(), columns=found))
    return draw(st.none() | st.lists(known | names, max_size=3))


@st.composite
def instances(draw: st.DrawFn, model: Any = None, *, depth: int = 2) -> Any:
    """An object of a class of upstream's with anything in the five fields, built without validation."""
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.entity.data.table import Column, Table, TableConstraint

    model = model or draw(st.sampled_from([Column, Table, CreateTableRequest, TableConstraint]))
    values: dict[str, Any] = {}
    fields = model.model_fields
    if "name" in fields:
        values["name"] = draw(held(depth=depth))
    if "root" in fields:
        values["root"] = draw(held(depth=0))
    for key in ("columns", "children"):
        if key in fields:
            values[key] = draw(lists(depth=depth))
    if "tableConstraints" in fields:
        values["tableConstraints"] = draw(constraints())
    given_fields = draw(st.sets(st.sampled_from(sorted(values)))) if values else set()
    return model.model_construct(_fields_set=given_fields, **values)


def picture(value: Any) -> Any:
    """Everything that can be seen of an object: classes, values, which fields are set."""
    if hasattr(value, "__pydantic_fields_set__"):
        return (
            type(value).__name__,
            {key: picture(item) for key, item in value.__dict__.items()},
            sorted(value.__pydantic_fields_set__),
        )
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [picture(item) for item in value]
    return type(value).__name__, repr(value)


class _Upstream:
    """Upstream's function, ours in its place, and how often ours had to ask upstream's."""

    def __init__(self) -> None:
        from metadata.ingestion.models import custom_basemodel_validation, custom_pydantic

        self.original = custom_basemodel_validation.transform_entity_names
        self.undo = name_walk.install()
        self.ours = custom_pydantic.transform_entity_names
        self.asked = 0
        walk = self.ours.__self__
        walk._original = self._asked

    def _asked(self, **named: Any) -> Any:
        self.asked += 1
        return self.original(**named)


@pytest.fixture
def walk() -> Iterator[_Upstream]:
    both = _Upstream()
    yield both
    both.undo()


@very_thorough
@given(data=st.data())
def test_the_walk_leaves_what_upstream_leaves(walk: _Upstream, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(models()))
    one = data.draw(instances(model))
    other = copy.deepcopy(one)
    assert picture(one) == picture(other)
    kind, found = outcome(walk.original, entity=one, model=model)
    our_kind, ours = outcome(walk.ours, entity=other, model=model)
    assert our_kind == kind
    if kind == "returned":
        assert found is one
        assert ours is other
    else:
        assert ours == found
    assert picture(other) == picture(one)


def test_the_walk_of_each_class_with_each_special_name(walk: _Upstream) -> None:
    """Every class, a plain name and each one that is changed: whichever way ours goes, the end is upstream's."""
    from metadata.generated.schema.entity.data.table import ColumnName

    shortcuts = 0
    for model in models():
        for text in ["plain", *PIECES, *LONG]:
            values: dict[str, Any] = {
                "name": ColumnName.model_construct(root=text),
                "root": text,
                "columns": [text],
                "children": [text],
                "tableConstraints": [],
            }
            given_values = {key: value for key, value in values.items() if key in model.model_fields}
            one = model.model_construct(**given_values)
            other = copy.deepcopy(one)
            walk.asked = 0
            assert (
                outcome(walk.ours, entity=other, model=model)[0] == outcome(walk.original, entity=one, model=model)[0]
            )
            assert picture(other) == picture(one), (model, text)
            shortcuts += not walk.asked
    assert shortcuts > 5 * len(models())


@thorough
@given(table=names, columns=st.lists(names.filter(bool), min_size=1, max_size=4), constraint=st.booleans())
def test_validated_models_end_equal(table: str, columns: list[str], constraint: bool) -> None:
    """Through pydantic, as the source makes them and as answers are read: dumps and set fields are equal."""
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.entity.data.table import Column, ColumnName, Table

    assume(table.strip())
    listed = [{"name": name, "dataType": "INT", "children": [{"name": name, "dataType": "INT"}]} for name in columns]
    keys = [{"constraintType": "UNIQUE", "columns": columns}] if constraint else None
    body = {"name": table, "columns": listed, "tableConstraints": keys}

    def made() -> list[Any]:
        results = []
        for make in (
            lambda: CreateTableRequest(**copy.deepcopy(body), databaseSchema="s.d.p"),
            lambda: CreateTableRequest(
                name=table,
                columns=[Column(name=ColumnName(name), dataType="INT") for name in columns],
                databaseSchema="s",
            ),
            lambda: Table(**copy.deepcopy(body), id="0d8a1f0e-6c2b-4d55-9f0b-0a1b2c3d4e5f"),
        ):
            kind, found = outcome(make)
            results.append((kind, picture(found) if kind == "returned" else found))
        return results

    expected = made()
    with installed(name_walk.install):
        assert made() == expected


def test_an_ordinary_table_never_asks_upstream(walk: _Upstream) -> None:
    from metadata.generated.schema.api.data.createTable import CreateTableRequest

    walk.asked = 0
    listed = [{"name": f"c{n}", "dataType": "INT", "dataTypeDisplay": "int"} for n in range(30)]
    keys = [{"constraintType": "UNIQUE", "columns": ["c1"]}]
    CreateTableRequest(name="t", columns=listed, databaseSchema="s.d.p", tableConstraints=keys)
    assert walk.asked == 0


def test_columns_of_a_constraint_are_written_anew(walk: _Upstream) -> None:
    """As upstream does, equal or not: the field is set then, and nobody else holds its list."""
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.generated.schema.entity.data.table import ColumnName, TableConstraint

    def table() -> tuple[Any, list[str]]:
        columns = ["c1", "c2"]
        constraint = TableConstraint.model_construct(_fields_set=set(), columns=columns)
        name = ColumnName.model_construct(root="t")
        return CreateTableRequest.model_construct(name=name, columns=[], tableConstraints=[constraint]), columns

    (theirs, _), (ours, held_outside) = table(), table()
    walk.original(entity=theirs, model=CreateTableRequest)
    walk.asked = 0
    walk.ours(entity=ours, model=CreateTableRequest)
    assert walk.asked == 0
    assert picture(ours) == picture(theirs)
    (constraint,) = ours.tableConstraints
    assert constraint.model_fields_set == {"columns"}
    assert constraint.columns == held_outside
    assert constraint.columns is not held_outside


def test_classes_with_rules_of_their_own_are_upstreams(walk: _Upstream) -> None:
    from metadata.ingestion.models.custom_pydantic import BaseModel
    from pydantic import ConfigDict

    class Frozen(BaseModel):
        model_config = ConfigDict(frozen=True)
        name: str

    class Checked(BaseModel):
        model_config = ConfigDict(validate_assignment=True)
        name: str

    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")

    class Counted(BaseModel):
        name: str

        def __len__(self) -> int:
            return 0

    class Computed(BaseModel):
        @property
        def columns(self) -> list[str]:
            return []

    shapes = walk.ours.__self__._find_shape
    assert not any(shapes(model).plain for model in (Frozen, Checked, Open, Counted, Computed, int))


# --- version numbers ---

FORMATS = ["integer", "numeric(18,4)", "character varying(256)", "timestamp without time zone", "integer[]", "super"]


@pytest.fixture(scope="module")
def redshift() -> Any:
    """Upstream's Redshift source, with the dialect that it changes."""
    from metadata.ingestion.source.database.redshift import metadata, utils
    from sqlalchemy_redshift.dialect import RedshiftDialect_psycopg2

    assert metadata.RedshiftSource
    return SimpleNamespace(utils=utils, dialect=RedshiftDialect_psycopg2())


@thorough
@given(kind=st.sampled_from(FORMATS), encode=st.sampled_from([None, "none", "lzo"]), identity=st.booleans())
def test_column_information_is_the_same(redshift: Any, kind: str, encode: str | None, identity: bool) -> None:
    def described() -> Any:
        more = {"identity": None} if identity else {}
        found = redshift.dialect._get_column_info(
            name="c",
            format_type=kind,
            default=None,
            notnull=True,
            domains={},
            enums=[],
            **{"schema": "p", "encode": encode, "comment": None, **more},
        )
        return {**found, "type": repr(found["type"])}

    expected = described()
    with installed(version_numbers.install):
        assert described() == expected


def test_a_version_number_is_parsed_once(redshift: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = redshift.utils.Version
    monkeypatch.setattr(redshift.utils, "Version", lambda text: parsed.append(text) or parse(text))
    column = {"name": "c", "format_type": "integer", "default": None, "notnull": True, "domains": {}, "enums": []}
    with installed(version_numbers.install):
        for _ in range(5):
            redshift.dialect._get_column_info(**column, schema="p", encode=None, comment=None)
    assert sorted(parsed) == sorted(set(parsed))
    assert parsed


# --- the names of types ---


@st.composite
def types(draw: st.DrawFn) -> Any:
    import sqlalchemy as sa
    from metadata.ingestion.source.database.column_type_parser import create_sqlalchemy_type
    from sqlalchemy.dialects import mysql, postgresql

    class Decorated(sa.types.TypeDecorator):  # type: ignore[type-arg, misc]
        impl = sa.String
        cache_ok = True

        def load_dialect_impl(self, dialect: Any) -> Any:
            return sa.Integer() if dialect.name == "postgresql" else sa.Unicode(draw_length)

    draw_length = draw(st.none() | st.integers(1, 99))
    simple = [
        lambda: sa.String(draw_length),
        lambda: sa.Numeric(draw(st.none() | st.integers(1, 30)), draw(st.none() | st.integers(0, 9))),
        lambda: sa.DateTime(timezone=draw(st.booleans())),
        lambda: sa.Enum("a", "b", name=draw(st.none() | plain_names)),
        sa.Boolean,
        sa.JSON,
        lambda: sa.LargeBinary(draw_length),
        lambda: postgresql.ARRAY(sa.Integer, dimensions=draw(st.none() | st.integers(1, 3))),
        postgresql.UUID,
        lambda: postgresql.INTERVAL(precision=3),
        lambda: mysql.VARCHAR(20, collation="utf8"),
        create_sqlalchemy_type("GEOGRAPHY"),
        sa.types.NullType,
        Decorated,
        lambda: sa.String(20).with_variant(sa.Text(), "sqlite"),
    ]
    return draw(st.sampled_from(simple))()


@thorough
@given(several=st.lists(types(), min_size=1, max_size=5))
def test_a_type_is_called_the_same(several: list[Any]) -> None:
    expected = [(outcome(str, one), outcome(one.compile)) for one in several]
    with installed(type_names.install):
        assert [(outcome(str, one), outcome(one.compile)) for one in several] == expected
        assert [(outcome(str, one), outcome(one.compile)) for one in reversed(several)] == expected[::-1]


def test_one_dialect_for_all_types(monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa
    from sqlalchemy.engine import default

    with installed(type_names.install):
        dialect = sa.String()._default_dialect()
        assert sa.Integer()._default_dialect() is dialect
        sa.String().dialect_impl(dialect)
        assert len(dialect._type_memos) in {0, 1}
        kept = sa.String()
        kept.dialect_impl(dialect)
        assert sa.Integer()._default_dialect() is not dialect
        dialect._type_memos.clear()
        monkeypatch.setattr(default, "StrCompileDialect", default.DefaultDialect)
        assert type(sa.Integer()._default_dialect()) is default.DefaultDialect


# --- proxies of the environment ---

variables = st.sampled_from(
    ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD", "PATH_OF_TEST"]
)
values = st.none() | st.sampled_from(["", "http://p:1", "http://q:2", "a.b,localhost", "*", ".b"])


@thorough
@given(changes=st.lists(st.tuples(variables, values), max_size=8))
def test_a_change_of_the_environment_is_seen(changes: list[tuple[str, str | None]]) -> None:
    import requests.utils

    before = dict(os.environ)
    try:
        with installed(proxies.install):
            for name, value in changes:
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
                for _ in range(2):
                    assert requests.utils.getproxies() == urllib.request.getproxies()
                    for host in ("a.b", "localhost:80", "c.d"):
                        assert requests.utils.proxy_bypass(host) == bool(urllib.request.proxy_bypass(host))
                    url = "http://a.b/c"
                    seen = requests.utils.get_environ_proxies(url)
                requests.utils.getproxies()["http"] = "spoilt"  # a dictionary of its own
                assert requests.utils.get_environ_proxies(url) == seen
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_environment_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests.utils

    with installed(proxies.install):
        requests.utils.getproxies()
        looked: list[int] = []
        look = urllib.request.getproxies_environment
        monkeypatch.setattr(urllib.request, "getproxies_environment", lambda: looked.append(1) or look())
        for _ in range(5):
            requests.utils.getproxies()
        assert looked == []
        monkeypatch.setenv("PATH_OF_TEST", "1")
        requests.utils.getproxies()
        assert looked == [1]


# --- names and quotes ---


@thorough
@given(name=names | st.none() | st.integers() | st.binary(max_size=3) | names.map(Text))
def test_a_name_is_quoted_the_same(name: Any) -> None:
    from metadata.utils import fqn

    expected = outcome(fqn.quote_name, name)
    with installed(quoted_names.install):
        assert outcome(fqn.quote_name, name) == expected


TABLE = ("service_name", "database_name", "schema_name", "table_name")
plain_parts = st.fixed_dictionaries(dict.fromkeys(TABLE, plain_names))
strange_part = st.one_of(plain_names, names, names.map(Text), st.none(), st.just(3))
parts = plain_parts | st.fixed_dictionaries(dict.fromkeys(TABLE, strange_part))


@thorough
@given(
    given_parts=parts,
    column=plain_names | names | st.none(),
    missing=st.none() | st.sampled_from(["schema_name", "column_name"]),
    more=st.booleans(),
)
def test_a_name_is_built_the_same(given_parts: dict[str, Any], column: Any, missing: str | None, more: bool) -> None:
    from metadata.generated.schema.entity.data.table import Column, Table
    from metadata.utils import fqn

    arguments = {**given_parts, "column_name": column}
    arguments.pop(missing or "", None)
    if more:
        arguments["skip_es_search"] = True
    tables = {key: value for key, value in arguments.items() if key != "column_name"} | {"skip_es_search": True}

    def built() -> list[Any]:
        return [
            outcome(fqn.build, None, Column, **arguments),
            outcome(fqn.build, metadata=None, entity_type=Column, **arguments),
            outcome(fqn.build, None, Table, **tables),
            outcome(fqn.build, None, int, **tables),
        ]

    expected = built()
    with installed(column_names.install):
        assert built() == expected
        assert built() == expected


def database_source(context: Any) -> Any:
    """A source in the middle of a run, without a client: it looks for the tags of columns alone."""
    from metadata.ingestion.source.database.database_service import DatabaseServiceSource

    nothing_is_abstract = dict.fromkeys(DatabaseServiceSource.__abstractmethods__)
    source = object.__new__(type("Source", (DatabaseServiceSource,), nothing_is_abstract))
    source.context = SimpleNamespace(get=lambda: context)
    source.metadata = None
    return source


def tag_of(fqn: str | None) -> Any:
    return SimpleNamespace(
        fqn=fqn and SimpleNamespace(root=fqn),
        tag_request=SimpleNamespace(name=SimpleNamespace(root="tag")),
        classification_request=SimpleNamespace(name=SimpleNamespace(root="kind")),
    )


@thorough
@given(
    given_parts=parts,
    column=plain_names | names | names.map(Text) | st.none(),
    tags=st.none() | st.just([]) | st.lists(st.sampled_from([None, "a.a.a.a.a", "other"]).map(tag_of), min_size=1),
    missing=st.none() | st.sampled_from(["database", "tags"]),
    named=st.booleans(),
)
def test_a_column_has_the_same_tags(
    given_parts: dict[str, Any], column: Any, tags: Any, missing: str | None, named: bool
) -> None:
    from metadata.ingestion.source.database import database_service

    context = SimpleNamespace(
        database_service=given_parts["service_name"],
        database=given_parts["database_name"],
        database_schema=given_parts["schema_name"],
        tags=tags,
    )
    if missing:
        delattr(context, missing)
    source = database_source(context)

    def found() -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database_service, "get_tag_label", lambda **asked: str(asked["tag_name"]))
            return outcome(source.get_column_tag_labels, given_parts["table_name"], {"name": column} if named else {})

    expected = found()
    with installed(column_names.install):
        assert found() == expected
        assert found() == expected


def test_the_name_of_a_column_is_not_built_where_there_are_no_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.utils import fqn

    context = SimpleNamespace(database_service="s", database="d", database_schema="p", tags=[])
    source = database_source(context)
    with installed(column_names.install):
        build, built = fqn.build, []
        monkeypatch.setattr(
            fqn, "build", lambda *args, **parts: built.append(parts["column_name"]) or build(*args, **parts)
        )
        assert source.get_column_tag_labels("t", {"name": "c"}) is None
        assert built == []
        context.tags = [tag_of("other")]
        assert source.get_column_tag_labels("t", {"name": "c"}) is None
        assert built == ["c"]


def test_a_table_s_name_is_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from metadata.generated.schema.entity.data.table import Column
    from metadata.utils import fqn

    joined: list[Any] = []
    with installed(column_names.install):
        join = fqn._build
        monkeypatch.setattr(fqn, "_build", lambda *names, **more: joined.append(names) or join(*names, **more))
        table = {"service_name": "s.1", "database_name": "d", "schema_name": "p", "table_name": "t"}
        found = [fqn.build(None, entity_type=Column, **table, column_name=f"c{n}") for n in range(9)]
    assert found == [f'"s.1".d.p.t.c{n}' for n in range(9)]
    assert len(joined) == 1
