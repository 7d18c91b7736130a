"""The words behind `openmetadata-bulksink shard`, and what each of them starts."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from openmetadata_bulksink.interrupts import end_by, signal_of

if TYPE_CHECKING:
    from openmetadata_bulksink.shard.commands import Job
    from openmetadata_bulksink.shard.folder import Folder

#: Exit statuses, as the other commands have them.
_FINE, _WRONG, _UNUSABLE = 0, 1, 2

#: What is read, to people.
_WORKFLOW, _KEPT = "the workflow file", "the plan of --keep"

#: Shards, and processes at once.
_MOST = 10_000


def add(words: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `shard` with its own words."""
    shard = words.add_parser(
        "shard",
        help="run one ingestion as several, on one machine or on many",
        description="Plan, open, run each shard, close; or all of it here. docs/scaling.md says when it pays.",
    )
    parts = shard.add_subparsers(title="steps", required=True, metavar="STEP")

    def step(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.add_argument("-c", "--config", type=Path, metavar="FILE", required=True, help="a workflow's YAML or JSON")
        made.set_defaults(run=_guarded(run))
        return made

    plan = step("plan", "list the source and say what goes into which shard; writes nothing to the server", _plan)
    plan.add_argument(
        "-n", "--shards", type=_whole_number(1, _MOST), metavar="N", required=True, help="how many shards"
    )
    plan.add_argument(
        "-o", "--output", type=Path, metavar="FILE", default=Path("-"), help="the plan (default: -, standard output)"
    )
    plan.add_argument("--keep", type=Path, metavar="PLAN", help="an earlier plan: its schemas stay in their shards")

    _with_lifeline(_with_plan(step("open", "write service, databases and schemas, once, before the shards", _open)))

    run = _with_plan(step("run", "run one shard", _run))
    run.add_argument(
        "--shard", type=_whole_number(0, _MOST), metavar="I", required=True, help="which one, counted from 0"
    )
    run.add_argument(
        "--result", type=Path, metavar="FILE", default=Path("-"), help="what came of it (default: -, standard output)"
    )
    _with_lifeline(run)

    close = _with_plan(step("close", "complete keys and delete what one run would have deleted", _close))
    close.add_argument("--result", type=Path, metavar="FILE", nargs="+", required=True, help="of each shard")
    _with_limit(close)
    _with_lifeline(close)

    whole = step("all", "plan, open, run all shards and close, on this machine", _all)
    whole.add_argument(
        "-n", "--shards", type=_whole_number(1, _MOST), metavar="N", help="how many shards (default: processes)"
    )
    whole.add_argument(
        "--processes",
        type=_whole_number(1, _MOST),
        metavar="K",
        default=os.cpu_count() or 1,
        help="at once (default: cores)",
    )
    whole.add_argument("--keep", type=Path, metavar="PLAN", help="an earlier plan: its schemas stay in their shards")
    whole.add_argument("-o", "--output", type=Path, metavar="FILE", help="a file that gets the plan")
    whole.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="a directory for plan and results (default: that of -o, else a new one)",
    )
    whole.add_argument(
        "--logs", type=Path, metavar="DIR", help="a directory for the shards' output (default: the same)"
    )
    _with_limit(whole)


def _with_plan(step: argparse.ArgumentParser) -> argparse.ArgumentParser:
    step.add_argument("--plan", type=Path, metavar="FILE", required=True, help="what `shard plan` wrote")
    return step


def _with_lifeline(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "--end-with-stdin", action="store_true", help="end when standard input does: with the program that started it"
    )


def _lifeline(chosen: argparse.Namespace) -> int | None:
    return sys.stdin.fileno() if chosen.end_with_stdin else None


def _with_limit(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "--max-deleted",
        type=_percent,
        metavar="PERCENT",
        default=20.0,
        help="refuse to delete a greater share of the live tables (default: 20; fewer than 50 tables always may go)",
    )


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, not {text!r}")
        return value

    return read


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 100, not {text!r}")
    return value


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """What can go wrong with a workflow, a plan or a result is one line, not a traceback."""

    def guarded(chosen: argparse.Namespace) -> int:
        from openmetadata_bulksink.shard.children import ChildFailed
        from openmetadata_bulksink.shard.documents import BadDocument
        from openmetadata_bulksink.shard.listing import Refused
        from openmetadata_bulksink.shard.results import Unacceptable

        try:
            return run(chosen)
        except (BadDocument, Refused) as error:
            status, text = _UNUSABLE, str(error)
        except Unacceptable as error:
            status, text = _WRONG, f"{error}; nothing was done"
        except ChildFailed as error:
            status, text = _WRONG, str(error)
        print(f"openmetadata-bulksink: {text}", file=sys.stderr)
        return status

    return guarded


def _job(chosen: argparse.Namespace) -> Job:
    from openmetadata_bulksink.shard.commands import load_job

    return load_job(chosen.config, chosen.plan)


def _document(path: Path | None) -> Path | None:
    """None for standard output, and where there is to be none. Raises BadDocument, before anything is done, where it
    cannot be written.
    """
    from openmetadata_bulksink.shard.commands import require_place

    if path is None:
        return None
    named = None if str(path) == "-" else path
    require_place(named)
    return named


def _require_apart(outputs: Iterable[Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Raises BadDocument where something that is read would be overwritten. inputs: by what they are to people."""
    from openmetadata_bulksink.shard.documents import BadDocument

    read = {os.path.realpath(path): what for what, path in inputs.items() if path is not None}
    for output in outputs:
        what = None if output is None else read.get(os.path.realpath(output))
        if what is not None:
            raise BadDocument(f"{output} is {what}, and would be overwritten; name another file")


def _planned(chosen: argparse.Namespace, shards: int) -> Job:
    from openmetadata_bulksink.shard import commands

    began = time.monotonic()
    given = commands.load_workflow(chosen.config)
    kept = commands.load_plan(chosen.keep) if chosen.keep else None
    job = commands.Job(given.config, commands.make_plan(given, shards, kept, began))
    commands.say(commands.table_of(job.plan))
    return job


def _plan(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.shard.commands import say, write_document

    place = _document(chosen.output)
    _require_apart([place], {_WORKFLOW: chosen.config, _KEPT: chosen.keep})
    try:
        write_document(place, _planned(chosen, chosen.shards).plan.to_json())
    except KeyboardInterrupt as how:
        say("openmetadata-bulksink: interrupted")
        end_by(signal_of(how))
    return _FINE


def _open(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.shard.commands import open_all

    return _FINE if open_all(_job(chosen), _lifeline(chosen)) else _WRONG


def _run(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.shard.commands import say, tell_of_failures, write_result
    from openmetadata_bulksink.shard.running import run_shards

    path = _document(chosen.result)
    _require_apart([path], {_WORKFLOW: chosen.config, "the plan": chosen.plan})
    job = _job(chosen)
    try:
        (result,) = run_shards(
            job, [chosen.shard], lambda report: write_result(path, report), lifeline=_lifeline(chosen)
        )
    except KeyboardInterrupt:
        say(f"shard {chosen.shard} was interrupted: what it wrote stays, nothing was deleted; run it again")
        raise
    for part in result.parts:
        tell_of_failures(part, f"openmetadata-bulksink: shard {chosen.shard}")
    if result.failures:
        say(f"shard {chosen.shard} has {result.failures} failures; `shard close` says whether all shards have too many")
    if result.ended != "well":
        say(f"openmetadata-bulksink: shard {chosen.shard} did not end well: {result.why}")
        return _WRONG
    return _FINE


def _close(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.shard.closing import close_all
    from openmetadata_bulksink.shard.commands import read_results
    from openmetadata_bulksink.shard.documents import BadDocument
    from openmetadata_bulksink.shard.folder import close_command

    if chosen.end_with_stdin and Path("-") in chosen.result:
        raise BadDocument("standard input cannot be both a result and what --end-with-stdin waits for")
    job = _job(chosen)
    again = close_command(chosen.config, chosen.plan, chosen.result)
    reported, lifeline = read_results(chosen.result), _lifeline(chosen)
    well = close_all(job, reported, chosen.max_deleted, now=time.time(), again=again, lifeline=lifeline)
    return _FINE if well else _WRONG


def _folder(chosen: argparse.Namespace, output: Path | None) -> Folder | None:
    """output: where the plan is to go. A device, a pipe and standard output get it, and keep nothing; then there is
    None, unless there is a directory for results. Raises BadDocument where it would overwrite what is read.
    """
    from openmetadata_bulksink import in_one_step
    from openmetadata_bulksink.shard.folder import Folder

    kept = output if output and in_one_step.is_file_or_nothing(output) else None
    results = chosen.results or (kept.parent if kept else None)
    if results is None:
        return None
    folder = Folder(chosen.config, kept or results / "plan.json", results, chosen.logs or results)
    read = {_WORKFLOW: chosen.config, _KEPT: chosen.keep}
    _require_apart([output, folder.plan], read)
    _require_apart(map(folder.result, range(_shards(chosen))), {**read, "the plan": folder.plan})
    return folder


def _new_folder(chosen: argparse.Namespace) -> Folder:
    from openmetadata_bulksink.shard.folder import Folder

    results = Path(tempfile.mkdtemp(prefix="bulksink-shards-"))
    return Folder(chosen.config, results / "plan.json", results, chosen.logs or results)


def _shards(chosen: argparse.Namespace) -> int:
    return int(chosen.shards or chosen.processes)


def _all(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.shard.commands import require_folder, write_document
    from openmetadata_bulksink.shard.whole import run_whole

    output = _document(chosen.output)
    for directory in filter(None, (chosen.results, chosen.logs)):
        require_folder(directory)
    folder = _folder(chosen, output)
    job = _planned(chosen, _shards(chosen))
    folder = folder or _new_folder(chosen)
    write_document(folder.plan, job.plan.to_json())
    if chosen.output and folder.plan != output:
        write_document(output, job.plan.to_json())
    return _FINE if run_whole(job, chosen.processes, chosen.max_deleted, folder) else _WRONG
