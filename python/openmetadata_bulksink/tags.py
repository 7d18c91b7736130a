"""Tags: what upstream writes as two PUTs for each record, as two records of the engine.

A source that labels a million tables yields a million records that name the same few classifications and tags. The
engine writes the classification before the tag, and leaves out a body that the server took last (`once`). Knows no
engine and no status; `Writer` submits what is made here.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any, NamedTuple

from openmetadata_bulksink import records

_QUOTE = '"'

#: The class of upstream's records, and the collections that they are about.
RECORD = "OMetaTagAndClassification"
TAGS = "tags"
CLASSIFICATIONS = "classifications"

#: The FQN of a label in a create request; inside a string its quotes would stand behind backslashes.
_LABEL = re.compile(rb'"tagFQN": ?("(?:[^"\\\\]|\\\\.)*")')


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

    def tagging(self, record: Any) -> Tagging:
        group, tag = record.classification_request, record.tag_request
        classification = self._classification.record(group, records.body_of(self._classification, group))
        parent = self._tag.parent(tag)
        if parent is not None and parent == records.text_of(group.name):
            # A plain name, which is not quoted as the FQN is.
            parent = classification.fqn
        fqn = self._tag.fqn(tag, parent)
        body = records.body_of(self._tag, tag)
        made = records.Record(TAGS, fqn, body, parent, (), first_wins=False)
        return Tagging(classification, made, label_of(record))


def label_of(record: Any) -> str:
    """Upstream's name of the record."""
    return f"{RECORD} [{records.text_of(record.fqn) or records.text_of(record.classification_request.name)}]"


def is_nameless(record: Any) -> bool:
    """Upstream skips a tag without a name, with a warning."""
    name = records.text_of(record.tag_request.name)
    return name is None or not name.strip()


def written(fqn: str) -> str:
    """What upstream's status holds of a tag that was written: its name as the server's answer is read."""
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
