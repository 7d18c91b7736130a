"""`openmetadata-bulksink doctor --canary`: asks first, runs it, prints the page or the JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from openmetadata_bulksink import doctor
from openmetadata_bulksink.canary import page
from openmetadata_bulksink.canary.examination import Canary, CannotBeAsked, Findings
from openmetadata_bulksink.canary.side import both_sides
from openmetadata_bulksink.settings import SettingError
from openmetadata_bulksink.workflow_file import Unreadable

_WARNING = """\
The canary writes to {address}:
  five services whose names begin with bulksink_canary_, with about 140 entities in each of two of them, and 750
  tables in one that measures; each is deleted for good at the end, with all that is in it, also after Ctrl-C.
  First it makes an empty service and deletes it, to see whether the token may.
  Nothing else is written. While it runs, search shows these entities; alerts, webhooks and the activity feed see them
  come and go. The owner of a few tables is the token's own user.
It takes one or two minutes."""


def run(config: Path | None, *, yes: bool, as_json: bool, probe: bool) -> bool:
    """Returns whether both sinks left the same. Raises SettingError, Unreadable where it cannot be found out."""
    if config is None:
        raise SettingError("--canary needs the workflow's file: add -c FILE")
    if not hasattr(os, "fork"):
        raise SettingError("--canary forks processes, which Windows cannot")
    # All three processes import upstream at the same time.
    with both_sides() as sides:
        _require_well(config)
        canary = Canary(config, _tell, sides, probe=probe)
        _tell(_WARNING.format(address=canary.address))
        if not yes and not _agreed():
            raise SettingError("nothing was written; add --yes if the canary may write to this server")
        try:
            canary.run()
        except CannotBeAsked as reason:
            raise Unreadable(str(reason)) from None
        finally:
            # Also where an interrupt came into the deletion: minutes of work are no less true for it.
            if canary.found.finished:
                _print(canary.found, as_json=as_json)
    return canary.found.same


def _print(found: Findings, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(page.report(found), indent=2, ensure_ascii=False))
    else:
        for line in page.lines(found):
            print(line)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _require_well(config: Path) -> None:
    """The doctor's own questions come first: where our sink would not be used, there is nothing to compare."""
    found = doctor.examine(config)
    if not found.well:
        wrong = "; ".join(line.text for line in found.lines if line.kind == "no")
        raise Unreadable(f"the canary cannot be run: {wrong or found.verdict.value}")


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
