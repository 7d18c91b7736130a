"""Lost records are kept in a file, and the file is enough to write them later: end to end, with the command."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import ReferenceServer, workflow
from tests.ingest.sources import sqlite_source
from tests.python.faults.conftest import CLIENT
from tests.python.faults.streams import SCHEMA, Fed, Feeder

pytestmark = [pytest.mark.wheel]


def feed(
    feeder: Feeder, lake: ReferenceServer, letters: Path | str, stream: list[list[Any]], deadline: int = 30
) -> Fed:
    variables = {
        "OM_BULKSINK_DEAD_LETTERS": str(letters),
        "OM_BULKSINK_DELIVERY_TIMEOUT": str(deadline),
        "OM_BULKSINK_ACCELERATE": "0",
    }
    return feeder.feed(lake, [*stream, ["status"], ["close"]], client=CLIENT, variables=variables)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def replay(
    environment: Path, server: ReferenceServer, letters: Path, *more: str, room: int | None = None
) -> subprocess.CompletedProcess[str]:
    """room: bytes that a file may have, as on a disk that is full then."""

    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    config = letters.with_suffix(".workflow.json")
    source = sqlite_source(letters.parent / "none.db", service="lake")
    config.write_text(json.dumps(workflow(source=source, server_url=server.url, token=server.token)))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))}
    command = [environment / "bin" / "python", "-m", "openmetadata_bulksink", "replay", letters, "-c", config, *more]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=variables, cwd=letters.parent, preexec_fn=limit
    )


def test_what_was_lost_is_written_by_replay(
    feeder: Feeder, lake: ReferenceServer, sink_environment: Path, tmp_path: Path
) -> None:
    letters = tmp_path / "lost.jsonl"
    # A schema that is refused takes its tables and their life cycles with it. The fixture made one; here it must be
    # missing.
    lake.reset()
    rule = {"match": {"class": "bulk", "collection": "databaseSchemas"}, "do": {"kind": "fail_rows", "message": "no"}}
    lake.set_faults([rule])
    stream = [["parents"], ["tables", 0, 30], ["life_cycles", 0, 10]]
    fed = feed(feeder, lake, letters, stream)
    assert len(fed.failures) == 41
    lost = read(letters)
    assert sorted(letter["fqn"] for letter in lost) == sorted(fed.names)
    assert stat.S_IMODE(letters.stat().st_mode) == 0o600
    assert lake.token not in letters.read_text()
    for letter in lost:
        assert letter["reason"]
        assert letter["time"] > 1_600_000_000_000
        assert isinstance(letter["body"], dict)
    assert {letter["kind"] for letter in lost} == {"create", "life_cycle"}

    lake.set_faults([])
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "41 of 41 records were written" in done.stdout
    state = lake.state()
    assert SCHEMA in state["databaseSchemas"]
    assert len(state["tables"]) == 30
    assert state["tables"][f"{SCHEMA}.t3"]["lifeCycle"]["created"]["timestamp"] == 1_700_000_000_003
    assert lake.violations() == []
    assert not letters.with_name("lost.jsonl.refused").exists()
    assert len(read(letters)) == 41, "the file that is read is left alone"


def test_what_is_still_refused_goes_to_a_new_file(
    feeder: Feeder, lake: ReferenceServer, sink_environment: Path, tmp_path: Path
) -> None:
    letters = tmp_path / "lost.jsonl"
    lake.set_faults([{"match": {"class": "bulk"}, "do": {"kind": "fail_rows", "message": "no"}}])
    feed(feeder, lake, letters, [["tables", 0, 5]])
    poison = {"kind": "fail_rows", "message": "the owner is not known", "fqns": [f"{SCHEMA}.t2"]}
    lake.set_faults([{"match": {"class": "bulk"}, "do": poison}])
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "4 of 5 records were written" in done.stdout
    assert f"{SCHEMA}.t2: the server refused it: the owner is not known" in done.stdout
    (left,) = read(letters.with_name("lost.jsonl.refused"))
    assert left["fqn"] == f"{SCHEMA}.t2"
    # A second replay does not write over what the first has left.
    again = replay(sink_environment, lake, letters)
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_a_table_that_lost_a_foreign_key_is_completed_by_replay(
    feeder: Feeder, lake: ReferenceServer, sink_environment: Path, tmp_path: Path
) -> None:
    """A letter holds the key, also where the table could not be written without it either."""
    letters = tmp_path / "lost.jsonl"
    refuse = {"kind": "fail_rows", "message": "no"}
    again = {
        "match": {"class": "bulk", "fqn": f"{SCHEMA}.l"},
        "when": {"nth": [2]},
        "do": {**refuse, "fqns": [f"{SCHEMA}.l"]},
    }
    lake.set_faults([{"match": {"class": "bulk", "fqn": f"{SCHEMA}.t0"}, "do": refuse}, again])
    fed = feed(feeder, lake, letters, [["tables", 0, 1], ["keyed", "k", "t0"], ["keyed", "l", "t0"]])
    assert fed.names == [f"{SCHEMA}.t0", f"{SCHEMA}.l"]
    assert list(lake.state()["tables"]) == [f"{SCHEMA}.k"]
    assert sorted(letter["fqn"][-2:] for letter in read(letters)) == [".k", ".l", "t0"]

    lake.set_faults([])
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 records were written" in done.stdout
    for name in ("k", "l"):
        (key,) = lake.state()["tables"][f"{SCHEMA}.{name}"]["tableConstraints"]
        assert key["referredColumns"] == [f"{SCHEMA}.t0.c0"]


def test_half_a_letter_is_named(lake: ReferenceServer, sink_environment: Path, tmp_path: Path) -> None:
    letters = tmp_path / "lost.jsonl"
    whole = {"time": 1, "kind": "create", "collection": "tables", "fqn": "a.b.c.d", "body": {"name": "d"}}
    letters.write_text(json.dumps(whole) + "\n" + json.dumps(whole)[:40])
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 2
    assert "line 2 of" in done.stderr
    assert "half of one" in done.stderr
    assert "remove that line alone" in done.stderr


def test_a_letter_behind_half_a_letter_is_whole(
    feeder: Feeder, lake: ReferenceServer, sink_environment: Path, tmp_path: Path
) -> None:
    """A disk was full, there is room again, and the next run appends to the same file."""
    letters = tmp_path / "lost.jsonl"
    half = '{"time":1700000000000,"kind":"create","collection":"tables","fqn":"a.b.c.d","body":{"na'
    letters.write_text(half)
    lake.set_faults([{"match": {"class": "bulk"}, "do": {"kind": "fail_rows", "message": "no"}}])
    feed(feeder, lake, letters, [["tables", 0, 5]])
    first, *others = letters.read_text().splitlines()
    assert first == half
    assert len([json.loads(line) for line in others]) == 5

    lake.set_faults([])
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 2
    assert "line 1 of" in done.stderr
    assert "half of one" in done.stderr
    assert lake.state().get("tables", {}) == {}
    letters.write_text("\n".join(others))
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lake.state()["tables"]) == 5


def test_a_letter_that_begins_in_the_middle_of_a_line_is_pointed_at(
    lake: ReferenceServer, sink_environment: Path, tmp_path: Path
) -> None:
    """As releases before this one wrote it behind half a letter."""
    letters = tmp_path / "lost.jsonl"
    whole = {"time": 1, "kind": "create", "collection": "tables", "fqn": "a.b.c.d", "body": {"name": "d"}}
    text = json.dumps(whole, separators=(",", ":"))
    letters.write_text(text[:40] + text)
    done = replay(sink_environment, lake, letters)
    assert done.returncode == 2
    assert "another from its column 41 on; remove what is before that" in done.stderr


@pytest.mark.parametrize("room", [0, 700])
def test_what_is_refused_again_is_where_replay_says(
    room: int, feeder: Feeder, lake: ReferenceServer, sink_environment: Path, tmp_path: Path
) -> None:
    letters = tmp_path / "lost.jsonl"
    lake.set_faults([{"match": {"class": "bulk"}, "do": {"kind": "fail_rows", "message": "no"}}])
    feed(feeder, lake, letters, [["tables", 0, 5]])
    left = tmp_path / "left.jsonl"
    done = replay(sink_environment, lake, letters, "-o", str(left), room=room)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "-o of replay" in done.stdout
    assert "They are in" not in done.stdout
    assert f"They could not be written to {left}" in done.stdout
    assert f"keep {letters}, and replay that again, as a whole." in done.stdout
    whole = [line for line in left.read_text().splitlines() if line.endswith("}")]
    assert (f"lacks {5 - len(whole)} of them" in done.stdout) == bool(whole)
    assert bool(whole) == bool(room)


def test_losses_before_the_deadline_ends_are_in_the_file_as_they_happen(
    feeder: Feeder, lake: ReferenceServer, tmp_path: Path
) -> None:
    letters = tmp_path / "lost.jsonl"
    lake.set_faults([{"match": {"class": "bulk"}, "do": {"kind": "status", "status": 503}}])
    fed = feed(feeder, lake, letters, [["tables", 0, 250]], deadline=3).require_accounted_for(250)
    assert len(fed.failures) == len(read(letters)) == 250
    assert all(letter["attempts"] >= 1 for letter in read(letters)[:100])


@pytest.mark.parametrize("problem", ["full disk", "no folder any more"])
def test_a_file_that_cannot_be_written_costs_one_warning(
    feeder: Feeder, lake: ReferenceServer, tmp_path: Path, problem: str
) -> None:
    path = Path("/dev/full")
    stream: list[list[Any]] = [["tables", 0, 250]]
    if problem != "full disk":
        folder = tmp_path / "folder"
        folder.mkdir()
        path = folder / "lost.jsonl"
        # The folder goes once the sink has been made.
        stream = [["tables", 0, 50], ["remove", str(folder)], ["tables", 50, 200]]
    poison = {"kind": "fail_rows", "message": "no", "count": 2}
    lake.set_faults([{"match": {"class": "bulk"}, "do": poison}])
    fed = feed(feeder, lake, path, stream).require_accounted_for(250)
    assert len(fed.failures) >= 4
    warnings = [line for line in fed.log if "dead letters cannot be written" in line]
    assert len(warnings) == 1, fed.log
    assert str(path) in warnings[0]
    assert "OM_BULKSINK_DEAD_LETTERS" in warnings[0]


def test_a_bad_path_is_refused_at_the_start(feeder: Feeder, lake: ReferenceServer) -> None:
    with pytest.raises(AssertionError, match=r"OM_BULKSINK_DEAD_LETTERS .* is not a directory; create it first"):
        feed(feeder, lake, "/nonexistent/folder/lost.jsonl", [["tables", 0, 5]])
