"""For each model that is validated, upstream fills its table of classes whose names are transformed: always with the
same nine classes. Filled once.
"""

from __future__ import annotations

from openmetadata_bulksink.accelerators import StepsAside, Undo, known, loaded, put

MODULE = "metadata.ingestion.models.custom_basemodel_validation"

#: `_initialize_transformable_entities` and `get_entity_config`, as text: 1.11 to 1.13; 2.0.
_KNOWN = frozenset({"91eaec0c4aa4474c", "4d042f17b0440a20"})


def install() -> Undo:
    """Fill the table a last time. Raises StepsAside."""
    validation = loaded(MODULE)
    what = "upstream's table of transformed names"
    known(_KNOWN, what, validation, "_initialize_transformable_entities", "get_entity_config")
    fill = validation._initialize_transformable_entities
    try:
        fill()
    except ImportError as error:
        raise StepsAside(f"{what} cannot be filled ({error})") from None
    table = validation.TRANSFORMABLE_ENTITIES
    classes = len(table)

    def fill_once() -> None:
        if len(table) < classes:
            fill()

    return put(validation, "_initialize_transformable_entities", fill_once)
