"""One long command: a title, a sign of life while it runs, the end of its output where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

Command = Sequence[str | Path]

SIGN_OF_LIFE = 10.0


class StepFailed(Exception):
    """A command ended badly; the text holds the end of what it printed."""


def run(
    title: str,
    command: Command,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a command to its end and returns its standard output. Raises StepFailed."""
    started = time.monotonic()
    print(f"- {title} ...", file=sys.stderr, flush=True)
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )
        except OSError as error:
            raise StepFailed(f"{title}: cannot run {words[0]}: {error}") from error
        try:
            while True:
                try:
                    code = process.wait(SIGN_OF_LIFE)
                    break
                except subprocess.TimeoutExpired:
                    print(
                        f"  {time.monotonic() - started:4.0f} s  {_last_line(errors.fileno())}",
                        file=sys.stderr,
                        flush=True,
                    )
        except BaseException:
            process.terminate()
            process.wait()
            raise
        output.seek(0)
        errors.seek(0)
        printed, complaints = (stream.read().decode(errors="replace") for stream in (output, errors))
    if code != 0:
        tail = "\n".join((printed + complaints).strip().splitlines()[-40:])
        raise StepFailed(f"{title}: `{' '.join(words)}` ended with status {code}\n{tail}")
    print(f"  done in {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return printed


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 2_000, max(0, size - 2_000)).decode(errors="replace")
    lines = [line for line in tail.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1].strip()[:100] if lines else ""


def replace_process(command: Command, environment: Mapping[str, str] | None = None) -> int:
    """Runs a command in the foreground, with our own streams, and returns its exit status."""
    sys.stdout.flush()
    words = [str(word) for word in command]
    return subprocess.run(words, env={**os.environ, **(environment or {})}, check=False).returncode
