"""A workflow's file, as far as the commands need it: upstream's live client and the sink's settings out of it.

Upstream's own loader and models read it, so that what works for `metadata ingest` works here. No text of this file
holds a value of the workflow's: what a parser or a model says of a mistyped secret may hold all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from openmetadata_bulksink import connection, settings
from openmetadata_bulksink.masking import Mask, is_name, mask_of

if TYPE_CHECKING:
    from openmetadata_bulksink._native import BulkSink

#: The types that upstream knows its REST sink by, and ours.
SINK_TYPES = ("metadata-rest", "native-rest")


class Unreadable(Exception):
    """The workflow file cannot be used; the text says what to change."""


class Workflow(NamedTuple):
    """What is in the file.

    sink_type: as written there; None where it names none. has_source: whether it names a type of source, without which
    upstream refuses it. mask: hides the file's secrets.
    """

    client: Any
    sink_config: Any
    sink_type: str | None
    has_source: bool
    mask: Mask


def load(path: Path) -> Workflow:
    """Read a workflow file and make upstream's client for its server; sends no request. Raises Unreadable."""
    try:
        from metadata.generated.schema.entity.services.connections.metadata.openMetadataConnection import (
            OpenMetadataConnection,
        )
        from metadata.ingestion.ometa.ometa_api import OpenMetadata
        from metadata.ingestion.sink.metadata_rest import MetadataRestSinkConfig
    except ImportError as error:
        raise Unreadable(f"openmetadata-ingestion is not installed here ({error}); install it first") from None
    found = content(path)
    mask = mask_of(found)
    workflow = found.get("workflowConfig")
    server = workflow.get("openMetadataServerConfig") if isinstance(workflow, dict) else None
    if not isinstance(server, dict):
        raise Unreadable(f"{path} has no workflowConfig.openMetadataServerConfig")
    name = f"workflowConfig.openMetadataServerConfig of {path}"
    try:
        # The version check of upstream's is a request, and the doctor asks for the version itself.
        client = OpenMetadata(OpenMetadataConnection(**{**server, "enableVersionValidation": False}))
    except Exception as error:  # noqa: BLE001 - upstream raises whatever its models raise
        raise Unreadable(mask(f"{name} is refused by upstream: {_what(error)}")) from None
    sink = found.get("sink")
    if sink is not None and not isinstance(sink, dict):
        raise Unreadable(f"sink of {path} must be a mapping with the key type")
    sink = sink or {}
    sink_type = sink.get("type")
    # The config of another sink is that sink's own matter.
    given = (sink.get("config") or {}) if sink_type is None or sink_type in SINK_TYPES else {}
    try:
        sink_config = MetadataRestSinkConfig.model_validate(given)
    except Exception as error:  # noqa: BLE001 - as above
        raise Unreadable(mask(f"sink.config of {path} is refused by upstream: {_what(error)}")) from None
    source = found.get("source")
    has_source = isinstance(source, dict) and isinstance(source.get("type"), str)
    return Workflow(client, sink_config, None if sink_type is None else str(sink_type), has_source, mask)


def whole(path: Path, found: dict[str, Any]) -> Any:
    """Upstream's model of a workflow, of a file's content. Raises Unreadable, which names what upstream refuses."""
    from metadata.generated.schema.metadataIngestion.workflow import OpenMetadataWorkflowConfig, WorkflowConfig
    from metadata.ingestion.api import parser

    try:
        return OpenMetadataWorkflowConfig.model_validate(found)
    except parser.ValidationError as error:
        refused = _what(error)
    # Upstream's model of a source is any of a hundred; these say which of them it should be.
    checks: tuple[tuple[str, Callable[[], object]], ...] = (
        ("source.serviceConnection.config.", lambda: parser.parse_service_connection(found)),
        ("source.sourceConfig.config.", lambda: parser.parse_source_config(found)),
        ("workflowConfig.", lambda: WorkflowConfig.model_validate(found.get("workflowConfig"))),
    )
    for place, check in checks:
        try:
            check()
        except parser.ValidationError as error:
            refused = _what(error, place)
            break
        except (AttributeError, ImportError, KeyError, TypeError, ValueError, parser.InvalidWorkflowException):
            continue  # it takes keys for granted, and the whole has told which are missing
    raise Unreadable(mask_of(found)(f"{path} is refused by upstream: {refused}"))


def engine(workflow: Workflow, chosen: settings.Tuning, how: settings.Writing, **more: Any) -> BulkSink:
    """A native client for the workflow's server; opens no connection. more: arguments of its own. Raises Unreadable,
    where it refuses the settings.
    """
    from openmetadata_bulksink import _native

    arguments = settings.engine_arguments(chosen, how, connection.arguments(workflow.client.client))
    try:
        return _native.BulkSink(**{**arguments, **more})
    except _native.ConfigurationError as error:
        raise Unreadable(workflow.mask(f"the native client refuses these settings: {error}")) from None


def content(path: Path) -> dict[str, Any]:
    """The file's mapping, by upstream's loader. Raises Unreadable, and ImportError without upstream."""
    from metadata.config.common import load_config_file

    if not path.is_file():
        raise Unreadable(f"{path} is not a file")
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise Unreadable(f"{path} must end with .yaml, .yml or .json, or upstream does not read it")
    try:
        found: Any = load_config_file(path)
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not a text in UTF-8") from None
    except Exception as error:  # noqa: BLE001 - upstream raises whatever its parsers raise
        raise Unreadable(f"{path} cannot be read: {_place(error)}") from None
    if not isinstance(found, dict):
        what = "empty" if found is None else f"a {type(found).__name__}, not a mapping"
        raise Unreadable(f"{path} is {what}: it must have workflowConfig and the rest of a workflow")
    return found


def _place(error: Exception) -> str:
    """Where a parser stopped. Not what it says: it quotes the line, which may hold a token."""
    parsers: Any = error.__cause__ or error.__context__ or error  # upstream puts one of its own around it
    mark = getattr(parsers, "problem_mark", None) or getattr(parsers, "context_mark", None)
    if mark is not None:
        return f"it is no YAML at line {mark.line + 1}, column {mark.column + 1}"
    if hasattr(parsers, "lineno") and hasattr(parsers, "colno"):
        return f"it is no JSON at line {parsers.lineno}, column {parsers.colno}"
    if isinstance(getattr(parsers, "position", None), int):
        return f"its character {parsers.position + 1} must not stand in YAML"
    if isinstance(error, OSError):
        return str(error.strerror)
    return f"upstream's reader raises {type(error).__name__}"


#: Objections beyond these are those of other models that the same field might have had.
_MOST = 5


def _what(error: Exception, place: str = "") -> str:
    """What a model objects to: field and reason, without the value, which pydantic would quote. place: what the fields
    are below.
    """
    problems = getattr(error, "errors", None)
    if not callable(problems):
        return " ".join(str(error).split())
    found: Any = problems(include_url=False, include_context=False, include_input=False)
    said = [f"{place}{'.'.join(_part(part) for part in one['loc'])}: {one['msg']}" for one in found[:_MOST]]
    return "; ".join([*said, f"and {len(found) - _MOST} more"] if len(found) > _MOST else said)


def _part(key: str | int) -> str:
    """A key of the file, unless something was pasted in its place."""
    return str(key) if isinstance(key, int) or is_name(key) else "(a key)"
