"""Callbacks that raise, sinks in cycles, names that no address can hold, proxies that repeat what they hear."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.wheel

# What answers a request: method, path, headers and body -> status and body.
Answering = Callable[[str, str, dict[str, str], bytes], tuple[int, str]]


def all_written(_method: str, _path: str, _headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """What a server says that takes every row."""
    return 200, json.dumps({"numberOfRowsPassed": len(json.loads(body)), "numberOfRowsFailed": 0})


class Server(ThreadingHTTPServer):
    """A server that answers as the test says, and remembers the paths that it was asked for."""

    daemon_threads = True

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.paths.append(self.path)
        status, text = self.server.answering(self.command, self.path, dict(self.headers), body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


for method in ("GET", "PUT", "PATCH"):
    setattr(Handler, f"do_{method}", Handler.answer)


@pytest.fixture
def serve() -> Iterator[Callable[[Answering], Server]]:
    """Starts servers; stops them at the end."""
    started: list[Server] = []

    def start(answering: Answering) -> Server:
        server = Server(answering)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


class Interrupted(Exception):
    """An exception of a callback's own."""


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    # The interpreter hands the signal to its handler here.
    time.sleep(0)


def leave() -> None:
    raise SystemExit(3)


def fail() -> None:
    raise Interrupted


@pytest.mark.parametrize(("callback", "ends_with"), [(interrupt, KeyboardInterrupt), (leave, SystemExit), (fail, None)])
def test_only_what_is_meant_to_end_the_program_leaves_a_notice_callback(
    serve: Callable[[Answering], Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    callback: Callable[[], None],
    ends_with: type[BaseException] | None,
) -> None:
    from openmetadata_bulksink import BulkSink

    released = threading.Event()

    def answering(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        if "charts" in path:
            return 400, '{"code":400,"message":"no"}'
        released.wait(20)
        return all_written(method, path, headers, body)

    lines: list[str] = []
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)

    def on_notice(line: str) -> None:
        lines.append(line)
        if ends_with is None:
            released.set()
        callback()

    # The lost chart cannot be buried, which is what there is to tell while the table is under way.
    nowhere = tmp_path / "missing" / "lost.jsonl"
    sink = BulkSink(serve(answering).url, linger=0.0, dead_letters=nowhere, on_notice=on_notice)
    sink.submit("tables", "a.t", "{}")
    sink.submit("charts", "a.c", "{}")
    if ends_with is None:
        sink.drain()
        assert [entry.exc_type for entry in unraisable] == [Interrupted]
    else:
        with pytest.raises(ends_with):
            sink.drain()
        assert sink.stats().pending == 1
    assert len(lines) == 1
    released.set()
    sink.close()
    assert sorted(outcome.status for outcome in sink.take_outcomes()) == ["failed", "written"]


@pytest.mark.parametrize("held_by", ["on_notice", "token"])
def test_a_sink_that_its_own_callback_refers_to_is_collected(
    serve: Callable[[Answering], Server], held_by: str
) -> None:
    from openmetadata_bulksink import BulkSink

    class Owner:
        sink: Any

        def on_notice(self, line: str) -> None:
            raise AssertionError(line)

        def token(self) -> str:
            return "a-token"

    def is_ours(task: Path) -> bool:
        try:
            return (task / "comm").read_text().startswith("bulksink")
        except OSError:
            return False  # it ended between the list and the look

    def threads() -> int:
        return sum(map(is_ours, Path("/proc/self/task").iterdir()))

    before = threads()
    owner = Owner()
    owner.sink = BulkSink(serve(all_written).url, linger=0.0, **{held_by: getattr(owner, held_by)})
    owner.sink.submit("tables", "a.b", "{}")
    owner.sink.drain()
    assert threads() > before
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert threads() == before


def test_a_name_that_no_address_can_hold_is_the_records_own_failure(serve: Callable[[Answering], Server]) -> None:
    from openmetadata_bulksink import BulkSink

    server = serve(all_written)
    with BulkSink(server.url, linger=0.0, workers=4) as sink:
        sink.submit_life_cycle("tables", "..", '{"created":{}}')
        sink.drain()
        (lost,) = sink.take_outcomes()
        assert "cannot be part of an address" in lost.reason
        assert server.paths == []
        assert sink.stats().limit == 4


def test_what_a_proxy_repeats_of_its_password_and_the_token_is_not_shown(serve: Callable[[Answering], Server]) -> None:
    from openmetadata_bulksink import BulkSink

    password, token = "a-long-proxy-password-0123456789", "t0kent0kent0ken"

    def repeat(_method: str, _path: str, headers: dict[str, str], _body: bytes) -> tuple[int, str]:
        again = base64.b64encode(str(headers).encode()).decode()
        said = f"you sent {headers} and {password.replace('-', '%2D')} and {again}"
        return 400, json.dumps({"code": 400, "message": said})

    port = serve(repeat).server_port
    with BulkSink(
        "http://om.example:8585/api/v1", proxy=f"http://user:{password}@127.0.0.1:{port}", token=token, linger=0.0
    ) as sink:
        sink.submit("tables", "a.b", "{}")
        sink.drain()
        (lost,) = sink.take_outcomes()
    assert "you sent" in lost.reason
    assert "***" in lost.reason
    for secret in (password, token):
        for spelt in (secret, base64.b64encode(secret.encode()).decode().rstrip("=")):
            assert spelt not in lost.reason
    assert base64.b64encode(f"user:{password}".encode()).decode() not in lost.reason
    assert "proxy%2Dpassword" not in lost.reason


def test_awaited_submits_are_taken_in_the_order_of_the_calls(serve: Callable[[Answering], Server]) -> None:
    from openmetadata_bulksink import BulkSink

    sink = BulkSink(serve(all_written).url, linger=0.0)

    async def submit_all() -> list[int]:
        calls = [sink.submit_async("tables", f"a.t{number}", "{}") for number in range(200)]
        return await asyncio.gather(*calls)

    assert asyncio.run(submit_all()) == list(range(1, 201))
    sink.close()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are listed by Linux")
def test_many_awaitables_at_once_need_no_threads_of_their_own(serve: Callable[[Answering], Server]) -> None:
    from openmetadata_bulksink import BulkSink

    def names() -> list[str]:
        found = []
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found.append((task / "comm").read_text().strip())
        return found

    async def drain_all() -> int:
        with BulkSink(serve(all_written).url) as sink:
            await asyncio.gather(*(sink.submit_async("tables", f"a.t{number}", "{}") for number in range(200)))
            await asyncio.gather(*(sink.drain_async() for _ in range(50)))
            return names().count("bulksink-await")

    assert asyncio.run(drain_all()) == 2


def test_outside_of_an_event_loop_nothing_is_submitted(serve: Callable[[Answering], Server]) -> None:
    from openmetadata_bulksink import BulkSink

    with BulkSink(serve(all_written).url) as sink:
        with pytest.raises(RuntimeError):
            sink.submit_async("tables", "a.t", "{}")
        assert sink.stats().submitted == 0
