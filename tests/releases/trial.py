"""One release: does the doctor find all well, which accelerators know it, and do small ingestions leave the same
catalogue with and without our sink?
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.ingest import Postgres, ReferenceServer, Session, compare, workflow
from tests.ingest.runs import RunFailed
from tests.ingest.sources import PostgresShape, fill_postgres, postgres_source, sqlite_file, sqlite_source
from tests.releases.environment import environment, taken

_KNOWN = "accelerators that know this upstream: "
_ASIDE = "accelerator steps aside: "
_START = "openmetadata-bulksink "


@dataclass
class Result:
    """What was seen of a release. problems: empty where all is well. aside: reasons of accelerators that stepped
    aside, by the doctor, which has all of upstream's sources in its process.
    """

    version: str
    doctor: str = ""
    sqlalchemy: str = ""
    active: list[str] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    megabytes: int = 0

    def write(self, folder: Path) -> None:
        """Leave it for the page, and for a run that goes on."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{self.version}.part"
        part.write_text(json.dumps(asdict(self), indent=2) + "\n")
        part.rename(folder / f"{self.version}.json")


def read(path: Path) -> Result:
    """A result that was written."""
    return Result(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Programs:
    """What a trial needs besides the environment."""

    wheel: Path
    server: Path
    postgres: Path


def trial(version: str, programs: Programs) -> Result:
    """Try a release. What fails is in its problems; only what stops the run itself is raised."""
    result = Result(version)
    with (
        environment(version, programs.wheel) as path,
        tempfile.TemporaryDirectory(prefix="bulksink-releases-") as folder,
        ReferenceServer(programs.server, profile=".".join(version.split(".")[:2])) as server,
        Postgres(programs.postgres) as database,
    ):
        sources = _sources(Path(folder), database, version)
        try:
            _doctor(path, server, sources["sqlite"], Path(folder), result)
            _ingestions(path, server, sources, result)
        except (subprocess.SubprocessError, RunFailed, AssertionError, RuntimeError, OSError, ValueError) as error:
            result.problems.append(f"{type(error).__name__}: {error}"[:2_000])
        result.megabytes = taken() // 1024**2
    return result


def _sources(folder: Path, database: Postgres, version: str) -> dict[str, dict[str, Any]]:
    keys = 1 if _loses_keys(version) else 2
    fill_postgres(database, "shop", PostgresShape(schemas=2, tables=10, columns=6, foreign_keys=keys, rich=True))
    options = {"schemaFilterPattern": {"excludes": ["^information_schema$"]}}
    return {
        "sqlite": sqlite_source(sqlite_file(folder / "shop.db", tables=40, columns=6, views=2), service="lite"),
        "postgres": postgres_source(database, "shop", service="pg", options=options),
    }


def _loses_keys(version: str) -> bool:
    """Whether upstream patches keys in one by one, each in place of the others."""
    return tuple(int(part) for part in version.split(".")[:3]) < (2, 0, 3)


def _doctor(path: Path, server: ReferenceServer, source: Mapping[str, Any], folder: Path, result: Result) -> None:
    file = folder / "workflow.json"
    file.write_text(json.dumps(workflow(source=source, server_url=server.url, token=server.token)))
    ran = subprocess.run(
        [path / "bin" / "openmetadata-bulksink", "doctor", "-c", file, "--json"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if not ran.stdout.startswith("{"):
        result.problems.append(f"the doctor ended with {ran.returncode}: {ran.stderr[-1_000:]}")
        return
    found = json.loads(ran.stdout)
    result.doctor = found["summary"]
    if ran.returncode != 0:
        result.problems.append(
            f"the doctor says: {[line['text'] for line in found['findings'] if line['kind'] == 'no']}"
        )
    for line in found["findings"]:
        if line["text"].startswith(_KNOWN):
            result.active = line["text"].removeprefix(_KNOWN).split(", ")
        elif line["text"].startswith(_ASIDE):
            result.aside.append(line["text"].removeprefix(_ASIDE))
    alchemy = "import importlib.metadata; print(importlib.metadata.version('sqlalchemy'))"
    result.sqlalchemy = subprocess.run(
        [path / "bin" / "python", "-c", alchemy], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


def _ingestions(path: Path, server: ReferenceServer, sources: Mapping[str, Mapping[str, Any]], result: Result) -> None:
    states: dict[str, list[Any]] = {name: [] for name in sources}
    for switch in ("0", "1"):
        with Session(path, {"OM_BULKSINK": switch}) as session:
            for name, source in sources.items():
                server.reset()
                run = session.run(workflow(source=source, server_url=server.url, token=server.token))
                run.require_success()
                if (f"{_START}" in run.output and " writes to " in run.output) != (switch == "1"):
                    result.problems.append(f"{name}, OM_BULKSINK={switch}: the wrong sink wrote\n{run.output[-1_500:]}")
                states[name].append(server.state())
                if switch == "1" and (broken := server.violations()):
                    result.problems.append(f"{name}: the server objects to {broken[:3]}")
    first_loses_keys = _loses_keys(result.version)
    for name, (theirs, ours) in states.items():
        result.tables[name] = len(ours.get("tables", ()))
        different = compare(theirs, ours, first_loses_keys=first_loses_keys)
        if different:
            result.problems.append(f"{name}: {len(different)} differences, as {different[0]}")
        if not result.tables[name]:
            result.problems.append(f"{name}: no table was written")
