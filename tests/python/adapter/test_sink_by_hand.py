"""A sink that somebody's own code handles: used after its end, flushed, copied, its buffer filled by hand."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.python.adapter.recording_server import RecordingServer
from tests.python.adapter.test_sink import database, engine, table

pytestmark = pytest.mark.upstream

Make = Callable[..., Any]


def test_a_closed_sink_writes_what_comes_later(make_sink: Make, server: RecordingServer, double: Any) -> None:
    sink = make_sink()
    sink.run(table("t"))
    sink.close()
    sink.run(table("late"))
    sink.run(table("later"))
    sink.close()
    sink.close()
    assert [row["name"] for row in server.rows("tables")] == ["t", "late", "later"]
    assert (len(sink.status.records), sink.status.failures) == (3, [])
    assert [one.closed for one in double.made] == [True, True]


def test_a_sink_that_was_closed_unused_can_be_used(make_sink: Make, server: RecordingServer, client: Any) -> None:
    sink = make_sink()
    sink.close()
    sink.run(table("t"))
    sink.close()
    assert len(server.rows("tables")) == 1
    assert len(sink.status.records) == 1
    assert "_request" not in vars(client.client)


@pytest.mark.parametrize("end", ["_drain", "close"])
def test_what_somebody_has_put_into_the_buffer_is_written(
    end: str, make_sink: Make, server: RecordingServer, double: Any
) -> None:
    sink = make_sink()
    sink.run(database())
    sink.buffer.append(table("by_hand"))
    getattr(sink, end)()
    assert [row["name"] for row in server.rows("tables")] == ["by_hand"]
    assert (len(sink.status.records), sink.status.failures) == (2, [])
    sink.close()
    assert len(server.rows("tables")) == 1
    assert len(double.made) == 1


def test_a_sink_whose_buffer_alone_was_filled_leaves_it_to_upstream(
    make_sink: Make, server: RecordingServer, double: Any
) -> None:
    sink = make_sink()
    sink.buffer.append(table("by_hand"))
    sink.close()
    assert len(server.rows("tables")) == 1
    assert double.made == []


def test_a_sink_that_was_closed_unused_says_that_it_leaves_no_report(
    make_sink: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One of the run before would pass for this one's."""
    caplog.set_level(logging.WARNING, "metadata")
    path = tmp_path / "run.html"
    monkeypatch.setenv("OM_BULKSINK_REPORT", str(path))
    sink = make_sink()
    sink.close()
    sink.close()
    assert caplog.text.count(f"The report {path} was not written: no record came to the sink") == 1


def test_after_a_flush_all_is_on_the_server_or_reported(make_sink: Make, server: RecordingServer) -> None:
    server.refuse = {"s.d.p.t1": "no such tag"}
    sink = make_sink()
    for number in range(3):
        sink.run(table(f"t{number}"))
    sink.buffer.append(table("by_hand"))
    sink._flush_buffer()
    assert [row["name"] for row in server.rows("tables")] == ["t0", "t1", "t2", "by_hand"]
    assert [failure.name for failure in sink.status.failures] == ["s.d.p.t1"]
    assert len(sink.status.records) == 3


def test_upstreams_own_flush_of_a_full_buffer_waits_for_nothing(make_sink: Make) -> None:
    """The first record of a class fills a buffer of one; were it a flush of a user's, each class would cost a wait."""
    sink = make_sink({"bulk_sink_batch_size": 1})
    sink.run(table("t"))
    assert sink.buffer == []
    assert engine(sink).waits == []


def test_a_copy_of_a_native_sink_ends_without_it(
    make_sink: Make, server: RecordingServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "metadata")
    sink = make_sink()
    sink.run(table("t"))
    copied = copy.copy(sink)
    copied.run(table("of_the_copy"))
    copied.close()
    assert not engine(sink).closed
    sink.run(table("u"))
    sink.close()
    assert sorted(row["name"] for row in server.rows("tables")) == ["of_the_copy", "t", "u"]
    assert sink.status.failures == []
    assert caplog.text.count("is not active: the sink is a copy") == 1


def test_a_copy_of_an_unused_sink_decides_by_itself(make_sink: Make, server: RecordingServer, double: Any) -> None:
    sink = make_sink()
    copied = copy.copy(sink)
    copied.run(table("t"))
    copied.close()
    sink.run(table("u"))
    sink.close()
    assert [row["name"] for row in server.rows("tables")] == ["t", "u"]
    assert len(double.made) == 2


@pytest.mark.parametrize("shared", [False, True], ids=["a status of its own", "the sink's status"])
def test_a_step_that_hands_records_on_hears_of_each_failure(
    shared: bool, make_sink: Make, server: RecordingServer, double: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What the sink's `_run` returns is the entry of the step around it, as a tee's or an audit's."""
    from metadata.ingestion.api.steps import Sink

    caplog.set_level(logging.INFO, "metadata")
    sink = make_sink({"bulk_sink_batch_size": 2})

    class Tee(Sink):
        create: Any = None
        name = "Tee"

        def _run(self, record: Any, *_: Any, **__: Any) -> Any:
            return sink._run(record)

        def close(self) -> None:
            sink.close()

    Tee.__abstractmethods__ = frozenset()
    tee: Any = Tee()
    if shared:
        tee.status = sink.status
    server.refuse = {f"s.d.p.t{number}": "no" for number in range(4)}
    for number in range(4):
        tee.run(table(f"t{number}"))
    assert len(tee.status.failures) == (6 if shared else 2)  # two full buffers, and their rows
    tee.close()
    assert double.made == []
    assert caplog.text.count("is not active: a step that holds the sink calls its _run") == 1
