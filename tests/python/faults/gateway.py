"""What stands between a sink and its server in tests: a port that misbehaves in turn, and an HTTP proxy.

Plain sockets and threads; loopback only, ports chosen by the system.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from urllib.parse import urlsplit

#: A fatal TLS alert, `handshake_failure`, in a record of its own.
ALERT = bytes([21, 3, 3, 0, 2, 2, 40])


class Gateway:
    """Takes connections and treats each as it is told; those beyond the list go through to the server.

    ways: "forward", "close" (at once), "reset", "alert" (a TLS alert as the answer), "silence" (never a byte).
    """

    def __init__(self, address: tuple[str, int], ways: Iterable[str] = ()) -> None:
        self._server = address
        self._ways: Iterator[str] = iter(ways)
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.connections = 0
        self._port = 0
        self._listener: socket.socket | None = None
        self.listen()

    @property
    def port(self) -> int:
        """Stays the same when it stops listening for a while."""
        return self._port

    def listen(self) -> None:
        """Begins, or begins again, to take connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(64)
        self._port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def die(self) -> None:
        """Refuses connections from now on, and resets those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Without this the accepting thread keeps the port open.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            opened, self._open = self._open, []
        for one in opened:
            _reset(one)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open.append(client)
            threading.Thread(target=self._treat, args=(client, next(self._ways, "forward")), daemon=True).start()

    def _treat(self, client: socket.socket, way: str) -> None:
        try:
            if way == "forward":
                self.forward(client)
            elif way == "close":
                client.close()
            elif way == "reset":
                _reset(client)
            elif way == "alert":
                client.recv(4_096)
                client.sendall(ALERT)
                client.close()
            elif way == "silence":
                while client.recv(65_536):
                    pass
        except OSError:
            client.close()

    def forward(self, client: socket.socket) -> None:
        """Bytes both ways, until either end is gone."""
        self.join(client, socket.create_connection(self._server, 10))

    def join(self, client: socket.socket, server: socket.socket, first: bytes = b"") -> None:
        """Bytes both ways; `first` was read from the client already."""
        with self._lock:
            self._open.append(server)
        if first:
            server.sendall(first)
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.die()


class Proxy(Gateway):
    """An HTTP proxy: forwards requests and opens tunnels. credentials: `user:password` that it wants to see."""

    def __init__(self, credentials: str | None = None, ways: Iterable[str] = ()) -> None:
        self._credentials = credentials
        self.served = 0
        self.refused = 0
        super().__init__(("", 0), ways)

    def forward(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65_536)
            if not more:
                client.close()
                return
            head += more
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode("latin-1").split(" ")
        if not self._is_known(head):
            self.refused += 1
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            client.close()
            return
        self.served += 1
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            server = socket.create_connection((host, int(port)), 10)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.join(client, server, rest.partition(b"\r\n\r\n")[2])
            return
        parts = urlsplit(target)
        server = socket.create_connection((parts.hostname or "", parts.port or 80), 10)
        # One request a connection: what follows on it would need its target rewritten, too.
        rest = rest.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.join(client, server, f"{method} {path} HTTP/1.1\r\n".encode() + rest)

    def _is_known(self, head: bytes) -> bool:
        if self._credentials is None:
            return True
        wanted = b"proxy-authorization: basic " + base64.b64encode(self._credentials.encode())
        return wanted.lower() in head.lower()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.close()


def _reset(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    one.close()
