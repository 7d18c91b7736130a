"""`openmetadata-bulksink doctor`: would the native sink be used here, and if not, why not? Changes nothing anywhere.

One line for each thing that was looked at, and a last one that says what a workflow would do. Asks the server four
things: its version (by upstream's client and by the native one), who the token belongs to, and whether it has a bulk
endpoint (an empty bulk request).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from importlib import metadata as packages
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import _openmetadata_bulksink_boot as boot
from openmetadata_bulksink import accelerate, activate, connection, eligibility, settings, workflow_file
from openmetadata_bulksink.masking import Mask, quotable


class Verdict(Enum):
    """What a workflow would do; the value is the last line. The worst of all findings counts, in this order."""

    USED = "The native sink would be used."
    NOT_ASKED = "Nothing here stands in the way of the native sink; its server was not asked."
    AWAY = "The server could not be asked, so it is open whether the native sink would be used."
    REFUSED = "The native sink would be used, but the server would refuse what it sends."
    OTHER_SINK = "The native sink would not be used: this workflow writes elsewhere."
    UPSTREAM = "The native sink would not be used: upstream's own writes."
    STOPS = "A workflow would stop here with an error until that is changed."
    NO_UPSTREAM = "No workflow can run here: openmetadata-ingestion is not installed, or cannot be imported."


class Line(NamedTuple):
    """One finding. kind: ok, note or no."""

    part: str
    kind: str
    text: str


@dataclass
class Findings:
    """What was found so far."""

    lines: list[Line] = field(default_factory=list)
    verdict: Verdict = Verdict.USED
    part: str = ""
    mask: Mask = field(default_factory=Mask)
    tell: Callable[[Line], None] = lambda _: None

    def fine(self, text: str) -> None:
        self._add("ok", text)

    def note(self, text: str) -> None:
        self._add("note", text)

    def wrong(self, text: str, verdict: Verdict) -> None:
        """Something that stands in the way, and what it makes of a workflow."""
        self._add("no", text)
        self.weigh(verdict)

    def weigh(self, verdict: Verdict) -> None:
        """Take a verdict, unless a worse one is there."""
        order = list(Verdict)
        self.verdict = max(self.verdict, verdict, key=order.index)

    @property
    def well(self) -> bool:
        return self.verdict is Verdict.USED

    def _add(self, kind: str, text: str) -> None:
        line = Line(self.part, kind, self.mask(text))
        self.lines.append(line)
        self.tell(line)


def examine(config: Path | None, tell: Callable[[Line], None] = lambda _: None) -> Findings:
    """Look at everything; `tell` gets each line as it is found. Raises Unreadable."""
    found = Findings(tell=tell, part="Installation")
    _native_module(found)
    _upstream(found)
    chosen = _settings(found)
    found.part = "Server"
    if config is None:
        found.note("not asked: give a workflow's file with -c to check its server too")
        found.weigh(Verdict.NOT_ASKED)
        return found
    if found.verdict is Verdict.NO_UPSTREAM:
        return found
    workflow = workflow_file.load(config)
    found.mask = workflow.mask
    if workflow.sink_type not in workflow_file.SINK_TYPES:
        another = quotable(workflow.sink_type, "another") if workflow.sink_type else ""
        named = f"the workflow's sink is {another}" if another else "the workflow names no sink"
        found.wrong(f"{named}; ours takes the place of metadata-rest", Verdict.OTHER_SINK)
    elif not workflow.has_source:
        found.wrong("the file has no source with a type: upstream refuses it", Verdict.STOPS)
    if found.well and chosen is not None:
        _server(found, workflow, chosen)
    else:
        found.note("not asked: see above")
    return found


def _native_module(found: Findings) -> None:
    try:
        from openmetadata_bulksink import _native
    except ImportError as error:
        text = f"the native module cannot be imported ({error}); install the wheel for this platform"
        found.wrong(text, Verdict.UPSTREAM)
        return
    found.fine(f"openmetadata-bulksink {_native.__version__}, Python {sys.version.split()[0]}")


def _upstream(found: Findings) -> None:
    try:
        version = packages.version("openmetadata-ingestion")
    except packages.PackageNotFoundError:
        found.wrong("openmetadata-ingestion is not installed in this environment", Verdict.NO_UPSTREAM)
        return
    hooked = boot.is_in_place()
    loaded_before = activate.MODULE in sys.modules
    try:
        ours = activate.active_class()
    except Exception as error:  # noqa: BLE001 - importing upstream may raise anything
        text = f"openmetadata-ingestion {version} cannot be imported: {type(error).__name__}: {_short(error)}"
        found.wrong(text, Verdict.NO_UPSTREAM)
        return
    original = ours.__dict__["_bulksink_replaces"] if ours is not None else None
    if original is None:
        original = getattr(sys.modules.get(activate.MODULE), activate.ATTRIBUTE, None)
    if original is None:
        found.wrong(f"openmetadata-ingestion {version}: its REST sink cannot be imported", Verdict.NO_UPSTREAM)
        return
    problem = eligibility.shape_problem(original)
    if problem is None:
        found.fine(f"openmetadata-ingestion {version}, whose sink is known")
    else:
        found.wrong(f"openmetadata-ingestion {version}: {problem}", Verdict.UPSTREAM)
    if settings.switched_off():
        found.wrong("switched off by OM_BULKSINK; unset it or set it to 1", Verdict.UPSTREAM)
    elif ours is not None and (hooked or loaded_before):
        found.fine("the start-up hook is active: `metadata ingest` uses the native sink by itself")
    elif ours is not None:
        found.fine("the native sink is in place in this process")
    else:
        found.wrong(
            "the start-up hook has not run (python -S, or packages that are only on PYTHONPATH): run "
            "`python -m openmetadata_bulksink ingest -c FILE`, or call openmetadata_bulksink.install()",
            Verdict.UPSTREAM,
        )


def _settings(found: Findings) -> settings.Tuning | None:
    for line in settings.unknown():
        found.note(line)
    try:
        chosen = settings.tuning()
    except settings.SettingError as error:
        found.wrong(str(error), Verdict.STOPS)
        return None
    names = [name for name in settings.given() if name in settings.VARIABLES]
    if names:
        found.fine("settings of the environment: " + ", ".join(f"{name}={os.environ[name]}" for name in names))
    else:
        found.fine("settings: all defaults")
    undo, active, aside = accelerate.examine(chosen.accelerate)
    for each in reversed(undo):
        each()
    found.fine(f"accelerators that know this upstream: {', '.join(active) or 'none'}")
    for reason in aside:
        found.note(f"accelerator steps aside: {reason}")
    for line in _asked_early(active, chosen.read_ahead):
        found.fine(line)
    return chosen


def _asked_early(active: list[str], connections: int | None) -> list[str]:
    """The accelerators that change when a source's database is asked, in words. connections: for `read_ahead`, as the
    environment grants them.
    """
    lines = []
    if "postgres_bulk" in active:
        lines.append("postgres_bulk: tables of a PostgreSQL are read in chunks, with statements for up to 250 at once")
    if "read_ahead" in active:
        granted = {
            None: "threads: N of a workflow grants N - 1 connections for a few schemas, OM_BULKSINK_READ_AHEAD=K K",
            0: "off, OM_BULKSINK_READ_AHEAD is 0",
        }.get(connections, f"up to {connections} connections are granted")
        lines.append(f"read_ahead: what coming tables of MySQL, MariaDB will be asked is asked ahead; {granted}")
    return lines


def _server(found: Findings, workflow: workflow_file.Workflow, chosen: settings.Tuning) -> None:
    client = workflow.client.client
    url = connection.base_url(client)
    reason = eligibility.why_not_native(workflow.client)
    if reason is not None:
        found.wrong(reason, Verdict.UPSTREAM)
        return
    if not urlsplit(url).path.endswith("/api/v1"):
        found.note(f"the address is {url}: hostPort usually ends with /api")
    version = _python_version(found, client, url)
    carried = connection.arguments(client)
    _ways(found, carried)
    if not _native_version(found, carried, workflow, chosen, away=version is None) or version is None:
        return
    _token(found, client)
    _bulk(found, client)


def _python_version(found: Findings, client: Any, url: str) -> str | None:
    try:
        answer = client.get("/system/version")
        version = str(answer["version"]) if answer else ""
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the finding
        text = f"upstream's client does not reach {url}/system/version: {_reason(found, error)}"
        found.wrong(text, Verdict.REFUSED if _status(error) in (401, 403) else Verdict.AWAY)
        return None
    if not version:  # it has met something that it has no words for, and goes on
        found.wrong(f"upstream's client gets no answer from {url}/system/version", Verdict.AWAY)
        return None
    found.fine(f"{url} is a server of version {version}")
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and numbers < [1, 11]:
        found.wrong("bulk requests came with 1.11", Verdict.UPSTREAM)
    return version


#: Where a proxy listens whose address names no port.
_PORTS = {"http": 80, "https": 443}


def _ways(found: Findings, carried: dict[str, Any]) -> None:
    proxy = carried.get("proxy")
    if proxy:
        parts = urlsplit(proxy)
        found.fine(f"through the proxy {parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}")
    if carried["base_url"].startswith("https"):
        if carried.get("verify") is False:
            found.note("the server's certificate is not checked (verifySSL)")
        else:
            count = carried["ca_certificates"].count(b"-----BEGIN CERTIFICATE-----")
            own = ", and a client certificate" if "client_certificate" in carried else ""
            found.fine(f"TLS with {count} trusted roots{own}")


def _native_version(
    found: Findings,
    carried: dict[str, Any],
    workflow: workflow_file.Workflow,
    chosen: settings.Tuning,
    *,
    away: bool,
) -> bool:
    """Whether the native client reaches the server. away: upstream's does not, so that the two do not differ."""
    from openmetadata_bulksink import _native

    how = settings.writing(workflow.sink_config, chosen)
    try:
        engine = _native.BulkSink(**settings.engine_arguments(chosen, how, carried))
    except (_native.ConfigurationError, TypeError) as error:
        found.wrong(f"the native client refuses these settings: {error}", Verdict.UPSTREAM)
        return False
    try:
        version = engine.server_version()
    except _native.ConfigurationError as error:
        found.wrong(f"the native client refuses these settings: {_reason(found, error)}", Verdict.UPSTREAM)
        return False
    except _native.TransportError as error:
        text = f"the native client does not reach the server: {_reason(found, error)}"
        found.wrong(text, Verdict.AWAY if away else Verdict.UPSTREAM)
        return False
    finally:
        engine.close()
    how = settings.writing(workflow.sink_config, chosen, version)
    found.fine(f"the native client reaches it; it would write with {how.describe()}")
    return True


def _token(found: Findings, client: Any) -> None:
    try:
        who = client.get("/users/loggedInUser")
        found.fine(f"the token belongs to {who['name']}")
    except Exception as error:  # noqa: BLE001 - as above
        text = _reason(found, error)
        if _status(error) in (401, 403):
            found.wrong(
                f"the token is not accepted: {text}; renew securityConfig.jwtToken of the workflow", Verdict.REFUSED
            )
        else:
            found.note(f"whose token it is could not be asked: {text}")


def _bulk(found: Findings, client: Any) -> None:
    try:
        client.put("/databases/bulk?async=false", data="[]")
        found.fine("it has bulk endpoints")
    except Exception as error:  # noqa: BLE001 - as above
        status = _status(error)
        if status in (404, 405):
            found.wrong(f"it has no bulk endpoint ({status})", Verdict.REFUSED)
        elif status in (401, 403):
            found.wrong(f"the token may not write in bulk: {_reason(found, error)}", Verdict.REFUSED)
        else:
            found.note(f"an empty bulk request was answered with: {_reason(found, error)}")


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _reason(found: Findings, error: Exception) -> str:
    """Masked before it is cut, or the cut leaves a part of a secret that no mask knows."""
    return _cut(found.mask(_short(error)))


def _short(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) < 300 else text[:300] + " ..."
