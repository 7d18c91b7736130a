"""`make releases`: tries releases of upstream, one after the other, and writes docs/releases.md when all were tried.

`RELEASES="1.11.0.0 2.0.5.1" make releases` tries some. `python3 -m tests.releases changes OLD NEW` says what changed in
upstream's functions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.releases import KEPT, RESULTS, SPREAD, functions, page
from tests.releases.trial import Programs, Result, read, trial
from tools import artifacts, environments, postgresql


def main() -> int:
    """Returns 1 where a release has a problem."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.releases")
    words = parser.add_subparsers(dest="word", required=True)
    tries = words.add_parser("try", help="try releases")
    tries.add_argument("versions", nargs="*", metavar="VERSION", help="default: all that have requirements")
    tries.add_argument("--spread", action="store_true", help=f"try {', '.join(SPREAD)}")
    tries.add_argument("--again", action="store_true", help="also those that have a result")
    tries.add_argument("--results", type=Path, default=RESULTS, help="the folder of the results")
    words.add_parser("page", help="write docs/releases.md from the results that are there")
    changes = words.add_parser("changes", help="what changed in upstream's functions from one release to another")
    changes.add_argument("old", metavar="OLD")
    changes.add_argument("new", metavar="NEW")
    chosen = parser.parse_args()
    if chosen.word == "changes":
        return functions.print_changes(chosen.old, chosen.new, artifacts.wheel())
    if chosen.word == "page":
        return _write_page(RESULTS)
    versions = list(SPREAD) if chosen.spread else chosen.versions or environments.releases()
    status = _try(versions, chosen.results, again=chosen.again)
    if not chosen.versions and not chosen.spread:
        _write_page(chosen.results)
    return status


def _try(versions: Sequence[str], folder: Path, *, again: bool) -> int:
    programs = Programs(artifacts.wheel(), artifacts.reference_server(), postgresql.programs())
    status = 0
    for version in versions:
        known = None if again else _known(version, folder)
        if known is not None and not known.problems:
            result = known
        else:
            result = trial(version, programs)
            result.write(folder)
        status |= _tell(result)
    return status


def _known(version: str, folder: Path) -> Result | None:
    """What was seen of a release, the last time."""
    files = (place / f"{version}.json" for place in (folder, KEPT))
    return next((read(file) for file in files if file.exists()), None)


def _tell(result: Result) -> int:
    unexplained = page.unexplained(result)
    for line in (*result.problems, *(f"without a reason on the page: {line}" for line in unexplained)):
        print(f"  {result.version}: {line}", flush=True)
    well = not result.problems and not unexplained
    state = "well" if well else "BAD"
    print(
        f"{result.version}: {state}, {len(result.active)} accelerators, {result.megabytes} MB on the disk", flush=True
    )
    return 0 if well else 1


def _write_page(folder: Path) -> int:
    versions = environments.releases()
    found = [_known(version, folder) for version in versions]
    page.write([one for one in found if one is not None], len(versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
