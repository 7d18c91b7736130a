"""When a report is written: at the end of the run, however that comes, but for SIGKILL. The file is always whole; where
a run goes on after one was written (a runner's own handler of SIGTERM ends it in order), the last one stays.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import asdict
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from openmetadata_bulksink import grace, in_one_step
from openmetadata_bulksink.log import log
from openmetadata_bulksink.masking import Mask, secrets_of_connection
from openmetadata_bulksink.report.advice import advice, verdict
from openmetadata_bulksink.report.figures import IN_ORDER, About, Figures
from openmetadata_bulksink.report.gathering import Gathering
from openmetadata_bulksink.report.page import page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from openmetadata_bulksink._native import Outcome
    from openmetadata_bulksink.accelerators import Undo
    from openmetadata_bulksink.records import Record
    from openmetadata_bulksink.settings import Tuning, Writing
    from openmetadata_bulksink.writer import Writer

#: The form of the JSON file.
FORM = 1


class Report:
    """The report of one writer. Nothing that goes wrong in it harms the run: it is one warning."""

    def __init__(self, path: Path, writer: Writer, about: About, mask: Callable[[str], str]) -> None:
        self._path = path
        self._gathering = Gathering(writer, about, mask)
        self._pid = os.getpid()
        self._signal: str | None = None
        self._is_off = False

    def taken(self, record: Record) -> None:
        """A record was handed over."""
        self._gathering.taken(record)

    def failed(self, outcome: Outcome, name: str) -> None:
        """A record was lost."""
        self._gathering.failed(outcome, name)

    def meet(self, steps: Iterable[Any]) -> None:
        """The other steps of the workflow, whose failures are not ours."""
        self._gathering.meet(steps)

    def interrupted(self, by: str) -> None:
        """A signal ends the run, perhaps at once."""
        self._signal = by
        self.write()

    def forgotten(self) -> None:
        """The program ends, and nobody has closed the sink."""
        kind = getattr(sys, "last_type", None)
        self.write("without closing the sink" + (f", by {kind.__name__}" if kind else ""))

    def write(self, ending: str | None = None) -> None:
        """Write the file as things are now. ending: how the run ended; None: as what is being raised says."""
        if self._is_off or os.getpid() != self._pid:
            return
        try:
            figures = self._gathering.figures(ending or self._signal or _being_raised() or IN_ORDER)
            in_one_step.replace(self._path, text_of(self._path, figures))
        except Exception as error:  # noqa: BLE001
            self._is_off = True
            log.warning("The report %s was not written: %s", self._path, _why(error))


def begin(
    tuning: Tuning,
    writer: Writer,
    connection: Mapping[str, Any],
    version: str,
    how: Writing,
    accelerators: tuple[list[str], list[str]],
) -> list[Undo]:
    """Let a writer have a report, if one is wanted. Returns what takes out what listens for SIGTERM.

    connection: arguments of `BulkSink`. accelerators: the active ones, and why others stepped aside.
    """
    if tuning.report is None:
        return []
    path = _path_of_this_run(tuning.report)
    try:
        in_one_step.require(path)
    except OSError as error:
        log.warning("The report %s cannot be written: %s", path, _why(error))
        return []
    active, aside = accelerators
    about = About(
        ours=distribution("openmetadata-bulksink"),
        upstream=distribution("openmetadata-ingestion"),
        server=_without_user(str(connection.get("base_url", ""))),
        server_version=version,
        workers=how.workers,
        batch_size=how.batch_size,
        synchronous=how.synchronous,
        delivery_timeout=tuning.delivery_timeout or 300.0,
        accelerators=tuple(active),
        aside=tuple(aside),
        read_ahead=tuning.read_ahead,
        dead_letters=tuning.dead_letters is not None,
    )
    writer.report = report = Report(path, writer, about, _mask_of(connection, writer))
    return grace.before_the_end(lambda: report.interrupted("by SIGTERM"))


#: The reports of this process, by the name that was asked for.
_begun: Counter[Path] = Counter()


def _path_of_this_run(name: str) -> Path:
    """The second run of a process does not take the place of the first: `run.html`, `run-2.html`."""
    asked = Path(name.replace("{pid}", str(os.getpid())))
    _begun[asked] += 1
    number = _begun[asked]
    return asked if number == 1 else asked.with_stem(f"{asked.stem}-{number}")


def distribution(name: str) -> str:
    """The version of an installed distribution."""
    try:
        return distributions.version(name)
    except distributions.PackageNotFoundError:
        return "(unknown)"


def text_of(path: Path, figures: Figures) -> str:
    """The content of the file, in the form that its name asks for."""
    if path.suffix.lower() == ".json":
        sentences = {"verdict": verdict(figures), "advice": advice(figures)}
        return json.dumps({"form": FORM, **sentences, **asdict(figures)}, indent=1, ensure_ascii=False) + "\n"
    return page(figures)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__} (please report it)"


def _being_raised() -> str | None:
    """What ends the run, if something does that is being raised while the sink is closed; its text may say anything."""
    error = sys.exc_info()[1]
    return None if error is None else f"by {type(error).__name__}"


def _without_user(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _mask_of(connection: Mapping[str, Any], writer: Writer) -> Callable[[str], str]:
    """Knows the token that is in use when a text is written."""

    def mask(text: str) -> str:
        token = getattr(getattr(writer.fence.client, "config", None), "access_token", None)
        return Mask(secrets_of_connection(connection, str(token or "")))(text)

    return mask
