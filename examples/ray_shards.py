"""One OpenMetadata ingestion on a Ray cluster: `python ray_shards.py workflow.yaml 4`.

The nodes need openmetadata-ingestion, openmetadata-bulksink and the workflow's YAML under the same path. Each shard has
a process of its own that ends with it (`max_calls=1`): upstream keeps what it has seen in attributes of classes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import ray


def shard_command(workflow: str, step: str, *arguments: str) -> str:
    """Run one step; its messages go to the worker's log, and what it prints is returned."""
    command = [sys.executable, "-m", "openmetadata_bulksink", "shard", step, "-c", workflow, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        status = process.wait()
    if status != 0:
        raise RuntimeError(f"shard {step} ended with status {status}; see the lines above")
    return printed


@ray.remote(num_cpus=1, max_calls=1, max_retries=2, retry_exceptions=True)
def run_shard(workflow: str, plan: str, number: int) -> str:
    """One shard, on any node; its result."""
    with tempfile.TemporaryDirectory() as folder:
        plan_file = Path(folder) / "plan.json"
        plan_file.write_text(plan, encoding="utf-8")
        return shard_command(workflow, "run", "--plan", str(plan_file), "--shard", str(number), "--end-with-stdin")


def main(workflow: str, shards: int) -> list[str]:
    """Plan, open and close here, shards on the cluster; their results."""
    ray.init(include_dashboard=False)
    with tempfile.TemporaryDirectory() as folder:
        plan_file = Path(folder) / "plan.json"
        shard_command(workflow, "plan", "-n", str(shards), "-o", str(plan_file))
        shard_command(workflow, "open", "--plan", str(plan_file), "--end-with-stdin")
        plan = plan_file.read_text(encoding="utf-8")
        results = ray.get([run_shard.remote(workflow, plan, number) for number in range(shards)])
        files = []
        for number, result in enumerate(results):
            files.append(Path(folder) / f"result-{number}.json")
            files[-1].write_text(result, encoding="utf-8")
        shard_command(workflow, "close", "--plan", str(plan_file), "--end-with-stdin", "--result", *map(str, files))
    ray.shutdown()
    return list(results)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
