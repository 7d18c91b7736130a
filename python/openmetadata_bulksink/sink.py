"""Upstream's `MetadataRestSink`, with its hot path going through the native engine (rules A1, A5, A6).

Upstream's own methods stay in charge of what a record is and how it is routed: a class of records goes native only
after upstream's `write_create_request` has put one into its buffer. This file decides no request, no retry and no
setting; whether it is native at all is `decision.py`'s matter.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from openmetadata_bulksink import (
    accelerate,
    decision,
    eligibility,
    fence,
    final_drain,
    records,
    settings,
    success,
    tags,
)
from openmetadata_bulksink.log import log
from openmetadata_bulksink.state import UNDECIDED, UPSTREAMS, Native, Undecided, Upstreams

if TYPE_CHECKING:
    from collections.abc import Callable

    from openmetadata_bulksink.upstream import Status, UpstreamSink
    from openmetadata_bulksink.writer import Writer
else:
    UpstreamSink = object

#: Where upstream's sink keeps what it has not sent yet.
_BUFFERS = ("buffer", "buffered_entity_names", "query_buffer", "buffered_query_checksums", "deferred_lifecycle_records")

#: Records other than create requests that the native side takes itself.
_OURS = frozenset({"Barrier", "OMetaLifeCycleData", tags.RECORD})


class NativeSink(UpstreamSink):
    """What is mixed in before upstream's class (`sink_class`)."""

    _exactly: type | None = None
    _parent: Any = object

    #: A subclass may have an `__init__` that does not call ours: everything goes upstream's way then.
    _state: Undecided | Native | Upstreams = UPSTREAMS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        if type(self) is not self._exactly and not arguments and not named:
            # `super(MetadataRestSink, self).__init__()` in a subclass: past upstream's class, to the one above it.
            above: Any = super(self._parent, self)
            above.__init__()
            return
        super().__init__(*arguments, **named)
        if type(self) is not self._exactly or settings.switched_off():
            return
        self._routing = threading.RLock()
        self._learning = False
        self._entered = threading.local()
        self._upstream: Any = sys.modules[type(self).__module__]
        self._nothing = self._upstream.Either(right=None)
        self._tuning = _tuning()
        reason = eligibility.why_not_native(self.metadata, self)
        if reason is not None:
            decision.say_why_not(reason)
            return
        settings.writing(self.config, self._tuning)
        self._state = UNDECIDED
        self._let_tables_pass = accelerate.before_tables(self._tuning.accelerators, self, self._decided)

    def __copy__(self) -> Any:
        """A sink of its own, which closes nothing of this one's. Its requests go through the same client, so they wait
        for what this one has under way.
        """
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        if isinstance(self._state, Upstreams):
            return made
        for name in _BUFFERS:
            if hasattr(self, name):
                setattr(made, name, copy.copy(getattr(self, name)))
        if isinstance(self._state, Native):
            made._state = UPSTREAMS
            decision.say_why_not("the sink is a copy of one that writes natively")
        return made

    @property
    def _writer(self) -> Writer | None:
        """The native side, once there is one; also after `close()`."""
        state = self._state
        if isinstance(state, Undecided):
            return state.before
        return state.writer if isinstance(state, Native) else None

    # --- records ---

    def run(self, record: Any) -> Any:
        """What upstream's loop calls. Waits stand outside of upstream's `except Exception` here: an exception that a
        signal handler raises (schedulers end tasks that way) must end the run, not become the failure of a record.
        """
        native = self._state
        if isinstance(native, Upstreams):
            return super().run(record)
        if isinstance(native, Undecided):
            self._entered.by_run = True
            try:
                return super().run(record)
            finally:
                self._entered.by_run = False
        form = native.forms.get(type(record))
        if form is not None:
            left = self._write(native, form, record).left
        elif type(record) is native.tag_class and not tags.is_nameless(record):
            left = self._write_tag(native, record).left
        else:
            self._wait_before(native, record)
            return super().run(record)
        if left is not None:
            self.status.failed(left)
        return None

    def _run(self, record: Any, *args: Any, **kwargs: Any) -> Any:
        state = self._state
        if isinstance(state, Undecided) and not getattr(self._entered, "by_run", False):
            # Who calls this makes entries of what it returns, maybe in a status of their own. Ours returns nothing.
            state = self._stay_upstreams("a step that holds the sink calls its _run, which is to return each failure")
        if isinstance(state, Upstreams):
            return super()._run(record, *args, **kwargs)
        if isinstance(state, Native):
            form = state.forms.get(type(record))
            if form is not None:
                return self._write(state, form, record)
        name = type(record).__name__
        if name.startswith("Create"):
            return self._learn(record, *args, **kwargs)
        if name == "OMetaLifeCycleData" or (name == tags.RECORD and not tags.is_nameless(record)):
            native = self._decided()
            if native is not None:
                return (self._write_tag if name == tags.RECORD else self._write_life_cycle)(native, record)
        elif isinstance(state, Native):
            if name == "Barrier":
                self._take(state)
                state.writer.barrier(state.tuning.strict_barrier)
                return self._nothing
            self._wait_before(state, record)  # for callers of `_run`; behind `run` there is nothing left to wait for
        return super()._run(record, *args, **kwargs)

    def _learn(self, record: Any, *args: Any, **kwargs: Any) -> Any:
        """Let upstream route a create request, and take from its buffers what it has put there. One at a time while it
        is open whether the class ends up in one.
        """
        state = self._state
        if isinstance(state, Native) and type(record) in state.singles:
            return super()._run(record, *args, **kwargs)
        with self._routing:
            self._learning = True
            try:
                result = super()._run(record, *args, **kwargs)
            finally:
                self._learning = False
            if self.buffer or getattr(self, "query_buffer", None):
                native = self._decided()
                return result if native is None else self._take(native)
            state = self._state
            if isinstance(state, Native) and type(record) not in state.forms:
                state.singles.add(type(record))
            return result

    def _write(self, native: Native, form: records.Form, record: Any) -> Any:
        """One create request into the engine. What cannot even be submitted fails here, alone and by name."""
        if self.limit_reached and form.name in self.limit_reached:
            return self._nothing
        writer = native.writer
        mark = writer.engine.mark()
        made: records.Record | None = None
        try:
            body = records.body_of(form, record)
            made = form.record(record, body)
            if native.labels_pending:
                made = made._replace(needs=_with_mentions(made))
            elif writer.waits_for_tags():
                made = made._replace(needs=(*made.needs, *tags.labels_in(body)))
            writer.submit(made)
        except BaseException as error:  # noqa: BLE001 - signals are raised here, too
            return self._not_submitted(native, mark, error, _full_name(form, record), "", sent=made is not None)
        return self._nothing

    def _write_life_cycle(self, native: Native, record: Any) -> Any:
        writer = native.writer
        mark = writer.engine.mark()
        body: bytes | None = None
        try:
            collection = self.metadata.get_suffix(record.entity).strip("/")
            body = records.life_cycle_body(record.life_cycle)
            writer.submit_life_cycle(collection, record.entity_fqn, body)
        except BaseException as error:  # noqa: BLE001 - signals are raised here, too
            name = str(record.entity_fqn)
            return self._not_submitted(native, mark, error, name, "The life cycle of ", sent=body is not None)
        return self._nothing

    def _write_tag(self, native: Native, record: Any) -> Any:
        writer = native.writer
        mark = writer.engine.mark()
        tagging: tags.Tagging | None = None
        try:
            native.tag_class = type(record)
            if native.tag_forms is None:
                native.tag_forms = tags.Forms(record)
            tagging = native.tag_forms.tagging(record)
            if native.labels_pending:
                tagging = tagging._replace(tag=tagging.tag._replace(needs=_with_mentions(tagging.tag)))
            writer.submit_tag(tagging, mark)
        except BaseException as error:  # noqa: BLE001 - signals are raised here, too
            return self._not_submitted(native, mark, error, tags.label_of(record), "", sent=tagging is not None)
        return self._nothing

    def _not_submitted(
        self, native: Native, mark: int, error: BaseException, name: str, what: str, *, sent: bool
    ) -> Any:
        """What stopped a record on its way into the engine; sent: it was on its way. Where the record is the cause, it
        is lost alone, by name. Whatever else was raised there, by a signal handler (Ctrl-C, the SIGTERM of a runner),
        ends the run; a record that the engine has by then is not lost.
        """
        its_own = isinstance(error, native.refusals if sent else Exception)
        if not its_own and native.writer.engine.mark() > mark:
            raise error
        reason = str(error) or f"it was interrupted by {type(error).__name__}"
        lost = self._left(name, f"{what}{name} cannot be sent: {reason}")
        if its_own:
            return lost
        self.status.failed(lost.left)
        raise error

    def _wait_before(self, native: Native, record: Any) -> None:
        """Rule A3. Create requests wait by their own request, and ours not at all."""
        scopes_of = native.scopes.get(type(record))
        if scopes_of is None:
            name = type(record).__name__
            scopes_of = fence.nothing if name in _OURS else fence.record_scopes(name)
            native.scopes[type(record)] = scopes_of
        native.writer.wait_for(scopes_of(record), type(record).__name__)

    # --- upstream's buffers ---

    def _flush_buffer(self) -> Any:
        native = self._decided()
        return super()._flush_buffer() if native is None else self._flush(native)

    def _flush_query_buffer(self) -> Any:
        native = self._decided()
        return super()._flush_query_buffer() if native is None else self._flush(native)

    def _flush(self, native: Native) -> Any:
        """Who flushes expects nothing to be under way afterwards; but for upstream itself, when its buffer is full."""
        with self._routing:
            result = self._take(native)
            if self._learning:
                return result
        native.writer.wait_for((fence.Scope(),), "flush")
        return result

    def _take(self, native: Native) -> Any:
        """Write what lies in upstream's buffers, and learn its class, so that its next record needs no detour."""
        waiting, self.buffer = self.buffer, []
        getattr(self, "buffered_entity_names", {}).clear()
        if getattr(self, "query_buffer", None):
            waiting = [*waiting, *self.query_buffer]
            self.query_buffer = []
            self.buffered_query_checksums.clear()
        result = self._nothing
        for record in waiting:
            cls = type(record)
            try:
                form = records.form_of(cls, self.metadata.get_suffix(cls))
            except Exception as error:  # noqa: BLE001
                result = self._left(cls.__name__, f"{cls.__name__} cannot be written: {error}")
                continue
            if form.collection in records.NAMED_BY_LABELS:
                native.labels_pending = True
            written = self._write(native, form, record)
            native.forms = {**native.forms, cls: form}
            if written.left is not None:
                result = written
        return result

    # --- the decision ---

    def _decided(self) -> Native | None:
        """The native side, or None where upstream's is to go on; the first call decides. Raises SettingError."""
        if isinstance(self._state, Undecided):
            with self._routing:
                if isinstance(self._state, Undecided):
                    self._decide()
        state = self._state
        return state if isinstance(state, Native) else None

    def _decide(self) -> None:
        try:
            native = decision.go_native(self, self._tuning, self._upstream.StackTraceError)
            native.undo.insert(0, self._let_tables_pass)
            self._state = native
        except decision.NotNative as reason:
            self._stay_upstreams(str(reason))

    def _stay_upstreams(self, reason: str) -> Upstreams:
        self._state = UPSTREAMS
        self._let_tables_pass()
        decision.say_why_not(reason)
        return UPSTREAMS

    # --- the end ---

    def get_status(self) -> Status:
        """What is known so far, at once."""
        state = self._state
        if isinstance(state, Native):
            state.writer.glance()
        status = super().get_status()
        if self._writer is not None:
            success.never_whole_with_failures(status)
        return status

    def _take_the_rest(self, native: Native) -> None:
        """What somebody has put into upstream's buffers by hand since the last record."""
        left = self._take(native).left
        if left is not None:
            self.status.failed(left)

    def _drain(self, steps: Sequence[Any] = ()) -> None:
        """The final drain of a workflow of these steps that is about to decide its state, on whatever thread."""
        state = self._state
        if not isinstance(state, Native) or state.writer.closed:
            return
        state.asked = True
        if state.writer.report is not None:
            state.writer.report.meet(step for step in steps if step is not self)
        self._take_the_rest(state)
        known: tuple[type[Exception], ...] = (*state.refusals, RuntimeError)
        try:
            _wait_to_the_end(state.writer, state.writer.finish)
        except known as error:
            log.warning("The final drain ended early: %s", error)

    def is_pending(self) -> bool:
        """Whether any record may be without an outcome."""
        writer = self._writer
        return writer is not None and not writer.closed and writer.pending()

    def close(self) -> None:
        """Everything is written afterwards, or reported. The next record, if any comes, decides anew."""
        state = self._state
        if isinstance(state, Upstreams):
            super().close()
            return
        if isinstance(state, Native):
            self._close_native(state)
        if state is UNDECIDED and self._tuning.report is not None:
            log.warning("The report %s was not written: no record came to the sink", self._tuning.report)
        before = self._writer
        self._let_tables_pass()
        self._state = UPSTREAMS  # what upstream's own `close` flushes is not to open an engine again
        try:
            super().close()
        finally:
            self._state = Undecided(before)

    def _close_native(self, native: Native) -> None:
        writer = native.writer
        if not writer.closed:
            self._take_the_rest(native)
        late = final_drain.replaced_by() if not native.asked and writer.pending() else None
        _wait_to_the_end(writer, writer.close)
        connections = accelerate.granted(self.metadata)
        while native.undo:
            native.undo.pop()()
        if late is not None:
            log.info("The last records were written in close(): %s decides its state without them", late)
        log.info("openmetadata-bulksink: %s", writer.summary(connections))

    # --- failures ---

    def _left(self, name: str, error: str) -> Any:
        upstream = self._upstream
        return upstream.Either(left=upstream.StackTraceError(name=name, error=error, stackTrace=None))


def _wait_to_the_end(writer: Writer, wait: Callable[[], None]) -> None:
    """Wait for what is pending, unless this is the second Ctrl-C: then what is left is lost by name. The first one is
    on its way out of the workflow, which must still stop its threads; up to 1.13 it does not where this raises.
    """
    try:
        wait()
    except BaseException as again:
        if not _is_leaving(again):
            raise
        writer.give_up()


def _full_name(form: records.Form, record: Any) -> str:
    try:
        return form.fqn(record, form.parent(record))
    except Exception:  # noqa: BLE001
        return form.name


def _is_leaving(error: BaseException) -> bool:
    """Whether an interruption came while another one was being handled."""
    return not isinstance(error, Exception) and _interrupts(error.__context__)


def _interrupts(error: BaseException | None) -> bool:
    while error is not None:
        if not isinstance(error, (Exception, GeneratorExit)):
            return True
        error = error.__context__
    return False


def _tuning() -> settings.Tuning:
    """The settings of the environment; says which of its variables are none."""
    for line in settings.unknown():
        log.warning("%s", line)
    return settings.tuning()


def _with_mentions(made: records.Record) -> tuple[str, ...]:
    found = dict.fromkeys((*made.needs, *records.mentions(made.body)))
    found.pop(made.fqn, None)
    return tuple(found)


def sink_class(parent: type) -> type:
    """The class that takes upstream's place: its name, its module, its dispatcher; `NativeSink` in front."""
    made = type(
        parent.__name__,
        (NativeSink, parent),
        {"__module__": parent.__module__, "__qualname__": parent.__qualname__, "__doc__": parent.__doc__},
    )
    made._exactly, made._parent = made, parent  # type: ignore[attr-defined]
    return made


def inert_class(parent: type, reason: str) -> type:
    """Upstream's class as it is, in a version that we do not know; it says so when a sink is made."""
    theirs: Any = parent

    def create(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if not settings.switched_off():
            _tuning()
            decision.say_why_not(reason)
        return theirs.create.__func__(cls, *args, **kwargs)

    return type(
        parent.__name__,
        (parent,),
        {
            "__module__": parent.__module__,
            "__qualname__": parent.__qualname__,
            "__doc__": parent.__doc__,
            "create": classmethod(create),
        },
    )
