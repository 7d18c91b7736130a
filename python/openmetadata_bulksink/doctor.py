"""`openmetadata-bulksink doctor`: would the native sink be used here, and if not, why not? Changes nothing anywhere.

One line for each thing that was looked at. Asks the server four things: its version (by upstream's client and by the
native one), who the token belongs to, and whether it has a bulk endpoint (an empty bulk request).
"""

from __future__ import annotations

import os
import sys
from importlib import metadata as packages
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import _openmetadata_bulksink_boot as boot
from openmetadata_bulksink import accelerate, activate, connection, eligibility, settings, workflow_file


class Findings:
    """The lines, and whether any of them stands in the way."""

    def __init__(self) -> None:
        self.well = True

    def fine(self, text: str) -> None:
        print(f"  ok    {text}")

    def note(self, text: str) -> None:
        print(f"  note  {text}")

    def wrong(self, text: str) -> None:
        self.well = False
        print(f"  NO    {text}")


def examine(config: Path | None) -> bool:
    """Print what was found. Returns whether a sink would write natively."""
    found = Findings()
    print("Installation")
    _native_module(found)
    _upstream(found)
    chosen = _settings(found)
    if config is None:
        print("Server")
        found.note("not asked: give a workflow's file with -c to check its server too")
    elif found.well and chosen is not None:
        print("Server")
        _server(found, workflow_file.load(config), chosen)
    print(
        "The native sink would be used." if found.well else "The native sink would not be used: upstream's own writes."
    )
    return found.well


def _native_module(found: Findings) -> None:
    try:
        from openmetadata_bulksink import _native
    except ImportError as error:
        found.wrong(f"the native module cannot be imported ({error}); install the wheel for this platform")
        return
    found.fine(f"openmetadata-bulksink {_native.__version__}, Python {sys.version.split()[0]}")


def _upstream(found: Findings) -> None:
    try:
        version = packages.version("openmetadata-ingestion")
    except packages.PackageNotFoundError:
        found.wrong("openmetadata-ingestion is not installed in this environment")
        return
    hooked = boot.is_in_place()
    loaded_before = activate.MODULE in sys.modules
    ours = activate.active_class()
    original = ours.__dict__["_bulksink_replaces"] if ours is not None else None
    if original is None:
        module = sys.modules.get(activate.MODULE)
        original = getattr(module, activate.ATTRIBUTE, None)
    problem = eligibility.shape_problem(original) if original is not None else "its REST sink cannot be imported"
    if problem is None:
        found.fine(f"openmetadata-ingestion {version}, whose sink is known")
    else:
        found.wrong(f"openmetadata-ingestion {version}: {problem}")
    if settings.switched_off():
        found.wrong("switched off by OM_BULKSINK; unset it or set it to 1")
    elif ours is not None and (hooked or loaded_before):
        found.fine("the start-up hook is active: `metadata ingest` uses the native sink by itself")
    elif ours is not None:
        found.fine("the native sink is in place in this process")
    else:
        found.wrong(
            "the start-up hook has not run (python -S, or packages that are only on PYTHONPATH): run "
            "`python -m openmetadata_bulksink ingest -c FILE`, or call openmetadata_bulksink.install()"
        )


def _settings(found: Findings) -> settings.Tuning | None:
    try:
        chosen = settings.tuning()
    except settings.SettingError as error:
        found.wrong(str(error))
        return None
    names = sorted(name for name in os.environ if name.startswith(settings.PREFIX))
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
    return chosen


def _server(found: Findings, workflow: workflow_file.Workflow, chosen: settings.Tuning) -> None:
    client = workflow.client.client
    url = connection.base_url(client)
    if not urlsplit(url).path.endswith("/api/v1"):
        found.note(f"the address is {url}: hostPort usually ends with /api")
    version = _python_version(found, client, url)
    reason = eligibility.why_not_native(workflow.client)
    if reason is not None:
        found.wrong(reason)
        return
    carried = connection.arguments(client)
    _ways(found, carried)
    _native_version(found, carried, workflow, chosen)
    if version is not None:
        _token(found, client)
        _bulk(found, client)


def _python_version(found: Findings, client: Any, url: str) -> str | None:
    try:
        version = str(client.get("/system/version")["version"])
    except Exception as error:  # noqa: BLE001 - whatever the client raises is the finding
        found.wrong(f"upstream's client does not reach {url}/system/version: {_short(error)}")
        return None
    found.fine(f"{url} is a server of version {version}")
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and numbers < [1, 11]:
        found.wrong("bulk requests came with 1.11")
    return version


def _ways(found: Findings, carried: dict[str, Any]) -> None:
    proxy = carried.get("proxy")
    if proxy:
        parts = urlsplit(proxy)
        found.fine(f"through the proxy {parts.scheme}://{parts.hostname}:{parts.port or 80}")
    if carried["base_url"].startswith("https"):
        if carried.get("verify") is False:
            found.note("the server's certificate is not checked (verifySSL)")
        else:
            count = carried["ca_certificates"].count(b"-----BEGIN CERTIFICATE-----")
            own = ", and a client certificate" if "client_certificate" in carried else ""
            found.fine(f"TLS with {count} trusted roots{own}")


def _native_version(
    found: Findings, carried: dict[str, Any], workflow: workflow_file.Workflow, chosen: settings.Tuning
) -> None:
    from openmetadata_bulksink import _native

    how = settings.writing(workflow.sink_config, chosen)
    try:
        engine = _native.BulkSink(**settings.engine_arguments(chosen, how, carried))
    except (_native.ConfigurationError, TypeError) as error:
        found.wrong(f"the native client refuses these settings: {error}")
        return
    try:
        version = engine.server_version()
    except _native.TransportError as error:
        found.wrong(f"the native client does not reach the server: {error}")
        return
    finally:
        engine.close()
    how = settings.writing(workflow.sink_config, chosen, version)
    found.fine(f"the native client reaches it; it would write with {how.describe()}")


def _token(found: Findings, client: Any) -> None:
    try:
        who = client.get("/users/loggedInUser")
        found.fine(f"the token belongs to {who['name']}")
    except Exception as error:  # noqa: BLE001 - as above
        found.wrong(f"the token is not accepted: {_short(error)}; renew securityConfig.jwtToken of the workflow")


def _bulk(found: Findings, client: Any) -> None:
    try:
        client.put("/databases/bulk?async=false", data="[]")
        found.fine("it has bulk endpoints")
    except Exception as error:  # noqa: BLE001 - as above
        status = getattr(error, "status_code", None)
        if status in (404, 405):
            found.wrong(f"it has no bulk endpoint ({status})")
        elif status == 403:
            found.wrong(f"the token may not write in bulk: {_short(error)}")
        else:
            found.note(f"an empty bulk request was answered with: {_short(error)}")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else text[:300] + " ..."
