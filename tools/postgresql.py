"""The programs of a PostgreSQL 15: found, or installed from Debian's packages where we are root.

Starting a server is not done here: `tests/ingest/postgres.py` does that.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tools import debian

MAJOR = 15
_PROGRAMS = ("initdb", "postgres", "psql")
_WHAT = f"PostgreSQL {MAJOR}"
_HOW = f"install it, on Debian with `apt-get install postgresql-{MAJOR}`, or put its pg_config on PATH"
_NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/openmetadata-bulksink.conf")


def programs() -> Path:
    """The directory with initdb, postgres and psql; raises machine.Missing."""
    return debian.found_or_installed(_WHAT, _find, _install, _HOW)


def _find() -> Path | None:
    candidates = [Path(f"/usr/lib/postgresql/{MAJOR}/bin"), Path(f"/usr/pgsql-{MAJOR}/bin")]
    if config := shutil.which("pg_config"):
        printed = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False).stdout.strip()
        candidates.insert(0, Path(printed))
    for directory in candidates:
        if all((directory / name).exists() for name in _PROGRAMS) and _major(directory / "postgres") == MAJOR:
            return directory
    return None


def _major(postgres: Path) -> int | None:
    printed = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\b(\d+)(?:\.\d+|devel|beta|rc)", printed)
    return int(match.group(1)) if match else None


def _install() -> None:
    debian.installer(_WHAT, _HOW)
    # The package would create a cluster and start it on port 5432; we want the programs only.
    _NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    _NO_CLUSTER.write_text("create_main_cluster = false\n")
    try:
        debian.install(_WHAT, [f"postgresql-{MAJOR}"], _HOW)
    finally:
        _NO_CLUSTER.unlink(missing_ok=True)
