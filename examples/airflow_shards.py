"""One OpenMetadata ingestion as mapped tasks of Airflow 3: plan >> open >> shard[0 .. N-1] >> close.

Copy it into the folder of DAGs. The workers need openmetadata-ingestion, openmetadata-bulksink and the workflow's YAML
(`OPENMETADATA_WORKFLOW`); what travels between tasks holds names and counts, no secret. A shard that fails is retried
by itself; `close` runs when all of them ended well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.sdk import dag, task

WORKFLOW = os.environ.get("OPENMETADATA_WORKFLOW", "/opt/airflow/openmetadata/workflow.yaml")
SHARDS = int(os.environ.get("OPENMETADATA_SHARDS", "4"))


def shard_command(step: str, *arguments: str) -> str:
    """Run one step; its messages go to the task's log, and what it prints is returned."""
    command = [sys.executable, "-m", "openmetadata_bulksink", "shard", step, "-c", WORKFLOW, *arguments]
    # Ends with this task: standard input closes when the task's process is gone, however that was.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        status = process.wait()
    if status != 0:
        raise RuntimeError(f"shard {step} ended with status {status}; see the lines above")
    return printed


def file_with(folder: str, name: str, text: str) -> str:
    """A file for a command that reads one."""
    path = Path(folder) / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["openmetadata"])
def openmetadata_shards() -> None:
    """The ingestion."""

    @task
    def plan() -> str:
        return shard_command("plan", "-n", str(SHARDS))

    @task
    def open_service(plan: str) -> list[int]:
        with tempfile.TemporaryDirectory() as folder:
            shard_command("open", "--plan", file_with(folder, "plan.json", plan), "--end-with-stdin")
        return list(range(SHARDS))

    @task(retries=2, retry_delay=timedelta(seconds=10))
    def shard(plan: str, number: int) -> str:
        with tempfile.TemporaryDirectory() as folder:
            plan_file = file_with(folder, "plan.json", plan)
            return shard_command("run", "--plan", plan_file, "--shard", str(number), "--end-with-stdin")

    @task
    def close(plan: str, results: list[str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            plan_file = file_with(folder, "plan.json", plan)
            files = [file_with(folder, f"result-{at}.json", text) for at, text in enumerate(results)]
            shard_command("close", "--plan", plan_file, "--end-with-stdin", "--result", *files)

    planned = plan()
    close(planned, shard.partial(plan=planned).expand(number=open_service(planned)))


@dag(schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, tags=["openmetadata"])
def openmetadata_whole() -> None:
    """The same workflow in one task, as upstream's documentation shows it; the sink is active by itself."""

    # With OM_BULKSINK_KEEP_ALARM=1 in the worker's environment, this limit holds.
    @task(execution_timeout=timedelta(hours=12))
    def ingest() -> None:
        from metadata.config.common import load_config_file
        from metadata.workflow.metadata import MetadataWorkflow

        workflow = MetadataWorkflow.create(load_config_file(Path(WORKFLOW)))
        workflow.execute()
        workflow.raise_from_status()
        workflow.print_status()
        workflow.stop()

    ingest()


openmetadata_shards()
openmetadata_whole()
