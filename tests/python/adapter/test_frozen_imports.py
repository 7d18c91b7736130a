"""The objects of upstream's imports are out of the collector's sight for one run, where nobody else has a plan."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from openmetadata_bulksink import accelerate
from openmetadata_bulksink.accelerators import StepsAside, frozen_imports


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(frozen_imports._Process, "has_written", False)
    yield
    assert gc.isenabled()
    gc.unfreeze()


class Ring:
    """An object that only the collector can end."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_frozen_and_thawed_again() -> None:
    alive = len(gc.get_objects())
    undo = frozen_imports.install()
    assert gc.get_freeze_count() > alive / 2
    assert len(gc.get_objects()) < alive / 2
    undo()
    assert gc.get_freeze_count() == 0


def test_garbage_of_the_run_is_collected() -> None:
    undo = frozen_imports.install()
    ring = weakref.ref(Ring())
    gc.collect()
    assert ring() is None
    undo()


def test_garbage_from_before_is_collected_afterwards() -> None:
    ring = weakref.ref(Ring())
    undo = frozen_imports.install()
    gc.collect()
    assert ring() is not None
    undo()
    gc.collect()
    assert ring() is None


def test_once_in_a_process() -> None:
    frozen_imports.install()()
    with pytest.raises(StepsAside) as reason:
        frozen_imports.install()
    assert str(reason.value) == ""
    assert gc.get_freeze_count() == 0


def test_not_where_somebody_has_frozen() -> None:
    gc.freeze()
    with pytest.raises(StepsAside):
        frozen_imports.install()
    assert gc.get_freeze_count()


def test_not_where_the_collector_is_off() -> None:
    gc.disable()
    try:
        with pytest.raises(StepsAside):
            frozen_imports.install()
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()


def test_what_somebody_has_frozen_since_stays() -> None:
    undo = frozen_imports.install()
    theirs = [[number] for number in range(50_000)]
    gc.freeze()
    undo()
    assert gc.get_freeze_count() > len(theirs)


def test_the_last_of_several_sinks_thaws() -> None:
    first, active, _ = accelerate.install({"frozen_imports"})
    second, also, _ = accelerate.install({"frozen_imports"})
    assert active == also == ["frozen_imports"]
    for undo in first:
        undo()
    assert gc.get_freeze_count()
    for undo in second:
        undo()
    assert gc.get_freeze_count() == 0
