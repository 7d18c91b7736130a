"""The services that the canary makes, and that all of them go again, whatever happens."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Iterator

from openmetadata_bulksink.canary import NAME
from openmetadata_bulksink.canary.asking import Answer, Server, Unanswered, by_name

_COLLECTION = "services/databaseServices"

#: A deletion that fails is asked for again after so many seconds.
_PAUSES = (0.0, 1.0, 3.0, 6.0)


class Services:
    """Services of one run. Each name is remembered before it is made, and forgotten when the server says it is gone."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.left: list[str] = []

    def make(self) -> str:
        """A new service with a random name, all of one length. Raises Unanswered."""
        name = NAME + secrets.token_hex(4)
        self.left.append(name)
        with interrupts_held():  # an interrupted request may still make the service, behind its deletion
            answer = self._server.until_answered(
                "PUT", f"/{_COLLECTION}", {"name": name, "serviceType": "CustomDatabase"}
            )
        if not answer.well:
            raise Unanswered(f"the server does not let us create a service ({answer.status}): {answer.message}")
        return name

    def delete(self, name: str) -> Answer | None:
        """Delete one for good, with all that is in it. None: it is gone; else the answer that stands in the way."""
        answer = None
        for pause in _PAUSES:
            time.sleep(pause)
            path = by_name(_COLLECTION, name)
            answer = self._server.ask("DELETE", f"{path}?recursive=true&hardDelete=true")
            now = self._server.ask("GET", f"{path}?include=all")
            if now.status == 404:
                self.left.remove(name)
                return None
            if answer.status in (401, 403):
                break
        return answer

    def delete_all(self) -> list[str]:
        """Delete what is left; a line for each service that could not be deleted, with its name. Never raises."""
        lines = []
        with interrupts_held():
            for name in list(self.left):
                answer = self.delete(name)
                if answer is not None:
                    left = f"The service {name} could not be deleted; delete it by hand"
                    lines.append(f"{left} ({answer.status}: {answer.message}).")
        return lines


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C and SIGTERM come behind the block. Only where they can come at all: on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
