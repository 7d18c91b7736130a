"""`openmetadata-bulksink replay`: the records of a dead letter file, sent again through the same engine.

Parents and needs are read from the bodies, as for records of a run; letters come in the order in which records were
lost, so they are sorted first. What is refused again the engine itself writes to a new file. Never changes the file
it reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from openmetadata_bulksink import connection, eligibility, records, settings, workflow_file


class Letter(NamedTuple):
    """One line of the file."""

    kind: str
    collection: str
    fqn: str
    body: Any


def replay(letters: Path, config: Path, output: Path) -> bool:
    """Send them. Returns whether all were written. Raises Unreadable, SettingError, OSError."""
    found = once_each(read(letters))
    if not found:
        print(f"{letters} holds no letters: nothing to do.")
        return True
    if output.exists():
        raise FileExistsError(f"{output} exists already; name another file with -o, or remove it")
    workflow = workflow_file.load(config)
    reason = eligibility.why_not_native(workflow.client)
    if reason is not None:
        raise workflow_file.Unreadable(f"the native client cannot be used: {reason}")
    from openmetadata_bulksink import _native

    chosen = settings.tuning()
    how = settings.writing(workflow.sink_config, chosen)
    arguments = settings.engine_arguments(chosen, how, connection.arguments(workflow.client.client))
    arguments["dead_letters"] = str(output)
    written, refused = 0, []
    with _native.BulkSink(**arguments, on_notice=print) as engine:
        for letter in in_order(found):
            submit(engine, letter)
        engine.drain()
        for outcome in engine.take_outcomes():
            if outcome.status == "failed":
                refused.append(outcome)
            else:
                written += 1
    print(f"{written} of {len(found)} records were written.")
    for outcome in refused:
        print(f"  still refused: {outcome.collection} {outcome.fqn}: {outcome.reason}")
    if refused:
        print(f"They are in {output}.")
    return not refused


def read(path: Path) -> Iterator[Letter]:
    """The letters of a file. A line that is none is named and refused: it may be half a letter of a crash."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                content = json.loads(line)
                letter = Letter(content["kind"], content["collection"], content["fqn"], content.get("body"))
            except (ValueError, KeyError, TypeError):
                raise workflow_file.Unreadable(
                    f"line {number} of {path} is not a dead letter; remove it and try again"
                ) from None
            if not isinstance(letter.body, dict):
                raise workflow_file.Unreadable(
                    f"line {number} of {path} has no request that could be sent; remove it and try again"
                )
            yield letter


def once_each(letters: Iterable[Letter]) -> list[Letter]:
    """A table that was refused for a foreign key, and then without that key too, has two letters. The first holds all
    of it; the second would take the key away again.
    """
    kept: list[Letter] = []
    known: dict[str, list[dict[str, Any]]] = {}
    for letter in letters:
        rest = {name: value for name, value in letter.body.items() if name not in ("tableConstraints", "sourceHash")}
        earlier = known.setdefault(letter.fqn, [])
        if letter.collection == "tables" and letter.kind == "create":
            if "tableConstraints" in letter.body and "sourceHash" not in letter.body and rest in earlier:
                continue
            earlier.append(rest)
        kept.append(letter)
    return kept


def in_order(letters: list[Letter]) -> list[Letter]:
    """What others need comes first, life cycles last; else the order of the file. A circle is cut where it is met."""
    creates = [letter for letter in letters if letter.kind == "create"]
    by_fqn: dict[str, list[int]] = {}
    for at, letter in enumerate(creates):
        by_fqn.setdefault(letter.fqn, []).append(at)
    ordered: list[Letter] = []
    done: set[int] = set()

    def put(at: int, path: frozenset[int]) -> None:
        if at in done or at in path:
            return
        for name in records.names_in(creates[at].collection, creates[at].body):
            if name != creates[at].fqn:
                for other in by_fqn.get(name, ()):
                    put(other, path | {at})
        if at not in done:
            done.add(at)
            ordered.append(creates[at])

    for at in range(len(creates)):
        put(at, frozenset())
    return ordered + [letter for letter in letters if letter.kind != "create"]


def submit(engine: Any, letter: Letter) -> None:
    body = json.dumps(letter.body).encode()
    if letter.kind == "life_cycle":
        engine.submit_life_cycle(letter.collection, letter.fqn, body)
        return
    made = records.form_of_collection(letter.collection).record(letter.body, body)
    engine.submit(letter.collection, letter.fqn, body, made.parent, made.needs, first_wins=made.first_wins)
