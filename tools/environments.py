"""Virtual environments: one for building and checking, one for each upstream version, with or without our wheel.

Environments never refer to the tree: what is installed is what a user installs, a wheel.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tools import cache, machine, steps

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"

#: Requirements of the releases that only `make releases` runs with.
RELEASES = REQUIREMENTS / "releases"

# What users run; the newest of each line that the sink supports, and the two newest of the last.
UPSTREAM_VERSIONS = ("1.11.14.0", "1.12.14.2", "1.13.6.3", "2.0.6.0", "2.0.7.0")
UPSTREAM_PYTHON = "3.11"

# What runs workflows beside the newest upstream, in environments of their own.
RUNNERS = {"airflow": "apache-airflow==3.3.2", "ray": "ray==2.60.0"}

# What single tests put on the search path of an upstream environment, with what it is.
ADDITIONS = {
    "bigquery": "what upstream's BigQuery connector imports",
    "tracer": "OpenTelemetry's instrumentation of `requests`",
}


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / "bin" / "python"


def build_environment() -> Path:
    """maturin, uv, ruff, mypy and pytest, pinned."""
    interpreter = machine.running_python()
    requirements = REQUIREMENTS / "build.txt"
    key = cache.fingerprint(requirements.read_bytes(), interpreter.version, str(interpreter.executable))

    def fill(path: Path) -> None:
        try:
            steps.run("build environment: creating", [interpreter.executable, "-m", "venv", path])
        except steps.StepFailed as failure:
            raise machine.Missing(
                f"Python's venv module does not work ({interpreter.executable}): on Debian install it with "
                f"`apt-get install python{interpreter.series}-venv`\n{failure}"
            ) from failure
        install: steps.Command = [python_of(path), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        steps.run("build environment: installing maturin, uv, ruff, mypy, pytest", [*install, "-r", requirements])

    return cache.directory("environments", "build", key, fill)


def wheels_environment() -> Path:
    """Maturin with zig, and what audits a wheel, pinned: 500 MB that only `make wheels` needs."""
    interpreter = machine.running_python()
    requirements = REQUIREMENTS / "wheels.txt"
    key = cache.fingerprint(requirements.read_bytes(), interpreter.version, str(interpreter.executable))

    def fill(path: Path) -> None:
        create_environment(path, interpreter)
        sync: steps.Command = [uv(), "pip", "sync", "--python", python_of(path), requirements]
        steps.run("environment of the wheels: installing maturin, zig, auditwheel, abi3audit", sync)

    return cache.directory("environments", "wheels", key, fill)


def uv() -> Path:
    """The installer that every other environment is made with."""
    return build_environment() / "bin" / "uv"


def requirements_of(version: str) -> Path:
    """The pinned requirements of an upstream version; ValueError where we have none."""
    for path in (REQUIREMENTS / f"upstream-{version}.txt", RELEASES / f"{version}.txt"):
        if path.exists():
            return path
    raise ValueError(
        f"no requirements for upstream {version}; there are some for {', '.join(releases())}; "
        f"`python3 -m tools add-release {version}` resolves them"
    )


def releases() -> list[str]:
    """Every release of upstream that we have requirements for, oldest first."""
    pinned = {*UPSTREAM_VERSIONS, *(path.stem for path in RELEASES.glob("*.txt"))}
    return sorted(pinned, key=lambda version: [int(part) for part in version.split(".")])


def upstream_environment(version: str) -> Path:
    """An environment with `openmetadata-ingestion` as its users have it, byte code compiled."""
    requirements = requirements_of(version)
    interpreter = machine.python(UPSTREAM_PYTHON)
    key = cache.fingerprint(requirements.read_bytes(), interpreter.version, str(interpreter.executable))

    def fill(path: Path) -> None:
        create_environment(path, interpreter)
        # Without byte code the first import takes 16 s instead of 4 and would be measured with the run.
        sync: steps.Command = [uv(), "pip", "sync", "--compile-bytecode", "--python", python_of(path), requirements]
        steps.run(f"upstream {version}: installing (550 MB, shared with uv's cache)", sync)

    return cache.directory("environments", f"upstream-{version}", key, fill)


def runner_environment(name: str) -> Path:
    """An environment with the newest upstream and one of RUNNERS."""
    requirements = REQUIREMENTS / f"{name}.txt"
    interpreter = machine.python(UPSTREAM_PYTHON)
    key = cache.fingerprint(requirements.read_bytes(), interpreter.version, str(interpreter.executable))

    def fill(path: Path) -> None:
        create_environment(path, interpreter)
        sync: steps.Command = [uv(), "pip", "sync", "--compile-bytecode", "--python", python_of(path), requirements]
        steps.run(f"{name} beside upstream: installing (shared with uv's cache)", sync)

    return cache.directory("environments", name, key, fill)


def addition(name: str) -> Path:
    """A folder with the packages of one of ADDITIONS, for the search path of an upstream environment."""
    requirements = REQUIREMENTS / f"{name}.txt"
    interpreter = machine.python(UPSTREAM_PYTHON)
    key = cache.fingerprint(requirements.read_bytes(), interpreter.version, str(interpreter.executable))

    def fill(path: Path) -> None:
        install: steps.Command = [uv(), "pip", "install", "--no-deps", "--python", interpreter.executable]
        steps.run(f"{ADDITIONS[name]}: installing", [*install, "--target", path, "--requirements", requirements])

    return cache.directory("environments", name, key, fill)


def create_environment(path: Path, interpreter: machine.Interpreter) -> None:
    """An empty environment, without pip, in an existing directory."""
    command: steps.Command = [uv(), "venv", "--quiet", "--allow-existing", "--python", interpreter.executable, path]
    steps.run(f"creating an environment with CPython {interpreter.version}", command)


def with_wheel(environment: Path, wheel: Path) -> Path:
    """A copy of an environment with a wheel installed into it, as `pip install` leaves a user's environment."""
    name = environment.name.rsplit("-", 1)[0]
    key = cache.fingerprint(environment.name, wheel.name, wheel.read_bytes())

    def fill(path: Path) -> None:
        copy_environment(environment, path)
        install: steps.Command = [
            uv(),
            "pip",
            "install",
            "--no-deps",
            "--compile-bytecode",
            "--python",
            python_of(path),
            wheel,
        ]
        steps.run(f"{name}: installing {wheel.name}", install)

    return cache.directory("environments", f"{name}+wheel", key, fill)


def copy_environment(source: Path, target: Path) -> None:
    """Hard links instead of 550 MB of copies; only what names the environment's own path is written anew."""

    def link(origin: str, copy: str) -> str:
        if Path(origin).parent == source / "bin":
            return str(shutil.copy2(origin, copy))
        os.link(origin, copy)
        return copy

    shutil.copytree(
        source, target, symlinks=True, dirs_exist_ok=True, copy_function=link, ignore=shutil.ignore_patterns(cache.MARK)
    )
    for script in (target / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if content.startswith(b"\x7fELF") or os.fsencode(source) not in content:
            continue
        script.write_bytes(content.replace(os.fsencode(source), os.fsencode(target)))
