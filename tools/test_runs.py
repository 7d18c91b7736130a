"""Runs pytest where upstream lives: in an environment with openmetadata-ingestion and this tree's wheel.

What the tests need is prepared here and handed over in `BULKSINK_TEST_*` variables (tests/python/conftest.py reads
them); a test never installs anything by itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from tools import artifacts, browser, environments, machine, mariadb, postgresql, steps


def pytest_beside(runner: str, arguments: Sequence[str]) -> int:
    """Pytest in an environment with upstream, this tree's wheel and a runner; returns its exit status."""
    environment = environments.with_wheel(environments.runner_environment(runner), artifacts.wheel())
    variables = {
        "BULKSINK_TEST_SERVER": str(artifacts.reference_server()),
        "BULKSINK_TEST_POSTGRES": str(postgresql.programs()),
    }
    print(f"- pytest with {environments.RUNNERS[runner]}", flush=True)
    command: steps.Command = [environments.python_of(environment), "-m", "pytest", *arguments]
    return steps.replace_process(command, {**variables, "PYTHONDONTWRITEBYTECODE": "", "PWD": str(machine.REPOSITORY)})


def pytest(version: str, arguments: Sequence[str], *, plain: bool = False) -> int:
    """Returns pytest's exit status. With `plain` the environment lacks our wheel."""
    upstream = environments.upstream_environment(version)
    chosen = upstream if plain else environments.with_wheel(upstream, artifacts.wheel())
    variables = {
        "BULKSINK_TEST_VERSION": version,
        "BULKSINK_TEST_UPSTREAM": str(upstream),
        "BULKSINK_TEST_SINK": "" if plain else str(chosen),
        "BULKSINK_TEST_SERVER": str(artifacts.reference_server()),
        "BULKSINK_TEST_POSTGRES": str(postgresql.programs()),
        "BULKSINK_TEST_MARIADB": os.pathsep.join(map(str, mariadb.programs())),
        "BULKSINK_TEST_BROWSER": str(browser.program()),
        **{f"BULKSINK_TEST_{name.upper()}": str(environments.addition(name)) for name in environments.ADDITIONS},
        "BULKSINK_TEST_UV": str(environments.uv()),
        "BULKSINK_TEST_WHEEL": "" if plain else str(artifacts.wheel()),
    }
    print(f"- pytest with upstream {version}{', without the wheel' if plain else ''}", flush=True)
    command: steps.Command = [environments.python_of(chosen), "-m", "pytest", *arguments]
    return steps.replace_process(command, {**variables, "PYTHONDONTWRITEBYTECODE": "", "PWD": str(machine.REPOSITORY)})
