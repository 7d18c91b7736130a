"""What `__main__.py` prepared: environments and programs. The run gets it through an environment variable."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "BULKSINK_BENCH_PREPARED"


@dataclass(frozen=True)
class Prepared:
    """upstream: its version. plain: upstream's environment as its users have it. with_sink: the same and our wheel.
    airflow, ray: with_sink and a runner. older: the newest 1.13 and our wheel.
    """

    upstream: str
    plain: Path
    with_sink: Path
    server: Path
    postgres: Path | None = None
    airflow: Path | None = None
    ray: Path | None = None
    older: Path | None = None

    def accelerators(self) -> list[str]:
        """Their names, as the wheel that is measured has them: the benchmarks' own environment is without it."""
        program = "from openmetadata_bulksink.settings import ACCELERATORS; print(*ACCELERATORS)"
        interpreter = self.with_sink / "bin" / "python"
        found = subprocess.run([interpreter, "-c", program], check=True, capture_output=True, text=True)
        return found.stdout.split()

    def to_text(self) -> str:
        """For the variable."""
        return json.dumps({name: None if value is None else str(value) for name, value in asdict(self).items()})


def from_environment() -> Prepared:
    """What the variable says. Raises SystemExit where a run was not started by `python3 -m benchmarks`."""
    text = os.environ.get(VARIABLE)
    if not text:
        raise SystemExit("start this with `python3 -m benchmarks` (or make): it prepares what the run needs")
    values = json.loads(text)
    upstream = values.pop("upstream")
    return Prepared(upstream=upstream, **{name: Path(value) for name, value in values.items() if value})
