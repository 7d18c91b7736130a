"""`openmetadata-bulksink replay`: the records of a dead letter file, sent again through the same engine.

Parents and needs are read from the bodies, as for records of a run; letters come in the order in which records were
lost, so they are sorted first. Nothing is sent before every letter was found to be one. What is refused again the
engine itself writes to a new file. Never changes the file it reads.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

from openmetadata_bulksink import eligibility, records, settings, workflow_file

_CREATE, _LIFE_CYCLE = "create", "life_cycle"


class Letter(NamedTuple):
    """One line of the file."""

    kind: str
    collection: str
    fqn: str
    body: Any


class _Refused(NamedTuple):
    """One that the server did not take this time, either."""

    collection: str
    fqn: str
    reason: str


def replay(letters: Path, config: Path, output: Path) -> bool:
    """Send them. Returns whether all were written. Raises Unreadable, SettingError, OSError."""
    found = once_each(read(letters))
    if not found:
        print(f"{letters} holds no letters: nothing to do.")
        return True
    if output.exists():
        raise FileExistsError(f"{output} exists already; name another file with -o, or remove it")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"{output} is in no directory that is there; name another file with -o")
    chosen = settings.tuning()
    workflow = workflow_file.load(config)
    reason = eligibility.why_not_native(workflow.client)
    if reason is not None:
        raise workflow_file.Unreadable(workflow.mask(f"the native client cannot be used: {reason}"))
    try:
        refused = _send(in_order(found), workflow, chosen, output)
    except KeyboardInterrupt:
        lacks = f"; {output} lacks those that were not sent yet" if output.exists() else ""
        print(f"Interrupted: replay {letters} again, as a whole{lacks}.")
        raise
    print(f"{len(found) - len(refused)} of {len(found)} records were written.")
    for one in refused:
        print(workflow.mask(f"  still refused: {one.collection} {one.fqn}: {one.reason}"))
    if refused:
        print(_where_they_are(refused, letters, output))
    return not refused


def _where_they_are(refused: list[_Refused], letters: Path, output: Path) -> str:
    """Where the letters of what was refused are now: in the new file, or, where that could not be written, in the old
    one alone.
    """
    try:
        kept = Counter((letter.collection, letter.fqn) for letter in _whole_ones(output))
    except OSError:
        kept = Counter()
    missing = (Counter((one.collection, one.fqn) for one in refused) - kept).total()
    if not missing:
        return f"They are in {output}."
    where = f"; {output} lacks {missing} of them" if kept else ""
    return f"They could not be written to {output}{where}: keep {letters}, and replay that again, as a whole."


def _send(
    letters: list[Letter], workflow: workflow_file.Workflow, chosen: settings.Tuning, output: Path
) -> list[_Refused]:
    how = settings.writing(workflow.sink_config, chosen)
    own = {"dead_letters": str(output), "on_notice": lambda line: print(workflow.mask(line))}
    with workflow_file.engine(workflow, chosen, how, **own) as engine:
        for letter in letters:
            submit(engine, letter)
    return [
        _Refused(outcome.collection, outcome.fqn, outcome.reason or "")
        for outcome in engine.take_outcomes()
        if outcome.status == "failed"
    ]


def read(path: Path) -> Iterator[Letter]:
    """The letters of a file. A line that is none is named and refused: it may be half a letter of a crash. Raises
    Unreadable, OSError.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise workflow_file.Unreadable(f"{path} is not a text in UTF-8, so it is no dead letter file") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _letter(line, f"line {number} of {path}")


def _whole_ones(path: Path) -> Iterator[Letter]:
    """The letters of a file, but for what is none. Raises OSError."""
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        with suppress(workflow_file.Unreadable):
            yield _letter(line, "")


def _letter(line: str, where: str) -> Letter:
    """One letter, with everything that its submission needs. Raises Unreadable."""
    try:
        content = json.loads(line)
        letter = Letter(content["kind"], content["collection"], content["fqn"], content.get("body"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise workflow_file.Unreadable(f"{where} is not a dead letter{_half(line)}") from None
    if letter.kind not in (_CREATE, _LIFE_CYCLE):
        raise workflow_file.Unreadable(f"{where} is of a kind that this version does not know; nothing was sent")
    names: list[Any] = [letter.collection, letter.fqn]
    if not all(isinstance(name, str) and name for name in names) or not isinstance(letter.body, dict):
        raise workflow_file.Unreadable(f"{where} has no request that could be sent; remove it and try again")
    if letter.kind == _CREATE:
        try:
            made = _record(letter)
            json.dumps(made.needs).encode()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the body, this letter is named for it
            raise workflow_file.Unreadable(
                f"{where} has a request whose names cannot be read ({type(error).__name__}); remove it and try again"
            ) from None
    return letter


#: How a letter begins.
_BEGINNING = '{"time":'


def _half(line: str) -> str:
    """What is to be done about a line that is no letter: it may be half of one, with a whole one behind it."""
    half = line.startswith(_BEGINNING)
    at = line.find(_BEGINNING, 1)
    if at > 0:
        return f": half of one, then another from its column {at + 1} on; remove what is before that and try again"
    why = " but half of one, since the disk was full or the run was killed" if half else ""
    return f"{why}; remove that line alone (the log of its run names its record) and try again"


def once_each(letters: Iterable[Letter]) -> list[Letter]:
    """A table that was refused for a foreign key, and then without that key too, has two letters. The first holds all
    of it; the second would take the key away again.
    """
    kept: list[Letter] = []
    known: dict[str, list[dict[str, Any]]] = {}
    for letter in letters:
        rest = {name: value for name, value in letter.body.items() if name not in ("tableConstraints", "sourceHash")}
        earlier = known.setdefault(letter.fqn, [])
        if letter.collection == "tables" and letter.kind == _CREATE:
            if "tableConstraints" in letter.body and "sourceHash" not in letter.body and rest in earlier:
                continue
            earlier.append(rest)
        kept.append(letter)
    return kept


def in_order(letters: list[Letter]) -> list[Letter]:
    """What others need comes first, life cycles last; else the order of the file. Where references go in a circle, it
    and what hangs on it goes by parents alone: the engine mends the rest.
    """
    creates = [letter for letter in letters if letter.kind == _CREATE]
    by_fqn: dict[str, list[int]] = {}
    for at, letter in enumerate(creates):
        by_fqn.setdefault(letter.fqn, []).append(at)

    def before(at: int, names: Iterable[str]) -> set[int]:
        own = by_fqn[creates[at].fqn]
        others = {other for name in names if name != creates[at].fqn for other in by_fqn.get(name, ())}
        return others | set(own[: own.index(at)])

    needs = {at: before(at, records.names_in(one.collection, one.body)) for at, one in enumerate(creates)}
    ordered = _sorted(needs)
    left = needs.keys() - set(ordered)
    parents = {at: before(at, _parents(creates[at])) & left for at in sorted(left)}
    ordered += _sorted(parents)
    ordered += sorted(needs.keys() - set(ordered))  # parents in a circle: the server will say so
    return [creates[at] for at in ordered] + [letter for letter in letters if letter.kind != _CREATE]


def _sorted(needs: dict[int, set[int]]) -> list[int]:
    """Those that stand in no circle and behind none, each behind what it needs."""
    sorter = TopologicalSorter(needs)
    with suppress(CycleError):  # it hands out what it can all the same
        sorter.prepare()
    ordered: list[int] = []
    while ready := sorted(sorter.get_ready()):
        ordered += ready
        sorter.done(*ready)
    return ordered


def _parents(letter: Letter) -> list[str]:
    parent = records.form_of_collection(letter.collection).parent(letter.body)
    return [] if parent is None else [parent]


def _record(letter: Letter) -> records.Record:
    return records.form_of_collection(letter.collection).record(letter.body, json.dumps(letter.body).encode())


def submit(engine: Any, letter: Letter) -> None:
    """One letter into the engine."""
    if letter.kind == _LIFE_CYCLE:
        engine.submit_life_cycle(letter.collection, letter.fqn, json.dumps(letter.body).encode())
        return
    made = _record(letter)
    engine.submit(letter.collection, letter.fqn, made.body, made.parent, made.needs, first_wins=made.first_wins)
