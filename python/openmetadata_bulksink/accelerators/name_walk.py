"""After each model that is validated, upstream walks over its names to replace characters that the server keeps for
itself (`::`, `>`, `"`, line feed, return, tab), or to put them back. It asks each object for five attributes, most of
which its class does not have: pydantic answers each such question with an exception.

Which of the five a class has is settled once for each class here. The walk then only looks whether a name would
change at all, and whether each object is as plain as it seems; in the few cases in which it is not so, upstream's own
function does the work. Nothing was touched before that, so the result is upstream's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from openmetadata_bulksink.accelerators import StepsAside, Undo, known, loaded, put

MODULE = "metadata.ingestion.models.custom_basemodel_validation"
CALLER = "metadata.ingestion.models.custom_pydantic"

_FUNCTIONS = (
    "transform_entity_names",
    "transform_all_names",
    "get_transformer",
    "get_entity_config",
    "is_service_level_create_model",
    "replace_separators",
    "revert_separators",
)

#: 1.11.11.2 to 1.11.13 cut names that they encode, and no other release does.
_CUTS = "_truncate_if_encoding"
_LONGEST = "COLUMN_NAME_MAX_LENGTH"

#: These functions, as text: 1.11; 1.11.11.2 to 1.11.13, with the one that cuts; 1.12 and 1.13; 2.0.
_KNOWN = frozenset({"2e55bd7733e61686", "edb51986db86f03a", "8c0d577c8d2401b2", "b718baf2b7bf2f26"})

_ASKED_FOR = frozenset({"name", "root", "columns", "children", "tableConstraints"})

#: What encoding replaces in any version, and how everything begins that decoding replaces.
_SPECIAL = re.compile(r'::|[>"\n\r\t]').search
_RESERVED = "__reserved__"

#: More classes than upstream has; a program that makes classes all the time must not fill the memory.
_MOST_CLASSES = 10_000


class _Shape(NamedTuple):
    """What the walk finds at an object of a class. plain: nothing is hidden, so that the rest is true.

    name, root, constraints: it has the attribute. lists: which of columns and children it has. untouched: upstream
    changes no object of this class, whatever it holds. creates: the class is named so.
    """

    plain: bool
    name: bool = False
    root: bool = False
    lists: tuple[str, ...] = ()
    constraints: bool = False
    untouched: bool = False
    creates: bool = False


_UNKNOWN = _Shape(plain=False)


class _Walk:
    """Stands in for upstream's `transform_entity_names`."""

    def __init__(self, validation: Any) -> None:
        self._original = validation.transform_entity_names
        self._is_service = validation.is_service_level_create_model
        self._table = validation.TRANSFORMABLE_ENTITIES
        self._encode = validation.TransformDirection.ENCODE
        self._decode = validation.TransformDirection.DECODE
        self._base = loaded("pydantic").BaseModel
        self._encoding_changes: Callable[[str], Any] = _SPECIAL
        if hasattr(validation, _CUTS):
            longest = getattr(validation, _LONGEST)
            self._encoding_changes = lambda text: len(text) > longest or _SPECIAL(text)
        self._shapes: dict[type, _Shape] = {}

    def transform_entity_names(self, entity: Any, model: Any) -> Any:
        """Return the entity, with its names as upstream leaves them."""
        shape = self._shapes.get(model) or self._shape(model)
        if shape.plain and entity.__class__ is model:
            if shape.untouched:
                return entity
            lists: list[Any] = []
            if self._same(entity, shape, self._encodes(model, shape), lists):
                for constraint in lists:
                    constraint.columns = list(constraint.columns)  # as upstream: a new list, and a field that is set
                return entity
        return self._original(entity=entity, model=model)

    def _encodes(self, model: type, shape: _Shape) -> bool:
        """Whether names of this class are encoded; the other direction is decoding."""
        config = None if shape.root else self._table.get(model)
        direction = config.get("direction") if config else None
        if direction is self._encode:
            return True
        return shape.creates and direction is not self._decode

    def _same(self, entity: Any, shape: _Shape, encode: bool, lists: list[Any]) -> bool:
        """Whether the walk would leave everything below the entity as it is. lists: gets the constraints whose list
        of columns upstream would write anew.
        """
        values = entity.__dict__
        if shape.name:
            name = values.get("name")
            if name.__class__ is str:
                # Decoding passes texts by. Encoding sets the field, which shows in what a dump leaves out.
                if encode and (self._encoding_changes(name) or "name" not in entity.__pydantic_fields_set__):
                    return False
            elif name is not None and not self._same_root(name, encode):
                return False
        elif shape.root and values.get("root") is not None and not self._same_root(entity, encode):
            return False
        for key in shape.lists:
            items = values.get(key)
            if items is None:
                continue
            if items.__class__ is not list:
                return False
            for item in items:
                cls = item.__class__
                if cls is str:
                    continue
                below = self._shapes.get(cls) or self._shape(cls)
                if not below.plain or not self._same(item, below, encode, lists):
                    return False
        if shape.constraints:
            return self._same_constraints(values.get("tableConstraints"), encode, lists)
        return True

    def _same_root(self, holder: Any, encode: bool) -> bool:
        """Whether a model holds a text as its root that stays as it is."""
        cls = holder.__class__
        shape = self._shapes.get(cls) or self._shape(cls)
        if not (shape.plain and shape.root):
            return False
        root = holder.__dict__.get("root")
        if root.__class__ is not str or "root" not in holder.__pydantic_fields_set__:
            return False
        return not (self._encoding_changes(root) if encode else _RESERVED in root)

    def _same_constraints(self, constraints: Any, encode: bool, lists: list[Any]) -> bool:
        if constraints is None:
            return True
        if constraints.__class__ is not list:
            return False
        for constraint in constraints:
            cls = constraint.__class__
            shape = self._shapes.get(cls) or self._shape(cls)
            if not (shape.plain and "columns" in shape.lists):
                return False
            columns = constraint.__dict__.get("columns")
            if columns.__class__ is not list:
                return False
            for column in columns:
                if column.__class__ is not str or (self._encoding_changes(column) if encode else _RESERVED in column):
                    return False
            lists.append(constraint)
        return True

    def _shape(self, cls: type) -> _Shape:
        """What the class has of what upstream asks for."""
        if len(self._shapes) >= _MOST_CLASSES:
            self._shapes.clear()
        shape = self._shapes[cls] = self._find_shape(cls)
        return shape

    def _find_shape(self, cls: Any) -> _Shape:
        base: Any = self._base
        fields = getattr(cls, "__pydantic_fields__", None)
        if not issubclass(cls, base) or fields is None:
            return _UNKNOWN
        config = cls.model_config
        own_rules = (
            any(config.get(rule) for rule in ("frozen", "validate_assignment")) or config.get("extra") == "allow"
        )
        own_truth = hasattr(cls, "__bool__") or hasattr(cls, "__len__")
        own_access = any(
            getattr(cls, name) is not getattr(base, name) for name in ("__getattr__", "__setattr__", "__getattribute__")
        )
        hidden = any(name in vars(parent) for parent in cls.__mro__ for name in _ASKED_FOR)
        if (
            own_rules
            or own_truth
            or own_access
            or hidden
            or any(fields[name].frozen for name in _ASKED_FOR & set(fields))
        ):
            return _UNKNOWN
        has = _ASKED_FOR & set(fields)
        if "root" in has and len(has) > 1:
            return _UNKNOWN
        creates = cls.__name__.startswith("Create")
        return _Shape(
            plain=True,
            name="name" in has,
            root="root" in has,
            lists=tuple(key for key in ("columns", "children") if key in has),
            constraints="tableConstraints" in has,
            untouched=not has or (creates and self._is_service(cls.__name__)),
            creates=creates,
        )


def install() -> Undo:
    """Put the walk in. Raises StepsAside."""
    validation, caller = loaded(MODULE), loaded(CALLER)
    what = "upstream's transformation of names"
    known(_KNOWN, what, validation, *_FUNCTIONS, *([_CUTS] if hasattr(validation, _CUTS) else []))
    words = [value for name, value in vars(validation).items() if name.startswith("RESERVED_")]
    if caller.transform_entity_names is not validation.transform_entity_names or not all(
        str(word).startswith(_RESERVED) for word in words
    ):
        raise StepsAside(f"{what} has changed")
    walk = _Walk(validation)
    try:
        validation.get_entity_config(None)  # fills the table, as the first model of any kind does
    except ImportError as error:
        raise StepsAside(f"{what} does not work ({error})") from None
    return put(caller, "transform_entity_names", walk.transform_entity_names)
