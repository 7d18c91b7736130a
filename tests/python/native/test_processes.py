"""Signals, forks and the end of the interpreter: a sink in the middle of work must not hang, lose or repeat."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.ingest import ReferenceServer
from tests.python.native.conftest import SCHEMA, submit_tables, table

pytestmark = pytest.mark.wheel


def run(
    program: str, server: ReferenceServer, *arguments: str, timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """A program in an interpreter of its own; it finds the server in its environment."""
    environment = {**os.environ, "URL": f"{server.url}/v1", "TOKEN": server.token, "CONTROL": server.control}
    preamble = textwrap.dedent("""
        import json, os, signal, sys, threading, time
        from openmetadata_bulksink import BulkSink
        SCHEMA = "lake.main.public"
        def table(name):
            return json.dumps({"name": name, "databaseSchema": SCHEMA, "columns": [{"name": "c", "dataType": "INT"}]})
        def submit(sink, *names):
            for name in names:
                sink.submit("tables", f"{SCHEMA}.{name}", table(name), parent=SCHEMA)
        def make(**settings):
            return BulkSink(os.environ["URL"], token=os.environ["TOKEN"], **settings)
    """)
    return subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(program), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize("waiting", ["drain", "close", "wait", "submit"])
def test_a_signal_ends_each_kind_of_wait_and_close_still_delivers(
    make_sink: Callable[..., Any], lake: ReferenceServer, waiting: str
) -> None:
    sink = make_sink(budget_bytes=300 if waiting == "submit" else 10_000_000)
    submit_tables(sink, 1)
    calls: dict[str, Callable[[], object]] = {
        "drain": sink.drain,
        "close": sink.close,
        "wait": lambda: sink.wait(fqn=f"{SCHEMA}.t0"),
        "submit": lambda: submit_tables(sink, 3, start=10),
    }
    main = threading.get_ident()

    def interrupt() -> None:
        lake.until_waiting()
        until_it_stands_still(main)
        os.kill(os.getpid(), signal.SIGINT)

    # The server does not answer before the wait has ended: what ends it is the signal (how soon: `make bench-native`).
    with lake.holding("bulk"):
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            calls[waiting]()
        thread.join()
    sink.close()
    stats = sink.stats()
    assert stats.written == stats.submitted
    assert stats.pending == 0


def until_it_stands_still(thread: int) -> None:
    """Returns when a thread has stood at one place of its program for some time: it waits."""
    seen: object = None
    looks = 0
    while looks < 5:
        frame = sys._current_frames()[thread]
        place = (id(frame), frame.f_lasti)
        looks = looks + 1 if place == seen else 0
        seen = place
        time.sleep(0.05)


def test_the_child_of_a_fork_starts_afresh_and_the_parent_loses_nothing(lake: ReferenceServer) -> None:
    program = """
        sink = make(linger=3_600.0)
        submit(sink, "parent1", "parent2")
        child = os.fork()
        if child == 0:
            assert sink.stats().pending == 0
            submit(sink, "child")
            sink.close()
            sys.exit(0 if sink.stats().written == 1 else 3)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        submit(sink, "parent3")
        sink.close()
        assert sink.stats().written == 3
    """
    done = run(program, lake)
    assert done.returncode == 0, done.stderr
    assert set(lake.state()["tables"]) == {f"{SCHEMA}.{name}" for name in ("parent1", "parent2", "parent3", "child")}
    rows = sum(request["rows"] for request in lake.requests() if request["path"].endswith("/bulk"))
    assert rows == 4, "nothing was sent twice"


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)", "del sink; sys.exit(0)", "pass"])
def test_a_child_may_leave_in_any_way(lake: ReferenceServer, leave: str) -> None:
    program = f"""
        sink = make(linger=3_600.0)
        submit(sink, "parent")
        child = os.fork()
        if child == 0:
            {leave}
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        sink.close()
        assert sink.stats().written == 1
    """
    done = run(program, lake)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_write_with_sinks_of_their_own(
    lake: ReferenceServer, method: str, tmp_path: Any
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import json, multiprocessing, os, sys
            from openmetadata_bulksink import BulkSink
            SCHEMA = "lake.main.public"

            def write(name):
                with BulkSink(os.environ["URL"], token=os.environ["TOKEN"]) as sink:
                    body = {"name": name, "databaseSchema": SCHEMA, "columns": [{"name": "c", "dataType": "INT"}]}
                    sink.submit("tables", f"{SCHEMA}.{name}", json.dumps(body), parent=SCHEMA)
                assert sink.stats().written == 1

            if __name__ == "__main__":
                write("parent")
                context = multiprocessing.get_context(sys.argv[1])
                children = [context.Process(target=write, args=(f"child{n}",)) for n in range(3)]
                [child.start() for child in children]
                [child.join() for child in children]
                assert [child.exitcode for child in children] == [0, 0, 0]
        """)
    )
    environment = {**os.environ, "URL": f"{lake.url}/v1", "TOKEN": lake.token}
    done = subprocess.run(
        [sys.executable, str(script), method], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(lake.state()["tables"]) == 4


def test_awaitables_work_in_the_child_of_a_fork(lake: ReferenceServer) -> None:
    program = """
        import asyncio
        async def write(sink, name):
            await sink.submit_async("tables", f"{SCHEMA}.{name}", table(name), parent=SCHEMA)
            await sink.drain_async()
        async def close(sink):
            await sink.close_async()
        sink = make()
        asyncio.run(write(sink, "parent"))
        child = os.fork()
        if child == 0:
            asyncio.run(write(sink, "child"))
            asyncio.run(close(sink))
            os._exit(0 if sink.stats().written == 1 else 3)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        asyncio.run(close(sink))
        assert sink.stats().written == 1
    """
    done = run(program, lake)
    assert done.returncode == 0, done.stderr
    assert len(lake.state()["tables"]) == 2


def test_awaitables_do_not_block_the_event_loop(lake: ReferenceServer) -> None:
    """The server answers only when the loop tells it to: an await that blocked the loop would wait for ever."""
    program = """
        import asyncio, urllib.request
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        def ask(method, path, body=None):
            request = urllib.request.Request(os.environ["CONTROL"] + path, data=body, method=method)
            return json.loads(direct.open(request).read())
        async def while_the_server_holds(begin):
            ask("PUT", "/latency", b'{"bulk": {"request_ms": 3600000}}')
            task, ticks = asyncio.ensure_future(begin()), 0
            while ticks < 20 or not ask("GET", "/waits")["going_on"]:
                assert not task.done()
                await asyncio.sleep(0.01)
                ticks += 1
            assert not task.done()
            ask("PUT", "/latency", b"{}")
            ask("POST", "/release")
            await task
        async def submit_all(sink):
            for number in range(30):
                await sink.submit_async("tables", f"{SCHEMA}.t{number}", table(f"t{number}"), parent=SCHEMA)
        async def main():
            sink = make(budget_bytes=1_000)
            await while_the_server_holds(lambda: submit_all(sink))
            await sink.drain_async()
            for number, end in enumerate((sink.drain_async, sink.close_async)):
                submit(sink, f"late{number}")
                await while_the_server_holds(end)
            assert sink.stats().written == 32
            sink = make(linger=3_600.0)
            submit(sink, "given_up_on")
            ask("PUT", "/latency", b'{"bulk": {"request_ms": 3600000}}')
            try:
                await sink.drain_async(timeout=0.001)
                raise AssertionError("the server has not answered")
            except TimeoutError:
                pass
            ask("PUT", "/latency", b"{}")
            ask("POST", "/release")
            await sink.close_async()
        asyncio.run(main())
    """
    done = run(program, lake)
    assert done.returncode == 0, done.stderr


def test_the_interpreter_ends_without_close_and_says_what_was_not_delivered(lake: ReferenceServer) -> None:
    done = run('sink = make(linger=3_600.0); submit(sink, "a", "b")', lake)
    assert done.returncode == 0
    assert "2 records were not delivered" in done.stderr
    assert "panic" not in done.stderr


def test_what_an_application_does_at_the_end_may_still_close_the_sink(lake: ReferenceServer) -> None:
    program = """
        import atexit
        sink = make(linger=3_600.0)
        atexit.register(lambda: (sink.close(), print(sink.stats().written)))
        submit(sink, "a", "b")
    """
    done = run(program, lake)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["2"], "")


def test_a_sink_that_is_dropped_ends_its_threads(lake: ReferenceServer) -> None:
    program = """
        def threads():
            return sorted(open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task"))
        def gone():
            for _ in range(600):
                if threads() == before:
                    return True
                time.sleep(0.1)
            return False
        before = threads()
        sink = make()
        assert threads() == before, "no thread before the first submit"
        submit(sink, "a")
        assert len(threads()) > len(before)
        sink.drain()
        del sink
        assert gone(), threads()
        sink = make()
        submit(sink, "b")
        sink.close()
        assert gone(), threads()
        links = []
        for fd in os.listdir("/proc/self/fd"):
            if os.path.lexists(f"/proc/self/fd/{fd}"):
                links.append(os.readlink(f"/proc/self/fd/{fd}"))
        assert not [link for link in links if link.startswith("socket")]
    """
    done = run(program, lake)
    assert done.returncode == 0, done.stderr


def test_several_threads_may_submit_at_once(make_sink: Callable[..., Any], lake: ReferenceServer) -> None:
    sink = make_sink(budget_bytes=4_000)

    def write(part: int) -> None:
        for number in range(100):
            name = f"p{part}_{number}"
            sink.submit("tables", f"{SCHEMA}.{name}", table(name), parent=SCHEMA)
            if number % 25 == 0:
                sink.wait(fqn=f"{SCHEMA}.{name}")

    threads = [threading.Thread(target=write, args=(part,)) for part in range(6)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    sink.close()
    assert sink.stats().written == 600
    assert len(lake.state()["tables"]) == 600
    assert lake.violations() == []
    assert json.dumps(sink.stats().as_dict())
