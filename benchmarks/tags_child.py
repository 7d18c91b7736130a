"""One run of the tag benchmark in a process of its own: a source that labels every table, and the sink.

Runs in an environment of upstream. The source calls upstream's own functions for tag records and labels, as the
connectors do: each record first, then the label, which is read from the server once for each tag.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.designs.records import Entity
from benchmarks.report import workload
from benchmarks.report.frameworks import Framework, converter, warm_up

TAGS_OF_A_TABLE, DISTINCT, GROUPS, COLUMNS = 9, 40, 8, 10

SCHEMA = f"{workload.DATABASE}.public"
_GROUP_TEXT, _TAG_TEXT = "classification of the source", "tag of the source"


def main(descriptor: int) -> None:
    """One job: {"url", "token", "tables", "extract_ms", "with_tags"}."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        job = json.loads(sys.stdin.readline())
        answers.write(json.dumps({"result": run(job)}) + "\n")


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds from the first record to the end of the sink; with_tags: whether the sink gets the tag records."""
    logging.getLogger("metadata").setLevel(logging.ERROR)
    convert = converter()
    warm_up(convert)
    _prepare(job)
    framework = Framework(job["url"], job["token"])
    framework.write(convert(Entity("databases", workload.DATABASE, {"name": "dev", "service": workload.SERVICE})))
    framework.write(convert(Entity("databaseSchemas", SCHEMA, {"name": "public", "database": workload.DATABASE})))
    source = _Source(framework.metadata, convert, job["extract_ms"] / 1000)
    list(source.tags_of(0))  # what upstream imports and builds at the first use is no cost of the first table
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    in_sink = 0.0
    for number in range(job["tables"]):
        for record, is_table in source.records_of(number):
            if is_table or job["with_tags"]:
                given = time.perf_counter()
                framework.write(record)
                in_sink += time.perf_counter() - given
    looped = time.perf_counter()
    framework.close()
    return {
        "total_s": time.perf_counter() - started,
        "loop_s": looped - started,
        "sink_s": in_sink,
        "read_s": source.read_s,
        "failures": [vars(failure) for failure in framework.failures[:5]],
        "native": framework.native,
    }


def _prepare(job: dict[str, Any]) -> None:
    """The service; without tag records the tags, too, so that the tables are the same."""
    from benchmarks.designs.connection import Connection

    connection = Connection(job["url"] + "/v1", job["token"])
    made = [Entity("services/databaseServices", workload.SERVICE, workload.service_request())]
    if not job["with_tags"]:
        made += [Entity("classifications", f"G{at}", {"name": f"G{at}", "description": "x"}) for at in range(GROUPS)]
        for at in range(DISTINCT):
            body = {"classification": group_of(at), "name": f"t{at}", "description": "x"}
            made.append(Entity("tags", f"{group_of(at)}.t{at}", body))
    for entity in made:
        if lost := connection.put_one(entity):
            raise SystemExit(f"{entity.fqn} could not be made: {lost[0].reason}")
    connection.close()


def group_of(tag: int) -> str:
    """The classification of a tag."""
    return f"G{tag % GROUPS}"


class _Source:
    """Takes so many seconds for a table and its tags, what it costs to build them included."""

    def __init__(self, metadata: Any, convert: Any, seconds: float) -> None:
        from metadata.utils import tag_utils

        self._metadata = metadata
        self._convert = convert
        self._seconds = seconds
        self._utils = tag_utils
        self.read_s = 0.0

    def tags_of(self, number: int) -> Iterator[Any]:
        """Upstream's tag records for a table."""
        for at in range(TAGS_OF_A_TABLE):
            tag = (number * TAGS_OF_A_TABLE + at) % DISTINCT
            for either in self._utils.get_ometa_tag_and_classification(
                tags=[f"t{tag}"],
                classification_name=group_of(tag),
                tag_description=_TAG_TEXT,
                classification_description=_GROUP_TEXT,
                tag_fqn=f"{SCHEMA}.table_{number:05}",
                metadata=self._metadata,
            ):
                yield either.right

    def records_of(self, number: int) -> Iterator[tuple[Any, bool]]:
        """Tag records, then the table. What the reader takes between them is not the source's."""
        spent, since = 0.0, time.perf_counter()
        for record in self.tags_of(number):
            spent += time.perf_counter() - since
            yield record, False
            since = time.perf_counter()
        table = workload.table(SCHEMA, number, COLUMNS)
        labels = self._labels(number)
        table.body["tags"] = labels[:1]
        for column, label in zip(table.body["columns"], labels[1:], strict=False):
            column["tags"] = [label]
        request = self._convert(table)
        spent += time.perf_counter() - since
        time.sleep(max(0.0, self._seconds - spent))
        yield request, True

    def _labels(self, number: int) -> list[Any]:
        found = []
        for at in range(TAGS_OF_A_TABLE):
            tag = (number * TAGS_OF_A_TABLE + at) % DISTINCT
            asked = time.perf_counter()
            labels = self._utils.get_tag_labels(self._metadata, tags=[f"t{tag}"], classification_name=group_of(tag))
            self.read_s += time.perf_counter() - asked
            if not labels:
                raise SystemExit(f"the source does not see tag t{tag} that it has yielded")
            found += [json.loads(label.model_dump_json()) for label in labels]
        return found


if __name__ == "__main__":
    main(int(sys.argv[1]))
