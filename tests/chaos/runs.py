"""Workers and servers for the runs: each worker lives through one seed after another, several workers at once."""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.chaos.judge import Verdict, judge
from tests.chaos.plan import Plan, plan
from tests.python.faults.streams import own_server, send

WORKER = Path(__file__).resolve().parent / "worker.py"

#: The longest that a run may take: the deadline, one attempt, and what upstream's own client waits in between.
LONGEST = 200.0


class Worker:
    """One process; started anew after it had to be killed."""

    def __init__(self, environment: Path) -> None:
        self._environment = environment
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._start()

    def _start(self) -> None:
        reader, writer = os.pipe()
        self._answers = os.fdopen(reader, encoding="utf-8")
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("OM_BULKSINK", "PYTHON"))
        }
        try:
            self._process = subprocess.Popen(
                [self._environment / "bin" / "python", "-P", WORKER, str(writer)],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[writer],
                env=inherited,
                text=True,
            )
        finally:
            os.close(writer)

    def live_through(self, job: dict[str, Any]) -> dict[str, Any]:
        """One plan; a process that hangs or dies is a report too."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        ready, _, _ = select.select([self._answers], [], [], LONGEST)
        line = self._answers.readline() if ready else ""
        if line:
            report: dict[str, Any] = json.loads(line)
            return report
        how = "the process died" if ready else f"no end after {LONGEST:.0f} s"
        self._process.kill()
        status = self._process.wait()
        self._answers.close()
        printed = os.pread(self._log.fileno(), 1_000_000, 0).decode(errors="replace")[-3_000:]
        self._start()
        return {"broken": f"{how} ({status})\n{printed}"}

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._log.close()


def run_one(worker: Worker, program: Path, wanted: Plan) -> Verdict:
    """One seed with a server of its own."""
    arguments = ["--seed", str(wanted.seed)]
    with own_server(program, profile=wanted.profile, latency=wanted.latency, arguments=arguments) as server:
        send(server, "PUT", "/services/databaseServices", {"name": "lake", "serviceType": "Postgres"})
        server.ask("PUT", "/switches", wanted.switches)
        server.set_faults(wanted.rules)
        job = {**wanted.as_job(), "url": server.url, "token": server.token, "control": server.control}
        report = worker.live_through(job)
        # What the server still works on belongs to the run: a late commit may come after the sink has ended.
        deadline = time.monotonic() + 60.0
        while server.summary()["in_flight"] and time.monotonic() < deadline:
            time.sleep(0.1)
        return judge(wanted, report, server.state(), server.violations(), server.requests())


def run(
    environment: Path,
    program: Path,
    seeds: Iterable[int],
    *,
    at_once: int,
    tell: Callable[[Verdict], object] = lambda _: None,
) -> list[Verdict]:
    """The verdicts on these seeds, in the order in which they came."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for seed in seeds:
        waiting.put(seed)
    verdicts: list[Verdict] = []
    broken: list[BaseException] = []

    def work() -> None:
        worker = Worker(environment)
        try:
            while not broken:
                verdict = run_one(worker, program, plan(waiting.get_nowait()))
                verdicts.append(verdict)
                tell(verdict)
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            broken.append(error)
        finally:
            worker.close()

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return verdicts
