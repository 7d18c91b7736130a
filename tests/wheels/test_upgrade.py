"""An older version over a newer one and back: what is installed is that version and nothing else, and works."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.ingest import ReferenceServer, workflow
from tests.ingest.sources import sqlite_source
from tests.prepared import prepared
from tools import environments, portable

GONE = "openmetadata_bulksink/only_in_the_older_one.py"
_WHOSE = """
import metadata.ingestion.sink.metadata_rest as rest
print("ours" if "_bulksink_replaces" in vars(rest.MetadataRestSink) else "upstream's")
"""


class Installed:
    """Upstream's environment, copied, with a version of ours in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "environment"
        self.folder.mkdir()
        environments.copy_environment(Path(prepared("UPSTREAM")), self.folder)
        (self.packages,) = self.folder.glob("lib/python*/site-packages")

    def put(self, wheel: Path) -> None:
        """As `pip install FILE` does, over whatever version is there."""
        command = [prepared("UV"), "pip", "install", "--no-deps", "--quiet", "--offline"]
        subprocess.run([*command, "--python", self.folder / "bin" / "python", wheel], check=True)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """One program of the environment; fails where it does."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))}
        command = [self.folder / "bin" / words[0], *words[1:]]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=240, env=kept, cwd=self.folder)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def ours(self) -> set[str]:
        """Files of ours in site-packages, without byte code."""
        found = (
            path
            for pattern in ("*openmetadata*bulksink*", "*openmetadata-bulksink*")
            for path in self.packages.glob(pattern)
        )
        files = (file for path in found for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
        return {str(file.relative_to(self.packages)) for file in files if file.suffix != ".pyc"}

    def recorded(self) -> dict[str, str]:
        """What RECORD says: a digest for each file."""
        (record,) = self.packages.glob("openmetadata_bulksink-*.dist-info/RECORD")
        return {row[0]: row[1] for row in csv.reader(record.read_text().splitlines()) if not row[0].endswith(".pyc")}


def with_a_module_more(wheel: Path, folder: Path) -> Path:
    """The same wheel with one module that no other version has."""
    copy = folder / wheel.name
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content + f"{GONE},,\n".encode() if name.endswith(".dist-info/RECORD") else content)
        target.writestr(GONE, "")
    return copy


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A workflow against a server that runs."""
    with ReferenceServer(Path(prepared("SERVER"))) as server:
        file = tmp_path / "workflow.yaml"
        source = sqlite_source(tmp_path / "none.db", service="upgraded")
        file.write_text(yaml.safe_dump(workflow(source=source, server_url=server.url, token=server.token)))
        yield file


def test_an_upgrade_and_a_downgrade(tmp_path: Path, config: Path) -> None:
    newer = Path(prepared("PORTABLE_WHEEL"))
    older = with_a_module_more(Path(prepared("OLDER_WHEEL")), tmp_path)
    environment = Installed(tmp_path)
    before = environment.ours()
    assert before == set()
    for wheel, version in (
        (older, portable.OLDER),
        (newer, prepared("STATED_VERSION")),
        (older, portable.OLDER),
        (newer, prepared("STATED_VERSION")),
    ):
        environment.put(wheel)
        is_what_the_wheel_holds(environment, wheel, version)
        assert environment.run("python", "-c", _WHOSE).stdout == "ours\n"
        assert f"openmetadata-bulksink {version}" in environment.run("openmetadata-bulksink", "--version").stdout
        doctor = environment.run("openmetadata-bulksink", "doctor", "-c", config).stdout
        assert f"openmetadata-bulksink {version}" in doctor


def is_what_the_wheel_holds(environment: Installed, wheel: Path, version: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".dist-info/RECORD")}
    folder = f"openmetadata_bulksink-{version}.dist-info"
    # What an installer adds.
    added = {f"{folder}/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")}
    assert environment.ours() - added == held.keys()
    recorded = environment.recorded()
    assert held.keys() <= recorded.keys()
    for name, content in held.items():
        installed = (environment.packages / name).read_bytes()
        assert installed == content, name
        digest = base64.urlsafe_b64encode(hashlib.sha256(installed).digest()).rstrip(b"=").decode()
        assert recorded[name] in ("", f"sha256={digest}"), name
