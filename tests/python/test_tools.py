"""The tools that prepare everything else: complete or absent, also after a kill; nothing of one machine in the tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tools import artifacts, cache, environments, lock_files, machine, steps, tree


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_directory_is_filled_once() -> None:
    filled: list[Path] = []

    def fill(path: Path) -> None:
        filled.append(path)
        (path / "content").write_text("x")

    first = cache.directory("kind", "name", "key", fill)
    assert cache.directory("kind", "name", "key", fill) == first
    assert filled == [first]
    assert (first / "content").read_text() == "x"


def test_a_failed_fill_is_done_again_from_nothing() -> None:
    def fail(path: Path) -> None:
        (path / "half").write_text("x")
        raise steps.StepFailed("no")

    with pytest.raises(steps.StepFailed):
        cache.directory("kind", "name", "key", fail)
    path = cache.directory("kind", "name", "key", lambda path: (path / "whole").touch())
    assert sorted(entry.name for entry in path.iterdir()) == [cache.MARK, "whole"]


def test_a_killed_run_leaves_no_half_environment() -> None:
    script = """
        import os, sys
        from tools import cache
        def fill(path):
            (path / "half").write_text("x")
            print("half done", flush=True)
            sys.stdin.read()
        cache.directory("kind", "name", "key", fill)
    """
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=machine.REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdin is not None
    assert run.stdout.readline() == "half done\n"
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdin.close()
    run.stdout.close()
    path = cache.directory("kind", "name", "key", lambda path: (path / "whole").touch())
    assert sorted(entry.name for entry in path.iterdir()) == [cache.MARK, "whole"]


def test_two_runs_at_once_fill_one_directory(tmp_path: Path) -> None:
    script = f"""
        import os, time
        from pathlib import Path
        from tools import cache
        def fill(path):
            with open({str(tmp_path / "fills")!r}, "a") as log:
                log.write("x")
            time.sleep(0.3)
        cache.directory("kind", "name", "key", fill)
    """
    runs = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=machine.REPOSITORY) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert (tmp_path / "fills").read_text() == "x"


def test_only_unused_directories_are_forgotten() -> None:
    old = cache.directory("kind", "name", "old", lambda _: None)
    long_ago = (old / cache.MARK).stat().st_mtime - (cache.DAYS_UNUSED + 1) * 86_400
    os.utime(old / cache.MARK, (long_ago, long_ago))
    recent = cache.directory("kind", "name", "recent", lambda _: None)
    cache.directory("kind", "name", "new", lambda _: None)
    assert not old.exists()
    assert recent.exists()


def test_a_failed_step_says_what_it_printed() -> None:
    with pytest.raises(steps.StepFailed, match=r"(?s)trying: .* ended with status 3.*the reason"):
        steps.run("trying", [sys.executable, "-c", "import sys; print('the reason', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(steps.StepFailed, match="cannot run no-such-program"):
        steps.run("trying", ["no-such-program"])


def test_what_is_missing_is_named_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lines = machine.everything_missing()
    assert any(line.startswith("Rust 1.85") and "rustup" in line for line in lines)
    assert any(line.startswith("a C compiler") and "apt-get install" in line for line in lines)
    with pytest.raises(machine.Missing, match=r"CPython 3\.99 is missing.*uv python install 3\.99"):
        machine.python("3.99")


def test_the_interpreter_is_a_base_interpreter() -> None:
    found = machine.describe(sys.executable)
    assert found is not None
    printed = subprocess.run(
        [found.executable, "-I", "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == "True\n"


def test_an_unknown_upstream_version_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no requirements for upstream 9\.9.*2\.0\.7\.0"):
        environments.requirements_of("9.9")


def test_the_wheel_depends_on_its_sources_only(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "python" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "lib.rs").write_text("one")
    (tmp_path / "python" / "module.py").write_text("x = 1")
    before = artifacts.source_parts(tmp_path)
    (tmp_path / "python" / "__pycache__" / "module.pyc").write_text("compiled")
    (tmp_path / "python" / "_native.abi3.so").write_text("built in place")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test.py").write_text("assert True")
    assert artifacts.source_parts(tmp_path) == before
    (tmp_path / "src" / "lib.rs").write_text("two")
    assert artifacts.source_parts(tmp_path) != before


def test_a_copied_environment_names_itself_and_leaves_the_original_alone(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    (original / "bin").mkdir(parents=True)
    (original / "lib").mkdir()
    script = original / "bin" / "tool"
    script.write_text(f"#!{original}/bin/python\n")
    (original / "bin" / "python").symlink_to(sys.executable)
    (original / "lib" / "module.py").write_text("x = 1")
    (original / cache.MARK).touch()
    copy.mkdir()
    environments.copy_environment(original, copy)
    assert (copy / "bin" / "tool").read_text() == f"#!{copy}/bin/python\n"
    assert script.read_text() == f"#!{original}/bin/python\n"
    assert (copy / "bin" / "python").is_symlink()
    assert (copy / "lib" / "module.py").samefile(original / "lib" / "module.py")
    assert not (copy / cache.MARK).exists()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("path = '/wo" + "rk/main/src'", "a path of one machine"),
        ("cache in /ro" + "ot/.cache", "a path of one machine"),
        ("index-url = https://py" + "pi.org/simple", "the host of a package registry"),
        ("source = registry+https://github.com/rust-lang/crates.io-index", None),
        ("a framework/library, at work/home", None),
    ],
)
def test_names_of_one_machine_are_found(line: str, expected: str | None) -> None:
    found = tree.forbidden_names(f"first\n{line}\n".encode())
    assert [(number, meaning) for number, meaning, _ in found] == ([(2, expected)] if expected else [])


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0", True),
        ("Unlicense/MIT", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("Apache-2.0 AND GPL-3.0", False),
        ("GPL-3.0", False),
        ("", False),
    ],
)
def test_licences_are_read_as_expressions(licence: str, allowed: bool) -> None:
    assert lock_files.acceptable(licence) is allowed


def test_crates_that_must_not_come_along_are_named() -> None:
    registry = {"source": "registry+here", "license": "MIT", "version": "1"}
    packages = [
        {**registry, "name": "tokio"},
        {**registry, "name": "native-tls"},
        {**registry, "name": "fork", "source": "git+elsewhere"},
        {**registry, "name": "pyo3"},
        {**registry, "name": "pyo3", "version": "2"},
    ]
    assert lock_files.crates(packages) == [
        "native-tls must not come along: a second OpenSSL in the process of an ingestion",
        "fork comes from git, not from the registry",
        "pyo3 is there in the versions 1, 2",
    ]


def test_requirements_without_a_version_are_named() -> None:
    assert lock_files.unpinned("# why\na==1\nb[x]==2 ; python_version < '3.11'\n--hash=x\nc>=3\n") == [
        "c>=3 has no version"
    ]
