"""A browser without a screen, for the report's page: found, or installed from Debian's package where we are root."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools import debian

_NAMES = ("chromium-headless-shell", "chromium", "google-chrome")
#: What has no screen needs a font all the same.
_PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core")
_HOW = f"install it, on Debian with `apt-get install {' '.join(_PACKAGES)}`, or put one of {', '.join(_NAMES)} on PATH"


def program() -> Path:
    """The browser's path. Raises machine.Missing."""
    return debian.found_or_installed("a browser", _find, lambda: debian.install("a browser", _PACKAGES, _HOW), _HOW)


def _find() -> Path | None:
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return None if found is None else Path(found)
