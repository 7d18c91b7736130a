"""Programs that come as Debian's packages: installed where we are root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from tools import machine, steps


def installer(what: str, how: str) -> str:
    """The path of apt-get, for root. what: the program that is missing, for people. how: what they can do where this
    cannot. Raises machine.Missing.
    """
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise machine.Missing(f"{what} is missing: {how}")
    return apt


def install(what: str, packages: Sequence[str], how: str) -> None:
    """Installs packages. Arguments and errors as those of `installer`."""
    apt = installer(what, how)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    command = [apt, "install", "-q", "-y", "--no-install-recommends", *packages]
    try:
        steps.run(f"{what}: reading the package lists", [apt, "update", "-q"], environment=quiet)
        steps.run(f"{what}: installing", command, environment=quiet)
    except steps.StepFailed as failure:
        raise machine.Missing(f"{what} is missing and its packages could not be installed: {how}\n{failure}") from None
