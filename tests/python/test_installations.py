"""The ways in which people install upstream and us beside each other: which class a workflow gets in each, under both
sink types and by our command, switched on, switched off, and when we are uninstalled.

Upstream is a distribution of three small modules here, laid out as the real one: whether our class takes a place in
its module does not depend on what stands in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from tests.python.conftest import prepared

pytestmark = pytest.mark.wheel

_SINK = "class MetadataRestSink:\n    pass\n"
_COMMAND = """
import sys

def metadata():
    from metadata.ingestion.sink.native_rest import NativeRestSink
    print(sys.argv, "ours" if "_bulksink_replaces" in vars(NativeRestSink) else "upstream's")
"""
_WHICH = """
import metadata.ingestion.sink.metadata_rest as rest
from metadata.ingestion.sink.native_rest import NativeRestSink
assert NativeRestSink is rest.MetadataRestSink
print("ours" if "_bulksink_replaces" in vars(NativeRestSink) else "upstream's")
"""
_UPSTREAM_ALONE = """
import metadata.ingestion.sink.metadata_rest as rest
print(rest.MetadataRestSink.__mro__[1].__name__)
"""


class Installation(ABC):
    """Stand-in and wheel, installed in one of the ways.

    hooked: Python's start runs our hook there.
    """

    hooked = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = self._venv("venv")
        self._put_upstream()
        self.before = self._files()
        self._put_wheel()

    def python(self, *arguments: str, **variables: str) -> str:
        """What one run of the interpreter prints; anything on standard error is a failure."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))}
        ran = subprocess.run(
            [self.environment / "bin" / "python", *arguments],
            capture_output=True,
            text=True,
            env={**kept, **self._variables(), **variables},
            cwd=self.folder,
            timeout=60,
        )
        assert (ran.stderr, ran.returncode) == ("", 0)
        return ran.stdout.strip()

    def leftovers(self) -> set[str]:
        """Files that are there now and were not before our wheel."""
        return self._files() ^ self.before

    def uninstall(self) -> None:
        """Takes our wheel away."""
        _uv("pip", "uninstall", "--python", self.environment, "openmetadata-bulksink")

    @abstractmethod
    def _put_upstream(self) -> None: ...

    def _put_wheel(self) -> None:
        _uv("pip", "install", "--no-index", "--python", self.environment, prepared("WHEEL"))

    def _variables(self) -> dict[str, str]:
        return {}

    def _venv(self, name: str) -> Path:
        _uv("venv", "--python", sys.executable, self.folder / name)
        return self.folder / name

    def _files(self) -> set[str]:
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.name != ".lock"  # uv's own
        }

    def _source(self, layout: str, package_dir: str) -> Path:
        """The stand-in's project."""
        project = self.folder / "upstream"
        package = project / layout / "metadata"
        sinks = package / "ingestion" / "sink"
        sinks.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "cmd.py").write_text(_COMMAND)
        (sinks / "metadata_rest.py").write_text(_SINK)
        (project / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
            '[project]\nname = "stand-in"\nversion = "1"\n[tool.setuptools]\n'
            f'packages = ["metadata", "metadata.ingestion", "metadata.ingestion.sink"]\npackage-dir = {package_dir}\n'
        )
        return project

    def _wheel_of_upstream(self, build: str, layout: str = "src", package_dir: str = '{"" = "src"}') -> Path:
        """build: the hook of setuptools that makes it, `build_wheel` or `build_editable`."""
        project = self._source(layout, package_dir)
        code = f"import setuptools.build_meta as b; print(b.{build}('dist'))"
        printed = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], cwd=project, capture_output=True, text=True, check=True
        )
        return project / "dist" / printed.stdout.split()[-1]


def _uv(*arguments: str | Path) -> None:
    subprocess.run([prepared("UV"), *arguments, "--quiet", "--offline"], check=True, capture_output=True, timeout=120)


class InOneEnvironment(Installation):
    """Two wheels in a virtual environment."""

    def _put_upstream(self) -> None:
        _uv("pip", "install", "--python", self.environment, self._wheel_of_upstream("build_wheel"))


class EditableByPath(Installation):
    """`pip install -e` where a .pth names the source folder."""

    def _put_upstream(self) -> None:
        _uv("pip", "install", "--python", self.environment, self._wheel_of_upstream("build_editable"))
        assert list(self.environment.glob("lib/*/site-packages/__editable__*.pth"))


class EditableByFinder(Installation):
    """`pip install -e` where the folders need a map, which setuptools puts behind a finder."""

    def _put_upstream(self) -> None:
        made = self._wheel_of_upstream("build_editable", "lib", '{"metadata" = "lib/metadata"}')
        _uv("pip", "install", "--python", self.environment, made)
        assert list(self.environment.glob("lib/*/site-packages/__editable__*finder.py"))


class OneOverAnother(Installation):
    """Upstream in one environment; ours in a second one that adds the first one's packages, as `uv run --with` does."""

    def _put_upstream(self) -> None:
        below = self._venv("below")
        _uv("pip", "install", "--python", below, self._wheel_of_upstream("build_wheel"))
        packages = _packages(below)
        line = f"import site; site.addsitedir({str(packages)!r})\n"
        (_packages(self.environment) / "_overlay.pth").write_text(line)


class OnThePath(Installation):
    """Both by `pip install --target`, and the folder on PYTHONPATH: no .pth file is read there."""

    hooked = False

    def _put_upstream(self) -> None:
        self._install(self._wheel_of_upstream("build_wheel"))

    def _put_wheel(self) -> None:
        self._install(Path(prepared("WHEEL")))

    def _install(self, wheel: Path) -> None:
        _uv("pip", "install", "--no-index", "--python", self.environment, "--target", self._target, wheel)

    def uninstall(self) -> None:
        _uv("pip", "uninstall", "--python", self.environment, "--target", self._target, "openmetadata-bulksink")

    @property
    def _target(self) -> Path:
        return self.folder / "target"

    def _variables(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self._target)}


def _packages(environment: Path) -> Path:
    scheme = sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)})
    return Path(scheme)


@pytest.mark.parametrize(
    "kind",
    [InOneEnvironment, EditableByPath, EditableByFinder, OneOverAnother, OnThePath],
    ids=lambda kind: kind.__name__,
)
def test_which_class_a_workflow_gets(kind: type[Installation], tmp_path: Path) -> None:
    installation = kind(tmp_path)
    for switch, whose in (("1", "ours"), ("0", "upstream's")):
        if installation.hooked:
            assert installation.python("-c", _WHICH, OM_BULKSINK=switch) == whose
        else:
            assert installation.python("-c", _UPSTREAM_ALONE, OM_BULKSINK=switch) == "object"
        command = installation.python("-m", "openmetadata_bulksink", "ingest", "-c", "x.yaml", OM_BULKSINK=switch)
        assert command == f"['metadata', 'ingest', '-c', 'x.yaml'] {whose}"
    assert any("_openmetadata_bulksink_boot.py" in name for name in installation.leftovers())
    installation.uninstall()
    assert installation.leftovers() == set()
    assert installation.python("-c", _UPSTREAM_ALONE) == "object"


def test_the_wheel_has_nothing_under_upstreams_package() -> None:
    names = zipfile.ZipFile(prepared("WHEEL")).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {
        "openmetadata_bulksink",
        "_openmetadata_bulksink_boot.py",
        "openmetadata-bulksink-init.pth",
        "openmetadata-bulksink-init.start",
    }
