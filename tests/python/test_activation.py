"""The built wheel in fresh environments: what `pip install` switches on, what switches it off, and what it leaves.

`maturin develop` installs no start-up hook, so nothing here works on the source tree.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.python.conftest import prepared
from tools import machine

pytestmark = pytest.mark.wheel

SERIES = ("3.10", "3.11", "3.12", "3.13")
_HOOKED = """
import sys
hooks = [finder.replaces for finder in sys.meta_path if type(finder).__name__ == "_Hook"]
print(len(hooks), sum(hooks))
"""


def _interpreters() -> list[str]:
    found = []
    for series in SERIES:
        try:
            found.append(str(machine.python(series).executable))
        except machine.Missing:
            continue
    return found


class Fresh:
    """A virtual environment with our wheel and nothing else."""

    def __init__(self, folder: Path, interpreter: str, installer: str) -> None:
        self.folder = folder
        self._installer = installer
        self._uv = prepared("UV")
        if installer == "pip":
            self._run([interpreter, "-m", "venv", str(folder)])
        else:
            self._run([self._uv, "venv", "--quiet", "--python", interpreter, str(folder)])
        self.before = self.files()

    def files(self) -> set[str]:
        """Everything in it, byte code aside."""
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.name != ".lock"  # uv's own
        }

    def install(self) -> None:
        """Installs the wheel, without an index."""
        wheel = prepared("WHEEL")
        if self._installer == "pip":
            self._run([self._python, "-m", "pip", "install", "--quiet", "--no-index", wheel])
        else:
            self._run([self._uv, "pip", "install", "--quiet", "--no-index", "--python", self._python, wheel])

    def uninstall(self) -> None:
        """Takes it away again."""
        if self._installer == "pip":
            self._run([self._python, "-m", "pip", "uninstall", "--quiet", "--yes", "openmetadata-bulksink"])
        else:
            self._run([self._uv, "pip", "uninstall", "--quiet", "--python", self._python, "openmetadata-bulksink"])

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """One run of its interpreter."""
        return subprocess.run(
            [self._python, *arguments], capture_output=True, text=True, env=variables, cwd=self.folder, timeout=60
        )

    @property
    def _python(self) -> str:
        return str(self.folder / "bin" / "python")

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.fixture(params=_interpreters(), ids=lambda path: Path(path).name)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Fresh]:
    return lambda installer: Fresh(tmp_path / installer, request.param, installer)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_installing_hooks_and_uninstalling_leaves_nothing(fresh: Callable[[str], Fresh], installer: str) -> None:
    environment = fresh(installer)
    environment.install()
    hooked = environment.python("-c", _HOOKED)
    assert (hooked.stdout, hooked.stderr, hooked.returncode) == ("1 1\n", "", 0)
    imported = environment.python("-c", "import openmetadata_bulksink as b; print(b.BulkSink.__name__, b.__version__)")
    assert imported.stdout.startswith("BulkSink 0."), imported.stderr
    environment.uninstall()
    assert environment.files() == environment.before
    without = environment.python("-c", _HOOKED)
    assert (without.stdout, without.stderr) == ("0 0\n", "")


def test_each_way_to_start_python(fresh: Callable[[str], Fresh]) -> None:
    environment = fresh("uv")
    environment.install()
    hooks = {
        "isolated": environment.python("-I", "-c", _HOOKED),
        "no environment": environment.python("-E", "-c", _HOOKED),
        "no site": environment.python("-S", "-c", _HOOKED),
        "switched off": environment.python("-c", _HOOKED, OM_BULKSINK="0"),
        "twice": environment.python("-c", f"import site; site.main(){_HOOKED}"),
    }
    assert all(run.stderr == "" and run.returncode == 0 for run in hooks.values()), hooks
    seen = {name: run.stdout for name, run in hooks.items()}
    assert seen == {
        "isolated": "1 1\n",
        "no environment": "1 1\n",
        "no site": "0 0\n",
        "switched off": "1 0\n",
        "twice": "1 1\n",
    }


def test_children_are_hooked_too(fresh: Callable[[str], Fresh]) -> None:
    environment = fresh("uv")
    environment.install()
    script = """
import multiprocessing, sys

def hooks(queue):
    queue.put(sum(type(finder).__name__ == "_Hook" for finder in sys.meta_path))

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=hooks, args=(queue,))
        child.start()
        print(method, queue.get(timeout=30))
        child.join()
"""
    file = environment.folder / "children.py"
    file.write_text(script)
    ran = environment.python(str(file))
    assert ran.stdout == "fork 1\nspawn 1\nforkserver 1\n", ran.stderr


def test_a_start_of_python_imports_one_module_of_ours_and_none_for_it(fresh: Callable[[str], Fresh]) -> None:
    """The hook runs in every Python of the environment; what it costs there is what it imports (times: `make
    bench-start-up`).
    """
    environment = fresh("uv")
    # Another one's: what Python loads to read any such file is not ours.
    (packages,) = environment.folder.glob("lib/python*/site-packages")
    (packages / "other.pth").write_text("# nothing\n")

    def modules() -> set[str]:
        return set(environment.python("-c", "import sys; print('\\n'.join(sys.modules))").stdout.split())

    before = modules()
    environment.install()
    assert modules() - before == {"_openmetadata_bulksink_boot"}


def test_importing_the_package_imports_nothing_else(fresh: Callable[[str], Fresh]) -> None:
    """No module of Python's, upstream's or ours, and no thread; a name that is asked for brings what it needs."""
    environment = fresh("uv")
    environment.install()
    script = """
import sys
before = set(sys.modules)
import openmetadata_bulksink
print(sorted(set(sys.modules) - before))
import threading
print(threading.active_count())
openmetadata_bulksink.BulkSink
print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] in ("metadata", "openmetadata_bulksink")))
"""
    ran = environment.python("-c", script)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "['openmetadata_bulksink']",
        "1",
        "['openmetadata_bulksink', 'openmetadata_bulksink._native']",
    ]


def test_the_command_is_installed(fresh: Callable[[str], Fresh]) -> None:
    environment = fresh("uv")
    environment.install()
    ran = subprocess.run(
        [environment.folder / "bin" / "openmetadata-bulksink", "--help"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "doctor" in ran.stdout


@pytest.mark.upstream
def test_the_class_is_replaced_where_upstream_looks_for_it(sink_environment: Path) -> None:
    """In a process that knows nothing of us: the workflow's class, and no trace of the hook in its loader."""
    script = """
import sys
from metadata.utils.importer import import_sink_class
sink = import_sink_class("metadata-rest")
import metadata.ingestion.sink.metadata_rest as module
print(sink.__module__, sink.__qualname__, [c.__qualname__ for c in sink.__mro__].count("MetadataRestSink"))
print(type(module.__loader__).__name__, type(module.__spec__.loader).__name__, vars(module.__spec__.loader).keys())
native = import_sink_class("native-rest")
print(native is sink)
"""
    python = sink_environment / "bin" / "python"
    ran = subprocess.run([python, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0, ran.stderr
    assert lines[0] == "metadata.ingestion.sink.metadata_rest MetadataRestSink 2"
    assert lines[1] == "SourceFileLoader SourceFileLoader dict_keys(['name', 'path'])"
    assert lines[2] == "True"


@pytest.mark.upstream
def test_under_pytest_with_upstreams_plugin(sink_environment: Path, tmp_path: Path) -> None:
    """The plugin has pytest rewrite all of upstream's modules, by a hook that stands before ours."""
    (tmp_path / "test_it.py").write_text(
        "import metadata.ingestion.sink.metadata_rest as module\n"
        "import importlib\n"
        "def test_ours():\n"
        "    assert type(module.__loader__).__name__ == 'AssertionRewritingHook'\n"
        "    assert '_bulksink_replaces' in vars(module.MetadataRestSink)\n"
        "    importlib.reload(module)\n"
        "    assert '_bulksink_replaces' in vars(module.MetadataRestSink)\n"
    )
    command = [sink_environment / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout
