"""The little that the adapter knows of upstream's classes, as types. Nothing here exists at run time: upstream's own
classes do.

Upstream is not imported by this package before the user's program has imported it, and it is not needed to check this
package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol


class Status(Protocol):
    records: list[Any]
    warnings: list[Any]
    failures: list[Any]

    def failed(self, error: Any) -> None: ...
    def warning(self, key: str, reason: str) -> None: ...


class UpstreamSink:
    """`metadata.ingestion.sink.metadata_rest.MetadataRestSink` as far as we call it or stand in for it."""

    config: Any
    metadata: Any
    status: Status
    limit_reached: set[str]
    buffer: list[Any]
    query_buffer: list[Any]
    buffered_entity_names: dict[Any, bool]
    buffered_query_checksums: set[str]
    deferred_lifecycle_records: list[Any]

    if TYPE_CHECKING:

        def __init__(self, config: Any, metadata: Any) -> None: ...
        def run(self, record: Any) -> Any: ...
        def _run(self, record: Any, *args: Any, **kwargs: Any) -> Any: ...
        def _flush_buffer(self) -> Any: ...
        def _flush_query_buffer(self) -> Any: ...
        def get_status(self) -> Status: ...
        def close(self) -> None: ...
