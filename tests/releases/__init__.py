"""Every release of upstream that we say we support, tried: `make releases`.

One environment at a time, made from the committed requirements and removed before the next one. A run that was stopped
goes on where it was: each release leaves one JSON file.

    environment.py  an environment of a release, for as long as it is tried; what all of it may take on the disk
    trial.py        one release: the doctor, and small ingestions of SQLite and PostgreSQL with and without our sink
    page.py         docs/releases.md, out of the JSON files
    functions.py    what changed between two releases in the functions that we stand in for or call
    asked.py        the program inside upstream's environment that lists them
"""

from pathlib import Path

#: Where the results of a run lie, one file a release.
RESULTS = Path(__file__).resolve().parents[2] / "target" / "releases"
#: Results that were kept: a run does not try those releases again.
KEPT = Path(__file__).resolve().parent / "results"

#: Spread over the lines and over the variants of upstream's functions; `make test-versions` tries these.
SPREAD = ("1.11.0.0", "1.11.8.1", "1.11.12.2", "1.12.0.0", "1.12.8.4", "1.13.0.0", "2.0.0.0", "2.0.5.1")
