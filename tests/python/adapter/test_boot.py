"""The start-up hook, in real interpreters: the boot module, the .pth and .start lines."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parents[3] / "python"
TARGET = "metadata.ingestion.sink.metadata_rest"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a stand-in for upstream's package: only the one module that the hook knows."""
    sink = tmp_path / "metadata" / "ingestion" / "sink"
    sink.mkdir(parents=True)
    (tmp_path / "metadata" / "__init__.py").write_text("")
    (sink / "metadata_rest.py").write_text("class MetadataRestSink:\n    pass\n")
    return tmp_path


def run(code: str, site: Path, *options: str, **environment: str) -> str:
    """Run code with the boot module importable; anything on standard error is a failure."""
    import os

    paths = os.pathsep.join([str(site), str(PYTHON)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OM_BULKSINK")}
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**kept, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.strip()


START = "import sys, _openmetadata_bulksink_boot as b; b.start(); "
HOOKS = "print([type(f).__name__ for f in sys.meta_path].count('_Hook')); "
REPLACED = "print('_bulksink_replaces' in vars(m.MetadataRestSink)); "


def test_the_class_is_replaced_when_the_module_is_imported(site: Path) -> None:
    assert run(START + f"import {TARGET} as m; " + REPLACED, site) == "True"


def test_read_again_it_is_replaced_again(site: Path) -> None:
    code = START + f"import importlib, {TARGET} as m; importlib.reload(m); " + REPLACED
    code += f"del sys.modules['{TARGET}']; m = importlib.import_module('{TARGET}'); " + REPLACED + HOOKS
    assert run(code, site).split() == ["True", "True", "1"]


def test_in_a_process_that_has_imported_it_already(site: Path) -> None:
    assert run(f"import {TARGET} as m; " + START + REPLACED, site) == "True"


def test_behind_a_hook_that_answers_for_all_of_upstream(site: Path) -> None:
    """As pytest's does, with one loader object for all modules; it came later and stands in front."""
    code = (
        START
        + """
from importlib import util
from importlib.machinery import PathFinder, SourceFileLoader
class All:
    def find_spec(self, name, path=None, target=None):
        found = PathFinder.find_spec(name, path)
        if found is None or found.origin is None or not name.startswith("metadata"):
            return None
        inside = found.submodule_search_locations
        return util.spec_from_file_location(name, found.origin, loader=self, submodule_search_locations=inside)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(open(module.__spec__.origin).read(), module.__dict__)
sys.meta_path.insert(0, All())
import importlib
"""
        + f"import {TARGET} as m; print(type(m.__loader__).__name__, vars(m.__loader__)); "
        + REPLACED
        + "import metadata.other; print(metadata.other.HERE)"
    )
    (site / "metadata" / "other.py").write_text("HERE = 1\n")
    assert run(code, site).splitlines() == ["All {}", "True", "1"]


def test_from_a_zip_file(site: Path, tmp_path: Path) -> None:
    archive = tmp_path / "upstream.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((site / "metadata").rglob("*")):
            file.write(path, path.relative_to(site))
    code = f"import sys; sys.path.insert(0, {str(archive)!r}); " + START + f"import {TARGET} as m; " + REPLACED
    assert run(code + "print(type(m.__loader__).__name__)", PYTHON).split() == ["True", "zipimporter"]


def test_a_loader_that_cannot_be_watched_is_named(site: Path) -> None:
    code = (
        START
        + """
import logging
from importlib.machinery import PathFinder, SourceFileLoader
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
class Closed:
    __slots__ = ("one",)
    def __init__(self, one): self.one = one
    def create_module(self, spec): return None
    def exec_module(self, module): self.one.exec_module(module)
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        found = PathFinder.find_spec(name, path)
        if name.endswith("metadata_rest"):
            found.loader = Closed(found.loader)
        return found
sys.meta_path.insert(1, Finder)
"""
        + f"import {TARGET} as m; "
        + REPLACED
    )
    assert run(code, site).splitlines() == [
        "openmetadata-bulksink is not active: upstream's sink comes from a Closed, which cannot be watched",
        "False",
    ]


@pytest.mark.parametrize(("switch", "replaced"), [("1", "True"), ("0", "False")])
def test_the_sink_type_native_rest(site: Path, switch: str, replaced: str) -> None:
    """Nothing of ours lies in upstream's folder; switched off it is upstream's class."""
    code = (
        START
        + "import metadata.ingestion.sink.native_rest as n; "
        + f"import {TARGET} as m; print(n.NativeRestSink is m.MetadataRestSink); "
        + REPLACED
    )
    assert run(code, site, OM_BULKSINK=switch).split() == ["True", replaced]


def test_install_serves_native_rest_where_no_hook_ran(site: Path) -> None:
    code = (
        "import sys, openmetadata_bulksink as b; b.install(); import metadata.ingestion.sink.native_rest as n; "
        "print('_bulksink_replaces' in vars(n.NativeRestSink))"
    )
    assert run(code, site) == "True"


def test_started_twice_it_is_there_once(site: Path) -> None:
    assert run(START + "b.start(); " + HOOKS, site) == "1"


def test_the_loader_stays_pythons_own(site: Path) -> None:
    code = (
        START
        + f"import {TARGET} as m; print(type(m.__loader__).__name__, vars(m.__loader__).keys() & {{'exec_module'}})"
    )
    assert run(code, site) == "SourceFileLoader set()"


def test_looking_for_the_module_does_not_use_the_hook_up(site: Path) -> None:
    code = (
        START
        + f"import importlib.util; importlib.util.find_spec('{TARGET}'); "
        + f"import {TARGET} as m; print('_bulksink_replaces' in vars(m.MetadataRestSink))"
    )
    assert run(code, site) == "True"


def test_kill_switch(site: Path) -> None:
    assert run(START + f"import {TARGET} as m; " + REPLACED, site, OM_BULKSINK="0") == "False"


def test_a_bad_value_is_no_matter_for_the_interpreter(site: Path) -> None:
    assert run(START + HOOKS, site, OM_BULKSINK="perhaps", OM_BULKSINK_NONSENSE="1") == "1"


def test_it_imports_nothing_but_itself(site: Path) -> None:
    """Every interpreter of the environment runs it: what it uses, `site` must have loaded for itself, as `os`."""
    code = "import sys, os; before = set(sys.modules); " + START + "print(sorted(set(sys.modules) - before))"
    assert run(code, site, "-S") == "['_openmetadata_bulksink_boot']"


def test_starting_opens_imports_and_runs_nothing(site: Path) -> None:
    """What costs time in a start of Python is told to audit hooks: files, imports, processes, sockets, compilation."""
    code = (
        "import sys, _openmetadata_bulksink_boot as b\n"
        "seen = []\n"
        "sys.addaudithook(lambda event, _: seen.append(event))\n"
        "b.start()\n"
        "told = list(seen)\n"
        "open('/dev/null').close()\n"
        "print(told, 'open' in seen, [type(f).__name__ for f in sys.meta_path].count('_Hook'))\n"
    )
    assert run(code, site) == "[] True 1"


def test_other_imports_pass_it_by(site: Path) -> None:
    """Each import of the process asks it first; it asks nobody else."""
    code = (
        "import sys, _openmetadata_bulksink_boot as b\n"
        "b.start()\n"
        "seen, find = [], sys.meta_path[0].find_spec\n"
        "sys.setprofile(lambda frame, event, _: seen.append(frame.f_code.co_name) if event == 'call' else None)\n"
        "found = find('json'), find('metadata.ingestion.sink.file')\n"
        "sys.setprofile(None)\n"
        "print(found, seen)\n"
    )
    assert run(code, site) == "(None, None) ['find_spec', 'find_spec']"


def test_a_broken_package_of_ours_leaves_upstream_alone(site: Path) -> None:
    (site / "openmetadata_bulksink").mkdir()
    (site / "openmetadata_bulksink" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    code = START + "import logging; logging.basicConfig(level=20, format='%(message)s', stream=sys.stdout); "
    said = run(code + f"import {TARGET} as m; print(m.MetadataRestSink.__mro__.__len__())", site)
    assert said.splitlines() == ["openmetadata-bulksink is not active: RuntimeError: broken", "2"]


def test_upstream_absent(tmp_path: Path) -> None:
    code = START + "\ntry:\n    import metadata.workflow\nexcept ModuleNotFoundError as e:\n    print(e.name)"
    assert run(code, tmp_path, "-S").startswith("metadata")


@pytest.mark.parametrize("name", ["openmetadata-bulksink-init.pth", "openmetadata-bulksink-init.start"])
def test_the_start_files_are_one_readable_line(name: str) -> None:
    text = (PYTHON / name).read_text()
    assert text.count("\n") == 1
    assert "_openmetadata_bulksink_boot" in text
    assert len(text) < 100


def test_the_pth_runs_it(site: Path) -> None:
    """As `site` does for each folder of packages, `-S` leaves it out."""
    (site / "openmetadata-bulksink-init.pth").write_text((PYTHON / "openmetadata-bulksink-init.pth").read_text())
    assert run(f"import site, sys; site.addsitedir({str(site)!r}); site.addsitedir({str(site)!r}); " + HOOKS, site) in (
        "0" if sys.version_info >= (3, 18) else "1"
    )
    assert run("import sys; " + HOOKS, site, "-S") == "0"


def test_the_start_line_names_a_function() -> None:
    module, _, function = (PYTHON / "openmetadata-bulksink-init.start").read_text().strip().partition(":")
    assert run(f"import {module}; print(callable(getattr({module}, {function!r})))", PYTHON) == "True"
