"""A function in a forked process: its progress while it runs, its answer at its end, and how it ended.

Forked, not started: upstream's imports take half a minute, and are there already. So the parent imports upstream and
nothing else: no engine, no connection, no thread exists in it before a fork.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from openmetadata_bulksink import grace, settings, silence
from openmetadata_bulksink.interrupts import Terminated, signals_as_interrupts, signals_end_again
from openmetadata_bulksink.masking import Mask
from openmetadata_bulksink.shard.workflow import NotAWorkflow, Progress

#: Seconds between two reports of a child, and between two looks at children.
_TICK = 0.5

#: A child that was asked to end gets this long before it is killed, in seconds; it delivers what is pending.
_GRACE = 330.0

#: With `OM_BULKSINK_TERM_GRACE` it gets that, and these seconds for the end itself.
_MARGIN = 10.0

#: As long as that one that has not begun: nothing is pending, and it may hang in a connection that nobody answers.
_PATIENCE = 2.0

#: As long as that one whose parent is gone, where it has not begun.
_PATIENCE_ALONE = 30.0

Watch = Callable[[Callable[[], Progress]], None]

#: Our ends of the pipes of children that run.
_readers: set[int] = set()


@dataclass
class Child:
    """One forked process. progress: None until it begins to write. answer: what its function returned. error: why there
    is no answer. undelivered: records that were pending when its grace period was over.
    """

    name: str
    pid: int
    reader: int
    progress: Progress | None = None
    answer: Any = None
    error: str = ""
    undelivered: int = 0
    ended: bool = False
    status: int | None = None
    _bytes: bytearray = field(default_factory=bytearray)

    def read(self) -> None:
        """Takes what has come; sets `ended` at the end of it."""
        part = os.read(self.reader, 1 << 20)
        if part:
            self._bytes += part
            self._take_messages()
            return
        os.close(self.reader)
        _readers.discard(self.reader)
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        self.ended = True
        if self.answer is None and not self.error:
            how = f"signal {-self.status}" if self.status < 0 else f"exit status {self.status}"
            self.error = f"its process ended with {how}"

    def _take_messages(self) -> None:
        while len(self._bytes) >= 8:
            size = int.from_bytes(self._bytes[:8], "big")
            if len(self._bytes) < 8 + size:
                return
            # Written by our own child, over a pipe that nobody else has.
            kind, value = pickle.loads(bytes(self._bytes[8 : 8 + size]))
            del self._bytes[: 8 + size]
            if kind == "progress":
                self.progress = value
            elif kind == "answer":
                self.answer = value
            elif kind == "undelivered":
                self.undelivered = value
            else:
                self.error = value


def start(name: str, work: Callable[[Watch], Any], mask: Mask, *, log: Path | None = None) -> Child:
    """Fork and do the work there; its output goes to `log`, or to standard error. mask: hides the workflow's secrets in
    what is said of an exception.

    The child leads a process group of its own: Ctrl-C reaches the parent alone, which passes it on once. A child whose
    parent is gone ends as if it had been interrupted.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    _readers.add(reader)
    pid = os.fork()
    if pid:
        os.close(writer)
        return Child(name, pid, reader)
    status = 1
    try:
        # Those of its siblings, too: each must notice when the parent is gone.
        for other in _readers:
            os.close(other)
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signals_end_again()
        try:
            _output_to(log)
        except OSError as error:
            work = partial(_refuse, f"{log} cannot be written: {error.strerror}")
        status = _work(work, mask, writer)
    except BaseException:  # noqa: BLE001 - a forked process never returns into its parent's code
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _refuse(text: str, _: Watch) -> None:
    raise NotAWorkflow(text)


def _output_to(log: Path | None) -> None:
    if log is None:
        os.dup2(2, 1)
        return
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _work(work: Callable[[Watch], Any], mask: Mask, writer: int) -> int:
    silence.broken()
    lock = threading.Lock()
    done = threading.Event()

    def send(kind: str, value: Any) -> None:
        content = pickle.dumps((kind, value))
        with lock, os.fdopen(os.dup(writer), "wb") as file:
            file.write(len(content).to_bytes(8, "big") + content)

    def undelivered(left: int) -> None:
        # In a signal's handler: the thread that it interrupts may hold the lock, and never let it go.
        if lock.acquire(timeout=_TICK):
            lock.release()
            with contextlib.suppress(BrokenPipeError):
                send("undelivered", left)

    grace.listeners.append(undelivered)

    def report(progress: Callable[[], Progress]) -> None:
        while not done.wait(_TICK):
            try:
                send("progress", progress())
            except BrokenPipeError:
                return

    reporter: list[threading.Thread] = []

    begun = threading.Event()

    def watch(progress: Callable[[], Progress]) -> None:
        begun.set()
        with contextlib.suppress(BrokenPipeError):
            send("progress", progress())
        thread = threading.Thread(target=report, args=(progress,), name="bulksink-progress", daemon=True)
        reporter.append(thread)
        thread.start()

    threading.Thread(target=_end_when_alone, args=(writer, begun, done), name="bulksink-parent", daemon=True).start()
    try:
        answer = work(watch)
    except KeyboardInterrupt:
        return _end(send, "error", "interrupted")
    except SystemExit as end:
        return _end(send, "error", f"upstream ended the process with status {end.code}")
    except NotAWorkflow as error:
        return _end(send, "error", mask(str(error)))
    except Exception as error:  # noqa: BLE001 - the parent says it
        print(mask(traceback.format_exc()), file=sys.stderr)
        return _end(send, "error", mask(f"{type(error).__name__}: {error}"))
    finally:
        done.set()
        for thread in reporter:
            thread.join()
    return _end(send, "answer", answer)


def _end_when_alone(writer: int, begun: threading.Event, done: threading.Event) -> None:
    """Ends this process once nobody reads the other end of its pipe any more, since the parent was killed: orderly, and
    if that takes too long, at once.
    """
    gone = select.poll()
    gone.register(writer, 0)
    gone.poll()
    if done.is_set():
        return
    os.kill(os.getpid(), signal.SIGINT)
    if not done.wait(_GRACE if begun.is_set() else _PATIENCE_ALONE):
        os.kill(os.getpid(), signal.SIGKILL)


def _end(send: Callable[[str, Any], None], kind: str, value: Any) -> int:
    with contextlib.suppress(BrokenPipeError):
        send(kind, value)
    return 0 if kind == "answer" else 1


class Family:
    """Children that are looked after together."""

    def __init__(self, lifeline: int | None = None) -> None:
        """lifeline: a descriptor whose end means that nobody waits for the children any more."""
        self.running: list[Child] = []
        self._lifeline = lifeline
        self._asked: float | None = None
        self._said = False
        self._grace: float | None = None

    def add(self, child: Child) -> Child:
        """Watch one more."""
        self.running.append(child)
        return child

    def look(self) -> Iterator[Child]:
        """Waits for a tick at most; gives each child that has ended since. Raises Terminated at the lifeline's end."""
        lifeline = [] if self._lifeline is None else [self._lifeline]
        ready, _, _ = select.select([*(child.reader for child in self.running), *lifeline], [], [], _TICK)
        if self._lifeline in ready and not os.read(self._lifeline, 1 << 16):
            self._lifeline = None
            raise Terminated
        for child in [child for child in self.running if child.reader in ready]:
            child.read()
            if child.ended:
                self.running.remove(child)
                yield child
        if self._asked is not None:
            self._wait_no_longer(time.monotonic() - self._asked)

    def interrupt(self, how: KeyboardInterrupt) -> None:
        """Ask all of them to end; the second time, kill them."""
        if self._asked is not None:
            self.kill()
            return
        self._asked = time.monotonic()
        # A sink with a grace period answers SIGTERM itself; without one that signal would end it at once.
        self._grace = settings.tuning().term_grace if isinstance(how, Terminated) else None
        _send(signal.SIGINT if self._grace is None else signal.SIGTERM, self.running)

    def kill(self) -> None:
        """End all of them now."""
        _send(signal.SIGKILL, self.running)

    def _wait_no_longer(self, waited: float) -> None:
        patience = _GRACE if self._grace is None else self._grace + _MARGIN
        late = [child for child in self.running if waited > (_PATIENCE if child.progress is None else patience)]
        _send(signal.SIGKILL, late)
        if waited > _PATIENCE and not self._said and any(child.progress for child in self.running):
            self._said = True
            most = _GRACE if self._grace is None else self._grace
            text = f"what is pending is delivered, for {most:.0f} s at most; once more ends it at once"
            print(f"openmetadata-bulksink: interrupted: {text}", file=sys.stderr, flush=True)


def _send(number: int, children: Iterable[Child]) -> None:
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)


def run(
    name: str,
    work: Callable[[Watch], Any],
    mask: Mask,
    *,
    lifeline: int | None = None,
    interrupted: Callable[[Child], None] = lambda _: None,
) -> Any:
    """One child alone, to its end; its answer. mask: see `start`. lifeline: see Family. Raises ChildFailed, and
    KeyboardInterrupt or Terminated where that came, after `interrupted` was given the child, which has ended.
    """
    family = Family(lifeline)
    with signals_as_interrupts():
        child = family.add(start(name, work, mask))
        interrupt = wait_for_all(family)
    if interrupt is not None:
        interrupted(child)
        raise interrupt
    if child.error:
        raise ChildFailed(child.error)
    return child.answer


class ChildFailed(Exception):
    """A child has no answer; the text says why."""


def wait_for_all(family: Family) -> KeyboardInterrupt | None:
    """Until nothing runs. Returns what interrupted it first; children end orderly then."""
    interrupt: KeyboardInterrupt | None = None
    while family.running:
        try:
            for _ in family.look():
                pass
        except KeyboardInterrupt as how:
            interrupt = interrupt or how
            family.interrupt(how)
    return interrupt
