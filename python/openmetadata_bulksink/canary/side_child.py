"""The program of one sink's process: imports upstream once, and forks for each workflow.

One job a line on standard input, as JSON: the workflow. One answer a line on the descriptor given as argument. Ends
with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any

from openmetadata_bulksink import activate, settings


def main(descriptor: int) -> None:
    """Works until standard input ends."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as answers:
        native = not settings.switched_off() and activate.install()
        for module in ("metadata.workflow.metadata", "openmetadata_bulksink.canary.source"):
            import_module(module)
        _say(answers, {"ready": native})
        for line in sys.stdin:
            _say(answers, _forked(json.loads(line)))


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _forked(config: dict[str, Any]) -> dict[str, Any]:
    """The answer of a child that runs the workflow."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w", encoding="utf-8") as file:
                json.dump(_run(config), file)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        return {"why": f"its process ended with status {os.waitstatus_to_exitcode(status)}"}
    answer: dict[str, Any] = json.loads(text)
    return answer


def _run(config: dict[str, Any]) -> dict[str, Any]:
    from metadata.workflow.metadata import MetadataWorkflow

    started = time.monotonic()
    try:
        workflow = MetadataWorkflow.create(config)
    except BaseException as error:  # noqa: BLE001 - the parent says it
        return {"why": _text(error)}
    sink, why = workflow.steps[-1], ""
    try:
        workflow.execute()
    except BaseException as error:  # noqa: BLE001 - as above
        why = _text(error)
    finally:
        workflow.stop()
    failures = [failure for step in workflow.workflow_steps() for failure in step.status.failures]
    return {
        "why": why,
        "seconds": time.monotonic() - started,
        "native": getattr(sink, "_writer", None) is not None,
        "sent": workflow.source.sent,
        "failures": [(str(one.name), str(one.error)) for one in failures],
    }


def _text(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main(int(sys.argv[1]))
