"""The environment that benchmarks run in: progress and charts. Nothing that is measured runs in it."""

from __future__ import annotations

from pathlib import Path

from tools import cache, environments, machine, steps

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"


def bench_environment() -> Path:
    """Makes it or finds it: rich and matplotlib, pinned."""
    interpreter = machine.running_python()
    key = cache.fingerprint(REQUIREMENTS.read_bytes(), interpreter.version, str(interpreter.executable))

    def fill(path: Path) -> None:
        environments.create_environment(path, interpreter)
        sync: steps.Command = [
            *(environments.uv(), "pip", "sync", "--compile-bytecode"),
            *("--python", environments.python_of(path), REQUIREMENTS),
        ]
        steps.run("benchmark environment: installing rich and matplotlib", sync)

    return cache.directory("environments", "bench", key, fill)


def lock() -> int:
    """Resolves requirements.txt anew; run by hand, the result is committed."""
    wanted = REQUIREMENTS.with_suffix(".in")
    resolve: steps.Command = [
        *(environments.uv(), "pip", "compile", "--quiet", "--no-annotate", "--no-header", "--no-emit-index-url"),
        *("--upgrade", "--python-version", "3.10", "--universal", wanted, "--output-file", REQUIREMENTS),
    ]
    steps.run("resolving the benchmarks' requirements", resolve)
    return 0
