"""What a forked workflow says of an exception that it did not expect."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink.masking import Mask
from openmetadata_bulksink.shard import children, commands
from openmetadata_bulksink.shard.documents import BadDocument
from openmetadata_bulksink.shard.workflow import NotAWorkflow, Progress

SECRET = "pa55-w0rd/geheim"


def test_an_exceptions_text_is_masked_in_the_reason_and_in_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def work(_: Any) -> None:
        raise RuntimeError(f"cannot connect to postgresql://user:{SECRET}@db")

    with pytest.raises(children.ChildFailed, match="cannot connect to postgresql://user:") as failed:
        children.run("listing", work, Mask([SECRET]))
    printed = capfd.readouterr().err
    assert "Traceback" in printed
    assert "cannot connect" in printed
    assert SECRET not in printed + str(failed.value)


def test_what_upstream_refuses_is_a_reason_without_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def work(_: Any) -> None:
        raise NotAWorkflow("the source does not answer")

    with pytest.raises(children.ChildFailed, match=r"^the source does not answer$"):
        children.run("listing", work, Mask())
    assert "Traceback" not in capfd.readouterr().err


def test_a_log_whose_folder_is_gone_is_a_reason_without_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    family = children.Family()
    child = family.add(children.start("shard 0", lambda _: "done", Mask(), log=tmp_path / "gone" / "log"))
    children.wait_for_all(family)
    assert child.error == f"{tmp_path / 'gone' / 'log'} cannot be written: No such file or directory"
    assert capfd.readouterr().err == ""


def test_children_whose_parent_is_killed_end_by_themselves(tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def work(_: Any) -> None:
        try:
            os.write(writer, b"started\n")
            threading.Event().wait()
        except KeyboardInterrupt:
            os.write(writer, b"interrupted\n")
            raise

    parent = os.fork()
    if not parent:
        try:
            os.close(reader)
            for number in range(2):
                children.start(f"shard {number}", work, Mask(), log=tmp_path / "log")
            os.close(writer)
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as said:
        assert [said.readline() for _ in range(2)] == ["started\n"] * 2
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        # To the end: none of them holds the other end any more.
        assert said.read() == "interrupted\n" * 2


def test_a_child_that_hangs_before_it_begins_is_ended_soon() -> None:
    """It does not hear the interrupt, as one that waits in a driver for an answer does not."""
    reader, writer = os.pipe()

    def work(_: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(writer, b"deaf\n")
        threading.Event().wait()

    family = children.Family()
    child = family.add(children.start("listing", work, Mask()))
    assert os.read(reader, 5) == b"deaf\n"
    family.interrupt(KeyboardInterrupt())
    assert children.wait_for_all(family) is None
    assert child.error == "its process ended with signal 9"


def test_a_child_that_has_begun_is_waited_for_and_people_are_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children, "_PATIENCE", 0.0)
    waits, heard, go_on = os.pipe(), os.pipe(), os.pipe()

    def work(watch: children.Watch) -> str:
        watch(lambda: Progress(1, 0))
        try:
            os.write(waits[1], b"!")
            threading.Event().wait()
        except KeyboardInterrupt:
            os.write(heard[1], b"!")
            os.read(go_on[0], 1)
        return "delivered"

    family = children.Family()
    child = family.add(children.start("shard 0", work, Mask()))
    assert os.read(waits[0], 1) == b"!"
    while child.progress is None:
        list(family.look())
    family.interrupt(KeyboardInterrupt())
    assert os.read(heard[0], 1) == b"!"
    for _ in range(3):
        list(family.look())
    os.write(go_on[1], b"!")
    children.wait_for_all(family)
    assert child.answer == "delivered"
    assert capfd.readouterr().err.count("interrupted: what is pending is delivered, for 330 s at most") == 1


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadDocument, match=r"plan\.json is not a text"):
        commands.load_plan(file)
    with pytest.raises(BadDocument, match=r"plan\.json is not a text"):
        commands.read_results([file])
