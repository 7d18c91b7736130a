"""A database that is far away: a TCP proxy on the loopback address that holds back what a client sends.

A rule may say for each connection, and each thing that is sent over it, that it goes through, is cut, or hangs.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from tests.ingest.stopped import StoppedAtTheEnd

_CHUNK = 1 << 18


class Fate(Enum):
    """What becomes of a connection."""

    PASSES = "as usual"
    CUT = "it ends at once"
    HANGS = "it stays open, and nothing comes through any more"


#: The number of a connection, from 0, and what is sent over it; None: it is just being opened.
Rule = Callable[[int, bytes | None], Fate]


def everything_passes(_: int, __: bytes | None) -> Fate:
    """The usual rule."""
    return Fate.PASSES


class FarDatabase(StoppedAtTheEnd):
    """Stands in front of a port of this machine; ends with the block. delay: seconds, may be changed at any time."""

    def __init__(self, target: int, *, delay: float = 0.0) -> None:
        self.delay = delay
        self.rule: Rule = everything_passes
        self._target = target
        self._lock = threading.Lock()
        self._open: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._ended = threading.Event()
        self.reset()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="far-database", daemon=True).start()

    def reset(self) -> None:
        """Count from here on. trips: what clients sent; connections: those that were opened; most_open: at a time."""
        with self._lock:
            self.trips = self.connections = 0
            self.most_open = len(self._open)

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    def stop(self) -> None:
        """Ends with all connections."""
        self._ended.set()
        # A thread that waits for a connection does not notice that its socket was closed.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends all connections."""
        for which in list(self._open):
            self._close(which)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                number = self.connections
                self.connections += 1
            fate = self.rule(number, None)
            if fate is Fate.CUT:
                client.close()
                continue
            server = socket.socket() if fate is Fate.HANGS else socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open[id(client)] = (client, server)
                self.most_open = max(self.most_open, len(self._open))
            if fate is Fate.HANGS:
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pump in (self._forth, self._back):
                threading.Thread(target=pump, args=(number, client, server), daemon=True).start()

    def _forth(self, number: int, client: socket.socket, server: socket.socket) -> None:
        """What a client sends. It waits for the answer each time, so holding back is sleeping."""
        with suppress(OSError):
            while chunk := client.recv(_CHUNK):
                with self._lock:
                    self.trips += 1
                fate = self.rule(number, chunk)
                if fate is Fate.CUT:
                    break
                if fate is Fate.HANGS:
                    self._ended.wait()
                    break
                time.sleep(self.delay)
                server.sendall(chunk)
        self._close(id(client))

    def _back(self, _: int, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while chunk := server.recv(_CHUNK):
                client.sendall(chunk)
        self._close(id(client))

    def _close(self, which: int) -> None:
        with self._lock:
            ends = self._open.pop(which, ())
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
