"""The program inside upstream's environment that forks for each command of `commands.py`.

One job a line on standard input; the pid of the command a line on standard output. The status of a command is written
to a file by a process between this one and it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main(modules: list[str]) -> None:
    """Works until standard input ends."""
    for name in modules:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for line in sys.stdin:
        _fork(json.loads(line))


def _fork(job: dict[str, Any]) -> None:
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        return
    if os.fork():
        os._exit(0)
    # The process between: it waits for the command and writes down how it ended.
    pid = os.fork()
    if pid == 0:
        _become(job)
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    _, status = os.waitpid(pid, 0)
    kept = Path(job["kept"])
    (kept / "status.new").write_text(str(os.waitstatus_to_exitcode(status)))
    (kept / "status.new").rename(kept / "status")
    os._exit(0)


def _become(job: dict[str, Any]) -> None:
    code = 1
    try:
        os.chdir(job["folder"])
        os.environ.update(job["variables"])
        kept = Path(job["kept"])
        for number, name in ((1, "output"), (2, "errors")):
            file = os.open(kept / name, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        _set_alarm(os.environ.pop("COMMAND_ALARM", ""))
        code = _command(job["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


class Limit(BaseException):
    """As Airflow's: an ordinary exception would be taken for a failure of whatever upstream reads at that moment."""


def _set_alarm(seconds: str) -> None:
    def limit(*_: object) -> None:
        raise Limit("the limit of the runner")

    if seconds:
        signal.signal(signal.SIGALRM, limit)
        signal.setitimer(signal.ITIMER_REAL, float(seconds))


def _command(arguments: list[str]) -> int:
    if arguments[0] == "metadata":
        from metadata.cmd import metadata

        metadata(arguments[1:])
        return 0
    from openmetadata_bulksink.cli import main as command

    return command(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
