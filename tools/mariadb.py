"""The programs of a MariaDB: found, or installed from Debian's packages where we are root.

Starting a server is not done here: `tests/ingest/mariadb.py` does that.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from tools import debian

#: The programs without the package that would start a server of its own.
_PACKAGES = ("mariadb-server-core", "mariadb-client-core")
_HOW = f"install it, on Debian with `apt-get install {' '.join(_PACKAGES)}`, or put its programs on PATH"


class Programs(NamedTuple):
    """The paths of `mariadbd`, `mariadb-install-db` and the client `mariadb`."""

    server: Path
    install_db: Path
    client: Path


def programs() -> Programs:
    """Raises machine.Missing."""
    return debian.found_or_installed("MariaDB", _find, lambda: debian.install("MariaDB", _PACKAGES, _HOW), _HOW)


def _find() -> Programs | None:
    # A user's PATH may lack /usr/sbin, where Debian puts the server.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/bin"))
    found = [shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db", "mariadb")]
    return None if None in found else Programs(*(Path(str(program)) for program in found))
