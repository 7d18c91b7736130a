"""Tags: what upstream writes as two PUTs for each record, as two records of the engine.

A source that labels a million tables yields a million records that name the same few classifications and tags. The
engine writes the classification before the tag, and leaves out a body that the server took last (`once`). Knows no
engine and no status; `Writer` submits what is made here.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from openmetadata_bulksink import records

_QUOTE = '"'

#: Pairs of bodies that are known by heart, and texts for statuses.
_MOST_KNOWN = 4_096
_MOST_TEXTS = 10_000

#: The class of upstream's records, and the collections that they are about.
RECORD = "OMetaTagAndClassification"
TAGS = "tags"
CLASSIFICATIONS = "classifications"

#: The FQN of a label in a create request; inside a string its quotes would stand behind backslashes.
_LABEL = re.compile(rb'"tagFQN": ?("(?:[^"\\]|\\.)*")')


class Tagging(NamedTuple):
    """One record of upstream's. label: how upstream calls it where it fails."""

    classification: records.Record
    tag: records.Record
    label: str


class Forms:
    """The forms of both create requests, for the classes of one version of upstream."""

    def __init__(self, record: Any) -> None:
        self._classification = records.form_of(type(record.classification_request), CLASSIFICATIONS)
        self._tag = records.form_of(type(record.tag_request), TAGS)
        #: What was found in both bodies; the same few come again and again.
        self._known: dict[tuple[bytes, bytes], tuple[records.Record, records.Record]] = {}

    def tagging(self, record: Any) -> Tagging:
        group, tag = record.classification_request, record.tag_request
        bodies = records.body_of(self._classification, group), records.body_of(self._tag, tag)
        known = self._known.get(bodies)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[bodies] = self._read(group, tag, bodies)
        return Tagging(*known, label_of(record))

    def _read(self, group: Any, tag: Any, bodies: tuple[bytes, bytes]) -> tuple[records.Record, records.Record]:
        classification = self._classification.record(group, bodies[0])
        parent = self._tag.parent(tag)
        if parent is not None and parent == records.text_of(group.name):
            # A plain name, which is not quoted as the FQN is.
            parent = classification.fqn
        fqn = self._tag.fqn(tag, parent)
        return classification, records.Record(TAGS, fqn, bodies[1], parent, (), first_wins=False)


def label_of(record: Any) -> str:
    """Upstream's name of the record."""
    return f"{RECORD} [{records.text_of(record.fqn) or records.text_of(record.classification_request.name)}]"


def is_nameless(record: Any) -> bool:
    """Upstream skips a tag without a name, with a warning."""
    name = record.tag_request.name
    return not str(getattr(name, "root", name)).strip()


@lru_cache(maxsize=_MOST_TEXTS)
def written(fqn: str) -> str:
    """What upstream's status holds of a tag that was written: its name as the server's answer is read. One text for all
    records of a tag.
    """
    name = records.split_fqn(fqn)[-1]
    if len(name) > 1 and name[0] == name[-1] == _QUOTE:
        name = name[1:-1]
    if "__reserved__" in name:
        name = _upstreams_encoding().revert_separators(name)
    return f"Tag [{name}]"


def _upstreams_encoding() -> Any:
    """Upstream's module that encodes names when a request is made, and decodes them when an answer is read."""
    return import_module("metadata.ingestion.models.custom_basemodel_validation")


def labels_in(body: bytes) -> list[str]:
    """The FQNs of the tags that a create request names, its columns' too."""
    return list(dict.fromkeys(json.loads(found) for found in _LABEL.findall(body)))


def touches(path: str) -> bool:
    """Whether a request is about tags or classifications: one that writes may change what was written of them."""
    return path.strip("/").partition("/")[0].partition("?")[0] in (TAGS, CLASSIFICATIONS)
