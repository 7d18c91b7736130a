"""Where the documents of one `shard all` are kept, and the commands that go on with them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


def close_command(config: Path, plan: Path, results: Sequence[Path]) -> str:
    """`shard close` of these documents, for a shell."""
    files = map(str, results)
    return _command("close", "-c", str(config), "--plan", str(plan), "--result", *files)


class Folder(NamedTuple):
    """config: the workflow's file. results, logs: directories."""

    config: Path
    plan: Path
    results: Path
    logs: Path

    def result(self, shard: int | str) -> Path:
        """The file of a shard's result."""
        return self.results / f"shard-{shard}.json"

    def log(self, shard: int) -> Path:
        """The file of a shard's output."""
        return self.logs / f"shard-{shard}.log"

    def open_command(self) -> str:
        """`shard open`."""
        return _command("open", "-c", str(self.config), "--plan", str(self.plan))

    def run_command(self, shard: int | str) -> str:
        """`shard run` of one of them; a name stands for each of several."""
        result = str(self.result(shard))
        return _command(
            "run", "-c", str(self.config), "--plan", str(self.plan), "--shard", str(shard), "--result", result
        )

    def close_command(self, shards: int) -> str:
        """`shard close` of all of them."""
        return close_command(self.config, self.plan, [self.result(shard) for shard in range(shards)])


def _command(step: str, *words: str) -> str:
    return shlex.join(["openmetadata-bulksink", "shard", step, *words])
