"""`python3 -m benchmarks picture | report | real ...`: prepares what a run needs, then runs it.

Standard library only: it makes the environment that everything else runs in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import environment
from benchmarks.prepared import VARIABLE, Prepared
from tools import artifacts, environments, machine, postgresql, steps

UPSTREAM = environments.UPSTREAM_VERSIONS[-1]

# The module of each run, and whether it needs a PostgreSQL.
RUNS = {
    "picture": ("benchmarks.picture", True),
    "report": ("benchmarks.report", False),
    "real": ("benchmarks.real", True),
    "link": ("benchmarks.link", False),
    "tags": ("benchmarks.tags", False),
    "start-up": ("benchmarks.start_up", False),
    "native": ("benchmarks.native", False),
    "redshift-threads": ("benchmarks.redshift_threads", True),
    "shards": ("benchmarks.shards", True),
    "round-trips": ("benchmarks.round_trips", True),
    "accelerators": ("benchmarks.accelerators", True),
    "main-thread": ("benchmarks.cost.main_thread", False),
    "instructions": ("benchmarks.cost.instructions", False),
    "scale": ("benchmarks.cost.scale", False),
}


def main(arguments: Sequence[str]) -> int:
    """Returns the run's exit status."""
    if arguments and arguments[0] == "lock":
        return environment.lock()
    if not arguments or arguments[0] not in RUNS:
        print(f"usage: python3 -m benchmarks {{{','.join(RUNS)},lock}} [--help]", file=sys.stderr)
        return 2
    module, with_postgres = RUNS[arguments[0]]
    try:
        interpreter = environments.python_of(environment.bench_environment())
        variables = {} if "--help" in arguments else {VARIABLE: _prepare(with_postgres).to_text()}
    except (machine.Missing, steps.StepFailed) as error:
        print(error, file=sys.stderr)
        return 1
    command = [str(interpreter), "-m", module, *arguments[1:]]
    try:
        return subprocess.run(command, cwd=machine.REPOSITORY, env={**os.environ, **variables}).returncode
    except KeyboardInterrupt:
        return 130


def _prepare(with_postgres: bool) -> Prepared:
    plain = environments.upstream_environment(UPSTREAM)
    return Prepared(
        upstream=UPSTREAM,
        plain=plain,
        with_sink=environments.with_wheel(plain, artifacts.wheel()),
        server=artifacts.reference_server(),
        postgres=postgresql.programs() if with_postgres else None,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
