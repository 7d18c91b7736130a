"""The examples hold together: command lines that the command takes, files that fit each other."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink import cli, settings
from openmetadata_bulksink.shard import filters, plan, results, running, workflow

pytestmark = pytest.mark.upstream

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def jobs() -> dict[str, dict[str, Any]]:
    yaml: Any = importlib.import_module("yaml")
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "shards.yaml").read_text()))
    return {one["metadata"]["labels"]["step"]: one for one in documents if one["kind"] == "Job"}


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    pod = job["spec"]["template"]["spec"]
    found: list[dict[str, Any]] = [*pod.get("initContainers", []), *pod["containers"]]
    return found


def test_each_command_of_the_manifest_is_one_that_we_take() -> None:
    words = []
    for job in jobs().values():
        for container in containers(job):
            command = [word.replace("$(JOB_COMPLETION_INDEX)", "3") for word in container["command"]]
            assert command[0] == "openmetadata-bulksink"
            cli._parser().parse_args(command[1:])
            words.append(command[2])
            mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
            volumes = {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert {"/workflow", "/shards"} == mounted
    assert words == ["plan", "open", "run", "close"]


def test_as_many_results_are_closed_as_shards_are_planned_and_run() -> None:
    found = jobs()
    planned = containers(found["open"])[0]["command"]
    shards = int(planned[planned.index("-n") + 1])
    spec = found["run"]["spec"]
    assert (spec["completionMode"], spec["completions"]) == ("Indexed", shards)
    written = containers(found["run"])[0]["command"][-1]
    closing = containers(found["close"])[0]["command"]
    read = closing[closing.index("--result") + 1 :]
    assert read == [written.replace("$(JOB_COMPLETION_INDEX)", str(number)) for number in range(shards)]


def test_the_pod_has_longer_than_the_sink_takes() -> None:
    pod = jobs()["run"]["spec"]["template"]["spec"]
    variables = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    grace = settings.tuning(variables).term_grace
    assert grace is not None
    assert grace < pod["terminationGracePeriodSeconds"]


def test_the_values_for_the_chart_name_the_same_image_and_variables_that_we_know() -> None:
    yaml: Any = importlib.import_module("yaml")
    values = yaml.safe_load((EXAMPLES / "kubernetes" / "values.yaml").read_text())
    client = values["openmetadata"]["config"]["pipelineServiceClientConfig"]
    orchestrator = client["k8s"]
    assert client["type"] == "k8s"
    images = {container["image"] for job in jobs().values() for container in containers(job)}
    assert images == {orchestrator["ingestionImage"]}
    # The server splits each at its first colon.
    variables = dict(text.split(":", 1) for text in orchestrator["extraEnvVars"])
    assert settings.unknown(variables) == []
    grace = settings.tuning(variables).term_grace
    assert grace is not None
    assert grace < 30


def test_the_image_is_built_on_those_of_the_ingestion_with_our_wheel_alone() -> None:
    lines = (EXAMPLES / "kubernetes" / "Dockerfile").read_text().splitlines()
    arguments = dict(line.removeprefix("ARG ").split("=") for line in lines if line.startswith("ARG "))
    (origin,) = (line.removeprefix("FROM ") for line in lines if line.startswith("FROM "))
    assert origin == "${BASE}:${VERSION}"
    assert arguments["BASE"] == "openmetadata/ingestion"
    (run,) = (line for line in lines if line.startswith("RUN "))
    assert run.endswith("pip install --no-cache-dir --no-deps openmetadata-bulksink")
    built = [
        line for line in (EXAMPLES / "kubernetes" / "values.yaml").read_text().splitlines() if "docker build" in line
    ]
    named = set(re.findall(r"--build-arg (\w+)=", built[0]))
    assert named == set(arguments)
    assert built[0].endswith("-t openmetadata-ingestion-bulksink .")


def test_the_python_examples_use_steps_that_there_are() -> None:
    for name in ("airflow_shards.py", "ray_shards.py"):
        text = (EXAMPLES / name).read_text()
        compile(text, name, "exec")
        assert set(re.findall(r'shard_command\(\s*(?:workflow, )?"(\w+)"', text)) == {"plan", "open", "run", "close"}


def test_an_empty_shard_ends_well_without_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Job has a fixed number of pods; a plan may need fewer shards."""
    monkeypatch.setattr(workflow, "import_upstream", lambda: None)
    empty = plan.Plan("run", 0.0, "print", "svc", (), ((), ()))
    reported: list[results.Result] = []
    assert filters.is_incremental({"source": {"sourceConfig": {"config": {}}}}) is False
    (result,) = running.run_shards(running.Job({}, empty), [1], reported.append)
    assert [one.ended for one in reported] == ["running", "well"]
    assert result.parts == ()
