"""`python3 -m benchmarks picture | report | real ...`: prepares what a run needs, then runs it.

Standard library only: it makes the environment that everything else runs in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import environment
from benchmarks.prepared import VARIABLE, Prepared
from tools import artifacts, environments, machine, postgresql, steps

UPSTREAM = environments.UPSTREAM_VERSIONS[-1]
OLDER = next(version for version in environments.UPSTREAM_VERSIONS if version.startswith("1.13."))

POSTGRES = ("postgres",)

# The module of each run, and what it needs beside upstream and the reference server.
RUNS = {
    "picture": ("benchmarks.picture", POSTGRES),
    "report": ("benchmarks.report", ()),
    "real": ("benchmarks.real", POSTGRES),
    "link": ("benchmarks.link", ()),
    "tags": ("benchmarks.tags", ()),
    "start-up": ("benchmarks.start_up", ()),
    "canary": ("benchmarks.canary", ()),
    "native": ("benchmarks.native", ()),
    "redshift-threads": ("benchmarks.redshift_threads", POSTGRES),
    "shards": ("benchmarks.shards", ("postgres", "airflow", "ray")),
    "round-trips": ("benchmarks.round_trips", ("postgres", "older")),
    "accelerators": ("benchmarks.accelerators", POSTGRES),
    "main-thread": ("benchmarks.cost.main_thread", ()),
    "instructions": ("benchmarks.cost.instructions", ()),
    "scale": ("benchmarks.cost.scale", ()),
}


def main(arguments: Sequence[str]) -> int:
    """Returns the run's exit status."""
    if arguments and arguments[0] == "lock":
        return environment.lock()
    if not arguments or arguments[0] not in RUNS:
        print(f"usage: python3 -m benchmarks {{{','.join(RUNS)},lock}} [--help]", file=sys.stderr)
        return 2
    module, needs = RUNS[arguments[0]]
    if "--quick" in arguments:
        needs = tuple(need for need in needs if need not in environments.RUNNERS)
    try:
        interpreter = environments.python_of(environment.bench_environment())
        variables = {} if "--help" in arguments else {VARIABLE: _prepare(needs).to_text()}
    except (machine.Missing, steps.StepFailed) as error:
        print(error, file=sys.stderr)
        return 1
    command = [str(interpreter), "-m", module, *arguments[1:]]
    try:
        return subprocess.run(command, cwd=machine.REPOSITORY, env={**os.environ, **variables}).returncode
    except KeyboardInterrupt:
        return 130


def _prepare(needs: Sequence[str]) -> Prepared:
    def runner(name: str) -> Path | None:
        if name not in needs:
            return None
        return environments.with_wheel(environments.runner_environment(name), artifacts.wheel())

    def older() -> Path | None:
        if "older" not in needs:
            return None
        return environments.with_wheel(environments.upstream_environment(OLDER), artifacts.wheel())

    plain = environments.upstream_environment(UPSTREAM)
    return Prepared(
        upstream=UPSTREAM,
        plain=plain,
        with_sink=environments.with_wheel(plain, artifacts.wheel()),
        server=artifacts.reference_server(),
        postgres=postgresql.programs() if "postgres" in needs else None,
        airflow=runner("airflow"),
        ray=runner("ray"),
        older=older(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
