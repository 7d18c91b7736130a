"""One ingestion as several, as a scheduler drives it: plan, open, each shard in a directory of its own, close."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.ingest.commands import Command, Commands, Ended
from tests.ingest.workflow import write

#: What a forked command would import otherwise, each time.
IMPORTS = (
    "metadata.cmd",
    "metadata.workflow.metadata",
    "metadata.cli.ingest",
    "metadata.ingestion.sink.metadata_rest",
    "metadata.ingestion.source.database.postgres.metadata",
    "metadata.ingestion.source.database.redshift.metadata",
    "metadata.ingestion.source.database.sqlite.metadata",
)


class Fleet:
    """The commands for one workflow. Each shard sees the workflow file and the plan, and nothing of the others."""

    def __init__(self, commands: Commands, folder: Path, config: dict[str, Any]) -> None:
        self._commands, self._folder = commands, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = write(config, folder / "workflow.yaml")
        self.plan_file = folder / "plan.json"

    def plan(self, shards: int, *arguments: str) -> Ended:
        """`shard plan`, into a file."""
        return self.step("plan", "-n", str(shards), "-o", str(self.plan_file), *arguments)

    def step(self, name: str, *arguments: str) -> Ended:
        """Any of them."""
        return self._commands.run(["shard", name, "-c", str(self.file), *arguments], folder=self._folder)

    def open(self) -> Ended:
        """`shard open`."""
        return self.step("open", "--plan", str(self.plan_file))

    def result_file(self, shard: int) -> Path:
        """Where a shard's result is."""
        return self._folder / f"shard-{shard}" / "result.json"

    def places(self) -> dict[tuple[str, str], int]:
        """The shard of each database and schema, as planned."""
        shards = json.loads(self.plan_file.read_text())["shards"]
        return {(unit[0], unit[1]): number for number, units in enumerate(shards) for unit in units}

    def keys(self, shard: int) -> list[dict[str, Any]]:
        """Foreign keys that a shard could not resolve."""
        return [key for part in self._parts(shard) for key in part["keys"]]

    def stale(self, shard: int) -> list[str]:
        """FQNs of what a shard would have deleted."""
        return [stale["fqn"] for part in self._parts(shard) for stale in part["stale"]]

    def _parts(self, shard: int) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = json.loads(self.result_file(shard).read_text())["parts"]
        return parts

    def start(self, shard: int) -> Command:
        """`shard run` in a directory with copies of workflow file and plan."""
        folder = self.result_file(shard).parent
        folder.mkdir(exist_ok=True)
        for file in (self.file, self.plan_file):
            (folder / file.name).write_bytes(file.read_bytes())
        words = ["shard", "run", "-c", self.file.name, "--plan", self.plan_file.name, "--shard", str(shard)]
        return self._commands.start([*words, "--result", "result.json"], folder=folder)

    def run(self, shards: Sequence[int]) -> None:
        """Shards, one after the other in this order, each to a good end."""
        for shard in shards:
            self.start(shard).wait().require_success()

    def close(self, *arguments: str, shards: Sequence[int] | None = None, most: str = "100") -> Ended:
        """`shard close` with the results of some shards, by default of all."""
        chosen = shards if shards is not None else range(len(list(self._folder.glob("shard-*"))))
        files = [str(self.result_file(shard)) for shard in chosen]
        return self.step("close", "--plan", str(self.plan_file), "--max-deleted", most, *arguments, "--result", *files)

    def whole(self, shards: int) -> Ended:
        """All steps; the end of the last."""
        self.plan(shards).require_success()
        self.open().require_success()
        self.run(range(shards))
        return self.close().require_success()
