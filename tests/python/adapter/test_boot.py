"""The start-up hook, in real interpreters: the boot module, the .pth and .start lines."""

from __future__ import annotations

import subprocess
import sys
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
HOOKS = "print([type(f).__name__ for f in sys.meta_path].count('_OneModule')); "


def test_the_class_is_replaced_when_the_module_is_imported(site: Path) -> None:
    code = START + f"import {TARGET} as m; print('_bulksink_replaces' in vars(m.MetadataRestSink)); " + HOOKS
    assert run(code, site).split() == ["True", "0"]


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
    code = START + HOOKS + f"import {TARGET} as m; print('_bulksink_replaces' in vars(m.MetadataRestSink))"
    assert run(code, site, OM_BULKSINK="0").split() == ["0", "False"]


def test_a_bad_value_is_no_matter_for_the_interpreter(site: Path) -> None:
    assert run(START + HOOKS, site, OM_BULKSINK="perhaps", OM_BULKSINK_NONSENSE="1") == "1"


def test_it_imports_nothing_of_ours_or_upstreams(site: Path) -> None:
    code = START + "print([m for m in sys.modules if m.startswith(('openmetadata_bulksink', 'metadata'))])"
    assert run(code, site) == "[]"


def test_a_broken_package_of_ours_leaves_upstream_alone(site: Path) -> None:
    (site / "openmetadata_bulksink").mkdir()
    (site / "openmetadata_bulksink" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    assert run(START + f"import {TARGET} as m; print(m.MetadataRestSink.__mro__.__len__())", site) == "2"


def test_upstream_absent(tmp_path: Path) -> None:
    code = START + "\ntry:\n    import metadata.workflow\nexcept ModuleNotFoundError as e:\n    print(e.name)"
    assert run(code, tmp_path, "-S").startswith("metadata")


def test_it_costs_less_than_a_millisecond(site: Path) -> None:
    """The median of many starts in one process, each with the modules as a new interpreter has them."""
    code = (
        "import sys, time\n"
        "times = []\n"
        "for _ in range(50):\n"
        "    sys.modules.pop('_openmetadata_bulksink_boot', None)\n"
        "    t = time.perf_counter()\n"
        "    import _openmetadata_bulksink_boot as b\n"
        "    b.start()\n"
        "    times.append(time.perf_counter() - t)\n"
        "    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != '_OneModule']\n"
        "print(sorted(times)[25] < 0.001)\n"
    )
    assert run(code, site) == "True"


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
