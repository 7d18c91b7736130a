"""A PostgreSQL wire proxy that lets a Redshift client talk to the facade.

It changes the text of simple queries (what psycopg2 sends; other messages pass untouched) and one parameter of the
greeting, and can hold each catalogue query back for a while: Redshift's catalogues take from tenths of seconds to
seconds. TLS is refused.
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.ingest.stopped import StoppedAtTheEnd

_LENGTH = struct.Struct("!i")
_SSL_REQUEST = 80_877_103
_GSS_REQUEST = 80_877_104
_CHUNK = 1 << 18

# Redshift calls itself so on the wire, too.
SERVER_VERSION = b"8.0.2"

_LATE_BINDING = re.compile(rb"\bpg_get_late_binding_view_cols\(\)\s+(\w+)\s*\([^)]*\)", re.IGNORECASE)
_WHERE_ONE = re.compile(rb"\bWHERE\s+1(?=\s|$)", re.IGNORECASE)
_SHOW_DATABASES = re.compile(rb"^(\s*(?:/\*.*?\*/\s*)?)SHOW\s+DATABASES\b", re.IGNORECASE | re.DOTALL)
_READS = re.compile(rb"\bFROM\b", re.IGNORECASE)


class Dialect:
    """The rewriting of one statement. facade: names of relations and functions that stand in front of pg_catalog's."""

    def __init__(self, facade: Iterable[str]) -> None:
        names = b"|".join(sorted(re.escape(name.encode()) for name in facade))
        self._qualified = re.compile(rb"\bpg_catalog\.(?=(?:" + names + rb")\b)", re.IGNORECASE)

    def translate(self, statement: bytes) -> bytes:
        """The statement that PostgreSQL with the facade understands."""
        statement = self._qualified.sub(b"redshift_facade.", statement)
        statement = _LATE_BINDING.sub(rb"redshift_facade.late_binding_view_columns \1", statement)
        statement = _WHERE_ONE.sub(b"WHERE true", statement)
        return _SHOW_DATABASES.sub(rb"\1SELECT * FROM redshift_facade.svv_redshift_databases", statement)


@dataclass(frozen=True)
class Statement:
    """One simple query that went through, as the client wrote it."""

    at: float
    connection: int
    text: str


class Proxy(StoppedAtTheEnd):
    """Listens on a free port of the loopback address, in a thread of its own, until `stop`.

    delay: seconds before a query that reads something is passed on; may be changed while it runs.
    """

    def __init__(self, server_port: int, dialect: Dialect, *, delay: float = 0.0) -> None:
        self.delay = delay
        self.statements: list[Statement] = []
        self._server_port = server_port
        self._dialect = dialect
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="redshift-proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the proxy did not start to listen within 10 s")

    def stop(self) -> None:
        """Ends all connections and the thread."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._listen())
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        writers = [client_writer]
        try:
            startup = await _startup_message(client_reader, client_writer)
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port, limit=_CHUNK)
            writers.append(server_writer)
            server_writer.write(startup)
            answers = asyncio.ensure_future(self._answers(server_reader, client_writer))
            try:
                await self._queries(number, client_reader, server_writer)
            finally:
                server_writer.close()
                await asyncio.wait([answers], timeout=1)
                answers.cancel()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # either side has gone, or `stop`
        finally:
            for writer in writers:
                writer.close()

    async def _queries(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            kind, body = await _message(reader)
            if kind == b"Q":
                statement = body.rstrip(b"\0")
                self.statements.append(Statement(time.time(), number, statement.decode(errors="replace")))
                if self.delay > 0 and _READS.search(statement):
                    await asyncio.sleep(self.delay)
                body = self._dialect.translate(statement) + b"\0"
            writer.write(kind + _LENGTH.pack(len(body) + 4) + body)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Up to the first ReadyForQuery message by message, for the version; then as it comes."""
        try:
            kind = b""
            while kind != b"Z":
                kind, body = await _message(reader)
                if kind == b"S" and body.startswith(b"server_version\0"):
                    body = b"server_version\0" + SERVER_VERSION + b"\0"
                writer.write(kind + _LENGTH.pack(len(body) + 4) + body)
            await writer.drain()
            while chunk := await reader.read(_CHUNK):
                writer.write(chunk)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _startup_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The first message has no kind; requests for encryption come before it and are refused."""
    while True:
        header = await reader.readexactly(4)
        body = await reader.readexactly(_LENGTH.unpack(header)[0] - 4)
        if len(body) == 4 and _LENGTH.unpack(body)[0] in {_SSL_REQUEST, _GSS_REQUEST}:
            writer.write(b"N")
            continue
        return header + body


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    length = _LENGTH.unpack(await reader.readexactly(4))[0]
    return kind, await reader.readexactly(length - 4)
