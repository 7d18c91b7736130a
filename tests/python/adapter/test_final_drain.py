"""Who waits for the last records: the workflow before it decides its state, on whatever thread, and `close()` (A6)."""

from __future__ import annotations

import copy
import importlib
import logging
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from openmetadata_bulksink import accelerate, final_drain
from tests.python.adapter.recording_server import RecordingServer
from tests.python.adapter.test_sink import engine, table

pytestmark = pytest.mark.upstream

Make = Callable[..., Any]


@pytest.fixture
def base() -> Any:
    from metadata.workflow.base import BaseWorkflow

    before = vars(BaseWorkflow)["calculate_success"]
    yield BaseWorkflow
    assert vars(BaseWorkflow)["calculate_success"] is before


def workflow(base: Any, *steps: Any, **members: Any) -> Any:
    """As much of a workflow as deciding its state needs."""
    cls = type(
        "Mine", (base,), {"workflow_steps": lambda _: list(steps), "__abstractmethods__": frozenset(), **members}
    )
    cls.__abstractmethods__ = frozenset()
    return object.__new__(cls)


def test_upstreams_function_is_known(base: Any) -> None:
    undo = final_drain.install()
    assert vars(base)["calculate_success"].__module__ == base.__module__
    undo()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_state_is_decided_with_every_loss_known(
    elsewhere: bool, base: Any, make_sink: Make, server: RecordingServer
) -> None:
    server.refuse = {"s.d.p.t0": "no such tag"}
    sink = make_sink()
    for number in range(4):
        sink.run(table(f"t{number}"))
    assert server.rows("tables") == []
    found: list[float] = []
    decide = workflow(base, sink).calculate_success
    if elsewhere:
        thread = threading.Thread(target=lambda: found.append(decide()))
        thread.start()
        thread.join()
    else:
        found.append(decide())
    assert found == [75.0]
    assert [failure.name for failure in sink.status.failures] == ["s.d.p.t0"]
    sink.close()


def test_only_a_workflows_own_sinks_are_drained(base: Any, make_sink: Make, server: RecordingServer) -> None:
    mine, other = make_sink(), make_sink()
    mine.run(table("mine"))
    other.run(table("other"))
    workflow(base, mine).calculate_success()
    assert [row["name"] for row in server.rows("tables")] == ["mine"]
    mine.close()
    other.close()


def test_a_sink_that_a_step_holds_is_drained_with_the_workflow_of_its_client(
    base: Any, make_sink: Make, server: RecordingServer, client: Any
) -> None:
    server.refuse = {"s.d.p.t0": "no such tag"}
    sink = make_sink()

    class Counts:
        """Around the sink; everything else is the sink's."""

        def __init__(self) -> None:
            self.count = 0

        def run(self, record: Any) -> Any:
            self.count += 1
            return sink.run(record)

        def __getattr__(self, name: str) -> Any:
            return getattr(sink, name)

    step = Counts()
    for number in range(4):
        step.run(table(f"t{number}"))
    mine = workflow(base, step)
    mine.metadata = client
    assert mine.calculate_success() == 75.0
    assert step.count == 4
    sink.close()


def test_a_module_that_was_loaded_anew_drains_the_sinks_of_before(
    base: Any, make_sink: Make, server: RecordingServer
) -> None:
    from openmetadata_bulksink import sink as module

    sink = make_sink()
    kept = dict(vars(module))
    try:
        importlib.reload(module)
        sink.run(table("t"))
        workflow(base, sink).calculate_success()
        assert len(server.rows("tables")) == 1
        sink.close()
    finally:
        vars(module).update(kept)


def test_the_last_sink_gives_the_workflow_back(base: Any, make_sink: Make) -> None:
    upstreams = vars(base)["calculate_success"]
    first, second = make_sink(), make_sink()
    first.run(table("t"))
    second.run(table("u"))
    first.close()
    assert vars(base)["calculate_success"] is not upstreams
    second.close()
    assert vars(base)["calculate_success"] is upstreams


def test_a_workflow_with_a_state_of_its_own_is_named(
    base: Any, make_sink: Make, server: RecordingServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "metadata")
    sink = make_sink()
    sink.run(table("t"))
    mine = workflow(base, sink, calculate_success=lambda _: 100.0)
    assert mine.calculate_success() == 100.0
    assert server.rows("tables") == []
    sink.close()
    assert len(server.rows("tables")) == 1
    said = [line for line in caplog.messages if "were written in close()" in line]
    assert len(said) == 1
    assert "Mine decides its state without them" in said[0]


def test_a_replaced_function_stays_and_is_named(
    base: Any, make_sink: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "metadata")

    def theirs(_: Any) -> float:
        return 100.0

    with monkeypatch.context() as patch:
        patch.setattr(base, "calculate_success", theirs)
        sink = make_sink()
        sink.run(table("t"))
        assert sink._writer is not None
        assert vars(base)["calculate_success"] is theirs
        sink.close()
    assert len([line for line in caplog.messages if "after the state of the run was decided" in line]) == 1


def test_without_accelerators_the_state_is_still_right(
    base: Any, make_sink: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OM_BULKSINK_ACCELERATE", "0")
    sink = make_sink()
    sink.run(table("t"))
    assert list(accelerate._installed) == ["final drain"]
    workflow(base, sink).calculate_success()
    assert len(sink.status.records) == 1
    sink.close()


def test_outcomes_are_taken_while_the_final_drain_waits(make_sink: Make, double: Any) -> None:
    """Whoever looks at the status, a progress line for one, sees them come."""
    sink = make_sink()
    for number in range(3):
        sink.run(table(f"t{number}"))
    slices: list[int] = []
    drain = engine(sink).drain

    def slow(timeout: float | None = None) -> float:
        slices.append(len(sink.status.records))
        assert timeout is not None
        waiting = engine(sink)._pending
        if len(waiting) > 1:
            engine(sink)._pending = waiting[:1]
            drain()
            engine(sink)._pending = waiting[1:]
            raise double.DrainTimeout
        return float(drain())

    engine(sink).drain = slow
    sink._drain()
    assert slices == [0, 1, 2]
    assert len(sink.status.records) == 3


@pytest.mark.parametrize("refused", [{}, {"s.d.p.t": "no such tag"}], ids=["all written", "refused"])
@pytest.mark.parametrize("closed_first", [False, True], ids=["up to 1.13", "since 2.0"])
def test_an_interrupted_final_drain_is_no_success_where_something_was_lost(
    refused: dict[str, str], closed_first: bool, base: Any, make_sink: Make, server: RecordingServer
) -> None:
    """Upstream then tells the state that it began with. Sources go on from the last success."""
    from metadata.generated.schema.entity.services.ingestionPipelines.ingestionPipeline import PipelineState

    server.refuse = refused
    sink = make_sink()
    sink.run(table("t"))
    drain = engine(sink).drain
    told: list[tuple[str, Any]] = []
    members = {
        "set_ingestion_pipeline_status": lambda _, state, status=None: told.append((state.value, status)),
        "terminal_progress_update_type": lambda _, state: told.append((state.value, "progress")),
    }
    mine = workflow(base, sink, **members)

    def interrupted(timeout: float | None = None) -> float:  # noqa: ARG001
        raise KeyboardInterrupt

    engine(sink).drain = interrupted
    with pytest.raises(KeyboardInterrupt):
        mine.calculate_success()
    engine(sink).drain = drain
    if closed_first:
        sink.close()
    for _ in range(2):  # only the state of the run that was interrupted is told otherwise
        mine.set_ingestion_pipeline_status(PipelineState.success, "the status")
        mine.terminal_progress_update_type(PipelineState.success)
    if not closed_first:
        sink.close()
    expected = "success" if closed_first and not refused else "failed"
    assert told[:2] == [(expected, "the status"), (expected, "progress")]
    assert told[2:] == [("success", "the status"), ("success", "progress")]


# --- the percentage ---


def test_a_sink_with_failures_is_never_whole(base: Any, make_sink: Make) -> None:
    from metadata.ingestion.api.status import Status

    sink = make_sink()
    sink.run(table("t"))
    status = sink.status
    status.records.extend(["Table written"] * 30_000)
    engine(sink).drain()
    assert sink.get_status().calculate_success() == 100.0
    status.failed(sink._upstream.StackTraceError(name="lost", error="refused", stackTrace=None))
    assert type(status) is Status
    assert sink.get_status() is sink.status is status
    assert isinstance(status, Status)
    assert type(status).__name__ == "Status"
    assert status.calculate_success() == 99.99
    assert Status.calculate_success(status) == 100.0
    assert workflow(base, sink).calculate_success() == 99.99
    status.failures.extend(status.failures * 10_000)
    assert status.calculate_success() == Status.calculate_success(status)


def test_a_status_that_counts_so_is_still_a_status(base: Any, make_sink: Make) -> None:  # noqa: ARG001
    """Programs hand it to other processes and compare it; there our class is not known."""
    from metadata.ingestion.api.status import Status

    sink = make_sink()
    sink.run(table("t"))
    sink.status.records.extend(["Table written"] * 30_000)
    sink.status.failed(sink_failure())
    status = sink.get_status()
    assert status.calculate_success() == 99.99
    other = pickle.loads(pickle.dumps(status))
    assert type(other) is Status
    assert other == status
    assert status == other
    assert status == copy.deepcopy(status)
    other.records.append("one more")
    assert other != status
    assert status != other
    assert status != "a status"


def test_a_new_status_gets_what_comes_from_then_on(make_sink: Make, server: RecordingServer) -> None:
    """A program that lives long may begin one for each part of its work."""
    from metadata.ingestion.api.status import Status

    server.refuse = {"s.d.p.t1": "no such tag"}
    sink = make_sink()
    sink.run(table("t0"))
    first, sink.status = sink.status, Status()
    sink.run(table("t1"))
    sink.run(table("t2"))
    sink.close()
    assert (first.records, first.failures) == ([], [])
    status = sink.get_status()
    assert [failure.name for failure in status.failures] == ["s.d.p.t1"]
    assert len(status.records) == 2
    status.records.extend(["Table written"] * 30_000)
    assert sink.get_status().calculate_success() == 99.99


def test_upstreams_sink_counts_as_ever(make_sink: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OM_BULKSINK", "0")
    sink = make_sink()
    sink.run(table("t"))
    sink.status.records.extend(["written"] * 30_000)
    sink.status.failed(sink_failure())
    assert sink.get_status().calculate_success() == 100.0


def sink_failure() -> Any:
    from metadata.ingestion.api.models import StackTraceError

    return StackTraceError(name="lost", error="refused", stackTrace=None)
