"""The proxy's rewriting of statements, and the wire in front of a real PostgreSQL."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from tests.ingest import Postgres
from tests.redshift.proxy import SERVER_VERSION, Dialect, Proxy

DIALECT = Dialect(["pg_class", "pg_namespace", "stl_query", "version"])


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("SELECT 1 FROM pg_catalog.pg_class c", "SELECT 1 FROM redshift_facade.pg_class c"),
        ("select pg_catalog.version()", "select redshift_facade.version()"),
        ("FROM PG_CATALOG.STL_QUERY", "FROM redshift_facade.STL_QUERY"),
        ("pg_catalog.pg_classes, pg_catalog.pg_user", "pg_catalog.pg_classes, pg_catalog.pg_user"),
        ("WHERE 1 AND schema = 'x'", "WHERE true AND schema = 'x'"),
        ("where 1\n", "WHERE true\n"),
        ("WHERE 1=1 AND a > 10", "WHERE 1=1 AND a > 10"),
        (
            "FROM pg_get_late_binding_view_cols() cols(\n view_schema name,\n col_num int) WHERE 1 AND schema = 'x'",
            "FROM redshift_facade.late_binding_view_columns cols WHERE true AND schema = 'x'",
        ),
        (
            '/* {"app": "x"} */\nSHOW DATABASES',
            '/* {"app": "x"} */\nSELECT * FROM redshift_facade.svv_redshift_databases',
        ),
        ("SELECT 'SHOW DATABASES'", "SELECT 'SHOW DATABASES'"),
    ],
)
def test_statements_are_translated(written: str, understood: str) -> None:
    assert DIALECT.translate(written.encode()) == understood.encode()


class _Client:
    """A PostgreSQL client that knows simple queries only."""

    def __init__(self, port: int, *, ask_for_tls: bool = False) -> None:
        self.parameters: dict[bytes, bytes] = {}
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        if ask_for_tls:
            self._socket.sendall(struct.pack("!ii", 8, 80_877_103))
            assert self._socket.recv(1) == b"N"
        body = struct.pack("!i", 196_608) + b"user\0bulksink\0database\0postgres\0\0"
        self._socket.sendall(struct.pack("!i", len(body) + 4) + body)
        for kind, message in self._until_ready():
            if kind == b"S":
                name, value, _ = message.split(b"\0")
                self.parameters[name] = value

    def query(self, text: str) -> list[bytes]:
        """The first column of each row."""
        body = text.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        return [message[6:] for kind, message in self._until_ready() if kind == b"D"]

    def _until_ready(self) -> list[tuple[bytes, bytes]]:
        messages: list[tuple[bytes, bytes]] = []
        while not messages or messages[-1][0] != b"Z":
            kind = self._exactly(1)
            messages.append((kind, self._exactly(struct.unpack("!i", self._exactly(4))[0] - 4)))
        return messages

    def _exactly(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            assert part, "the connection ended"
            parts += part
        return parts

    def close(self) -> None:
        self._socket.close()


@pytest.mark.postgres
def test_the_wire(postgres: Postgres) -> None:
    with Proxy(postgres.port, DIALECT) as proxy:
        client = _Client(proxy.port, ask_for_tls=True)
        assert client.parameters[b"server_version"] == SERVER_VERSION
        assert client.query("SELECT 'x' WHERE 1") == [b"x"]
        long_text = "y" * 1_000_000
        assert client.query(f"SELECT '{long_text}' FROM generate_series(1, 3)") == [long_text.encode()] * 3
        client.close()
        assert [statement.text[:18] for statement in proxy.statements] == ["SELECT 'x' WHERE 1", "SELECT 'yyyyyyyyyy"]


@pytest.mark.postgres
def test_catalogue_queries_can_be_slow(postgres: Postgres) -> None:
    with Proxy(postgres.port, DIALECT, delay=3_600) as proxy:
        client = _Client(proxy.port)
        client.query("BEGIN")
        proxy.delay = 0.3
        started = time.monotonic()
        client.query("SELECT relname FROM pg_class LIMIT 1")
        assert time.monotonic() - started >= 0.3
        client.close()
    assert "redshift-proxy" not in [thread.name for thread in threading.enumerate()]
