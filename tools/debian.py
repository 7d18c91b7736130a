"""Programs that come as Debian's packages: installed where we are root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import TypeVar

from tools import machine, steps

Found = TypeVar("Found")


def installer(what: str, how: str) -> str:
    """The path of apt-get, for root. what: the program that is missing, for people. how: what they can do where this
    cannot. Raises machine.Missing.
    """
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise machine.Missing(f"{what} is missing: {how}")
    return apt


def found_or_installed(what: str, find: Callable[[], Found | None], install: Callable[[], None], how: str) -> Found:
    """What `find` finds, after an installation where it finds nothing. what, how: as for `installer`. Raises
    machine.Missing.
    """
    found = find()
    if found is None:
        install()
        found = find()
    if found is None:
        raise machine.Missing(f"{what} was installed and is not where it is looked for: {how}")
    return found


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
