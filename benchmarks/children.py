"""Starts what is measured: one module of ours in a process of its own, in an environment of upstream.

One job goes in as a line of JSON; lines of JSON come back on a descriptor that nothing else writes to.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent

# What would change how a child imports, or reaches the server.
_NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "http_proxy", "HTTP_PROXY")

Message = dict[str, Any]


class ChildFailed(Exception):
    """A run died; the text holds the end of what it printed."""


def run(
    module: str,
    environment: Path,
    job: Mapping[str, Any],
    *,
    variables: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    told: Callable[[Message], None] = lambda _: None,
) -> Message:
    """The result of one job; other messages go to `told`. prefix: a program to run it under. Raises ChildFailed."""
    reader, writer = os.pipe()
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    inherited = {name: value for name, value in inherited.items() if not name.startswith("OM_BULKSINK")}
    with tempfile.TemporaryFile() as printed, os.fdopen(reader, encoding="utf-8") as answers:
        try:
            process = subprocess.Popen(
                [*prefix, str(environment / "bin" / "python"), "-m", module, str(writer)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=[writer],
                cwd=REPOSITORY,
                env={**inherited, **(variables or {})},
                text=True,
            )
        finally:
            os.close(writer)
        try:
            result = _talk(process, job, answers, told)
            status = process.wait(120)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if result is None or status != 0:
            printed.seek(0)
            text = printed.read().decode(errors="replace")[-4_000:]
            raise ChildFailed(f"{module} ended with status {status}\n{text}")
        return result


def _talk(
    process: subprocess.Popen[str], job: Mapping[str, Any], answers: Any, told: Callable[[Message], None]
) -> Message | None:
    result: Message | None = None
    if process.stdin is not None:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.close()
    for line in answers:
        message: Message = json.loads(line)
        if "result" in message:
            result = message["result"]
        else:
            told(message)
    return result
