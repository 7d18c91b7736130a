"""What is said to people whose command line or workflow cannot be used, before the source is asked."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink import cli
from openmetadata_bulksink.shard import arguments, commands, listing
from openmetadata_bulksink.shard.commands import Given
from openmetadata_bulksink.shard.packing import Unit
from openmetadata_bulksink.shard.plan import Plan

PLAN = ["shard", "plan", "-c", "x.yaml", "-n"]
ALL = ["shard", "all", "-c", "x.yaml"]
RUN = ["shard", "run", "-c", "x.yaml", "--plan", "plan.json", "--shard"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*PLAN, "abc"], "-n/--shards: must be a whole number from 1 to 10000, not 'abc'"),
        ([*PLAN, "0"], "-n/--shards: must be a whole number from 1 to 10000, not '0'"),
        ([*PLAN, "1e3"], "must be a whole number from 1 to 10000, not '1e3'"),
        ([*ALL, "--processes", "two"], "--processes: must be a whole number from 1 to 10000, not 'two'"),
        ([*ALL, "--max-deleted", "many"], "--max-deleted: must be a number from 0 to 100, not 'many'"),
        ([*ALL, "--max-deleted", "nan"], "--max-deleted: must be a number from 0 to 100, not 'nan'"),
        ([*RUN, "first"], "--shard: must be a whole number from 0 to 10000, not 'first'"),
        ([*RUN, "-1"], "--shard: must be a whole number from 0 to 10000, not '-1'"),
    ],
)
def test_a_number_that_is_none_is_named_with_what_it_must_be(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli._parser().parse_args(words)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "_value" not in printed
    assert "invalid" not in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "-n", "2", "-o", "missing/plan.json"], "missing/plan.json cannot be written: No such file"),
        (["plan", "-n", "2", "-o", "."], ". cannot be written: Is a directory"),
        (["run", "--plan", "p", "--shard", "0", "--result", "missing/r.json"], "missing/r.json cannot be written"),
        (["all", "-o", "missing/plan.json"], "missing/plan.json cannot be written: No such file"),
        (["all", "--logs", "file"], "no files can be made in file: File exists"),
        (["all", "--logs", "file/logs"], "no files can be made in file/logs: Not a directory"),
        (["all", "--results", "file"], "no files can be made in file: File exists"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert cli.main(["shard", *words, "-c", "x.yaml"]) == 2
    assert capsys.readouterr().err.startswith(f"openmetadata-bulksink: {said}")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


#: A program that closes a standard stream, as `>&-` does, before it becomes the command.
CLOSED = "import os, sys; os.close(int(sys.argv[1])); os.execv(sys.executable, [sys.executable, '-c', *sys.argv[2:]])"
COMMAND = "import sys; from openmetadata_bulksink import cli; sys.exit(cli.main(sys.argv[1:]))"
CHILD = """
import sys, threading
from openmetadata_bulksink import standard_streams
standard_streams.complete()
from openmetadata_bulksink.interrupts import Terminated
from openmetadata_bulksink.masking import Mask
from openmetadata_bulksink.shard import arguments, children
from argparse import Namespace
def work(watch):
    print("what the child prints", flush=True)
    if len(sys.argv) > 1:
        threading.Event().wait()
    return "an answer"
lifeline = arguments._lifeline(Namespace(end_with_stdin=len(sys.argv) > 1))
try:
    print(children.run("x", work, Mask(), lifeline=lifeline), file=sys.stderr)
except Terminated:
    print("ended with standard input", file=sys.stderr)
"""


def without(stream: int, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CLOSED, str(stream), program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_document_for_a_standard_output_that_is_closed_is_refused() -> None:
    ended = without(1, COMMAND, *PLAN, "2")
    assert ended.returncode == 2
    assert ended.stderr == "openmetadata-bulksink: standard output is closed, and a document would go there\n"


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_what_a_child_says_arrives_whichever_standard_stream_is_closed(stream: int) -> None:
    ended = without(stream, CHILD)
    assert ended.returncode == 0
    assert ended.stderr == ("" if stream == 2 else "what the child prints\nan answer\n")
    assert ended.stdout == ""


def test_a_standard_input_that_is_closed_has_ended() -> None:
    ended = without(0, CHILD, "--end-with-stdin")
    assert ended.returncode == 0
    assert ended.stderr.endswith("ended with standard input\n")
    assert "Error" not in ended.stderr


def workflow(options: Any) -> dict[str, Any]:
    source = {"type": "mysql", "serviceName": "svc", "sourceConfig": options}
    return {"source": source, "sink": {"type": "metadata-rest", "config": {}}}


@pytest.mark.parametrize("output", [None, Path("/dev/null")])
def test_nothing_is_kept_beside_a_device(output: Path | None, tmp_path: Path) -> None:
    chosen = argparse.Namespace(
        config=tmp_path / "x.yaml", results=None, logs=None, keep=None, shards=None, processes=2
    )
    assert arguments._folder(chosen, output) is None
    kept = arguments._new_folder(chosen)
    assert kept.results.is_dir()
    assert kept.results.parent == Path(tempfile.gettempdir())
    assert kept.plan == kept.results / "plan.json"
    kept.results.rmdir()
    beside = arguments._folder(chosen, tmp_path / "a plan")
    assert beside is not None
    assert (beside.plan, beside.results, beside.logs) == (tmp_path / "a plan", tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "-n", "2", "-o", "x.yaml"], "x.yaml is the workflow file"),
        (["plan", "-n", "2", "-o", "link"], "link is the workflow file"),
        (["plan", "-n", "2", "-o", "./p.json", "--keep", "p.json"], "p.json is the plan of --keep"),
        (["run", "--plan", "p.json", "--shard", "0", "--result", "x.yaml"], "x.yaml is the workflow file"),
        (["run", "--plan", "p.json", "--shard", "0", "--result", "p.json"], "p.json is the plan"),
        (["all", "-o", "x.yaml"], "x.yaml is the workflow file"),
        (["all", "--results", ".", "--keep", "plan.json"], "plan.json is the plan of --keep"),
        (["all", "-n", "2", "--results", "r", "--keep", "r/shard-1.json"], "r/shard-1.json is the plan of --keep"),
        (["all", "-n", "2", "-o", "shard-0.json"], "shard-0.json is the plan"),
    ],
)
def test_what_is_read_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r").mkdir()
    for name in ("x.yaml", "p.json", "plan.json", "r/shard-1.json"):
        Path(name).write_text("as it was")
    Path("link").symlink_to("x.yaml")
    assert cli.main(["shard", *words, "-c", "x.yaml"]) == 2
    refused = capsys.readouterr().err
    assert refused == f"openmetadata-bulksink: {said}, and would be overwritten; name another file\n"
    assert all(Path(name).read_text() == "as it was" for name in ("x.yaml", "p.json", "plan.json", "r/shard-1.json"))


@pytest.mark.parametrize("options", [None, [1], "x", {}, {"config": [{"type": "DatabaseMetadata"}]}])
def test_options_that_are_no_mapping_are_refused(options: Any) -> None:
    with pytest.raises(listing.Refused, match=r"sourceConfig\.config must be a mapping"):
        listing.require_shardable(workflow(options))


@pytest.mark.parametrize("sink", [None, {}, "metadata-rest", {"config": {}}])
def test_a_workflow_without_a_sink_is_refused(sink: Any) -> None:
    with pytest.raises(listing.Refused, match="no sink with a type"):
        listing.require_sink({**workflow({}), "sink": sink})
    listing.require_sink(workflow({}))


@pytest.mark.parametrize("field", ["databaseFilterPattern", "schemaFilterPattern", "storedProcedureFilterPattern"])
@pytest.mark.parametrize("kind", ["includes", "excludes"])
def test_a_filter_that_is_no_expression_is_named_with_its_place(field: str, kind: str) -> None:
    options = {"type": "DatabaseMetadata", field: {kind: ["^good$", "*x("]}}
    with pytest.raises(listing.Refused, match=rf"{field}\.{kind}\[1\], \*x\(, is no regular expression: "):
        listing.require_shardable(workflow({"config": options}))


def test_an_earlier_plan_of_another_service_is_refused() -> None:
    other = Plan("run", 0.0, "print", "other", ("sales",), ((Unit("sales", "a", 1),),))
    with pytest.raises(listing.Refused, match="one of the service other, and this file is of svc"):
        commands.make_plan(Given(workflow({}), "print"), 2, other, 0.0)
