"""The services that the canary makes, and that all of them go again, whatever happens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from openmetadata_bulksink.canary import NAME
from openmetadata_bulksink.canary.asking import Answer, Server, Unanswered, by_name
from openmetadata_bulksink.interrupts import Interrupts

_COLLECTION = "services/databaseServices"

#: A deletion that fails is asked for again after so many seconds.
_PAUSES = (0.0, 1.0, 3.0, 6.0)

#: Seconds for making an empty service: an interrupt waits for it.
_FOR_MAKING = (10.0, 20.0)

#: The interrupt at which a deletion is given up: the first ends the work, the second may be impatience or a runner's.
_GIVES_UP = 3


class Haste(NamedTuple):
    """Seconds for the answer to one request of a deletion, and for all of it."""

    request: float
    whole: float


#: A large service takes a real server minutes; nobody waits that long who has interrupted it.
_PATIENT, _HURRIED = Haste(120.0, 900.0), Haste(10.0, 60.0)


class Services:
    """Services of one run. Each name is remembered before it is made, and forgotten when the server says it is gone."""

    def __init__(self, server: Server, interrupts: Interrupts) -> None:
        self._server, self._interrupts = server, interrupts
        self.left: list[str] = []

    def make(self) -> str:
        """A new service with a random name, all of one length. Raises Unanswered."""
        name = NAME + secrets.token_hex(4)
        self.left.append(name)
        body = {"name": name, "serviceType": "CustomDatabase"}
        # An interrupted request may still make the service, behind its deletion.
        answer = self._server.until_answered(
            "PUT", f"/{_COLLECTION}", body, patience=_FOR_MAKING, around=self._interrupts.held
        )
        if not answer.well:
            raise Unanswered(f"the server does not let us create a service ({answer.status}): {answer.message}")
        return name

    def delete(self, *names: str, haste: Haste = _PATIENT) -> dict[str, Answer]:
        """Delete some for good, with all that is in them. Returns for each that is not gone what stands in the way."""
        due = dict.fromkeys(names, Answer(0, "it was not tried: no time was left", None, {}))
        until = time.monotonic() + haste.whole
        refused: set[str] = set()
        for pause in _PAUSES:
            if not due.keys() - refused or time.monotonic() + pause >= until:
                break
            time.sleep(pause)
            for name in [name for name in due if name not in refused]:
                if time.monotonic() >= until:
                    break
                answer = self._once(name, haste.request, until)
                if answer is None:
                    self.left.remove(name)
                    del due[name]
                    continue
                due[name] = answer
                if answer.forbidden:
                    refused.add(name)
        return due

    def _once(self, name: str, request: float, until: float) -> Answer | None:
        """One attempt. None: it is gone."""
        path = by_name(_COLLECTION, name)

        def ask(method: str, path: str) -> Answer:
            left = until - time.monotonic()
            if left <= 0:
                return Answer(0, "no answer was waited for any longer", None, {})
            seconds = min(request, left)
            return self._server.ask(method, path, patience=(min(10.0, seconds), seconds))

        deleted = ask("DELETE", f"{path}?recursive=true&hardDelete=true")
        if deleted.status == 0:
            return deleted
        now = ask("GET", f"{path}?include=all")
        if _is_gone(now, name):
            return None
        if not deleted.well:
            return deleted
        return Answer(now.status, "it is said to be deleted, and is still there", None, {}) if now.well else now

    def delete_all(self, tell: Callable[[str], None]) -> list[str]:
        """Delete what is left. Tells what is under way, and each service that could not be deleted; returns the latter
        lines. Somebody who has interrupted the work, or interrupts this, waits for its end: it is hurried then, and
        the third interrupt gives it up. Raises nothing.
        """
        answers: dict[str, Answer] = {}
        for haste, ends_at in ((_PATIENT, 1), (_HURRIED, _GIVES_UP)):
            if not self.left or (haste is _PATIENT and self._interrupts.came):
                continue
            try:
                more = self._interrupts.raise_at(ends_at)
                tell(_under_way(self.left, haste, more))
                answers = self.delete(*self.left, haste=haste)
                self._interrupts.hold()
                break
            except KeyboardInterrupt:
                self._interrupts.hold()
                answers = {}
        lines = []
        for name in self.left:
            why = f"{answers[name].status}: {answers[name].message}" if name in answers else "given up: interrupted"
            lines.append(f"The service {name} could not be deleted; delete it by hand ({why}).")
            tell(lines[-1])
        return lines


def _under_way(names: Collection[str], haste: Haste, more: int) -> str:
    said = f"Deleting {', '.join(names)}"
    if haste is _HURRIED:
        often = "once more" if more == 1 else "twice more"
        said += f", for {haste.whole:.0f} s at most; Ctrl-C {often} gives up and names what is left"
    return said


def _is_gone(answer: Answer, name: str) -> bool:
    """A page of 404 is a proxy's whose server is away, and no word about the service: the API names it in JSON."""
    said = answer.body.get("message") if isinstance(answer.body, dict) else None
    return answer.status == 404 and isinstance(said, str) and name in said
