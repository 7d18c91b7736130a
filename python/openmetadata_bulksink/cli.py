"""The command `openmetadata-bulksink`: arguments in, exit status out. What each word does is in a file of its name."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata as packages
from pathlib import Path

from openmetadata_bulksink import activate, doctor, settings, standard_streams
from openmetadata_bulksink.activate import NotInstalled
from openmetadata_bulksink.interrupts import signals_as_interrupts
from openmetadata_bulksink.settings import SettingError
from openmetadata_bulksink.shard import arguments as shard_arguments
from openmetadata_bulksink.silence import upstream_is_silent
from openmetadata_bulksink.workflow_file import Unreadable

#: Exit statuses: all is well; the sink would not be used, or something was refused; it could not be found out or done.
FINE, WRONG, UNUSABLE = 0, 1, 2

#: How a line begins, for each kind of finding.
_WORDS = {"ok": "ok  ", "note": "note", "no": "NO  "}

_STATUS = {doctor.Verdict.USED: FINE, doctor.Verdict.NOT_ASKED: FINE, doctor.Verdict.AWAY: UNUSABLE}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    standard_streams.complete()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["ingest"]:  # all that follows is upstream's to read
            activate.upstreams_command(given)
            return FINE
    except NotInstalled as error:
        return _unusable(str(error))
    chosen = _parser().parse_args(given)
    try:
        with upstream_is_silent():
            return _run(chosen)
    except (SettingError, Unreadable, NotInstalled) as error:
        return _unusable(str(error))
    except OSError as error:
        if type(error).__module__ != "builtins":  # the HTTP library's are such, and their texts hold addresses
            return _unexpected(error)
        where = f": {error.filename}" if error.filename else ""
        return _unusable(f"{error.strerror}{where}" if error.strerror else str(error))
    except KeyboardInterrupt:
        return _unusable("interrupted")
    except Exception as error:  # noqa: BLE001
        return _unexpected(error)
    finally:
        standard_streams.let_go()


def _run(chosen: argparse.Namespace) -> int:
    status = int(chosen.run(chosen))
    sys.stdout.flush()  # not at the end of the process: what fails there is another exit status
    return status


def _unexpected(error: Exception) -> int:
    """Neither its text nor its traceback is shown: they may hold what is secret."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return _unusable(f"unexpected {type(error).__name__} at {Path(last.filename).name}:{last.lineno}")


def _unusable(text: str) -> int:
    with contextlib.suppress(OSError):  # nobody reads it: `2>&1 | head`
        print(f"openmetadata-bulksink: {text}", file=sys.stderr)
    return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openmetadata-bulksink",
        description="A native bulk sink for OpenMetadata ingestion. It is active without a command; these look at it.",
        epilog="Exit status: 0, all is well; 1, the native sink would not be used, or records were refused; 2, it "
        "could not be found out or done.",
    )
    parser.add_argument("--version", action=_Version)
    words = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    words.add_parser("ingest", help="`metadata ingest` with the native sink, also where no start-up hook runs")

    examined = words.add_parser(
        "doctor",
        help="say whether the native sink would be used, and if not, why not",
        description="Checks the installation, and with a workflow file also the server: address, version, token, bulk "
        "endpoint, TLS and proxy. Changes nothing without --canary. The last line says what a workflow would do.",
    )
    examined.add_argument("-c", "--config", type=Path, metavar="FILE", help="a workflow's YAML or JSON")
    examined.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    examined.add_argument(
        "--canary",
        action="store_true",
        help="write a small catalogue with both sinks into services of its own, compare them field by field, and "
        "delete both; asks first",
    )
    examined.add_argument("--yes", action="store_true", help="yes, this server may be written to (--canary)")
    examined.add_argument(
        "--probe",
        action="store_true",
        help="also ask how large a body may be, and how long a connection may idle: two minutes more (--canary)",
    )
    examined.set_defaults(run=_doctor)

    replay = words.add_parser(
        "replay",
        help="send lost records again",
        description="Sends the records of a dead letter file (OM_BULKSINK_DEAD_LETTERS) again, parents first. Nothing "
        "is sent if a line of the file is no letter. What is still refused goes to a new file, with the new reason.",
    )
    replay.add_argument("letters", type=Path, metavar="FILE", help="the dead letter file")
    replay.add_argument("-c", "--config", type=Path, metavar="FILE", required=True, help="a workflow's YAML or JSON")
    replay.add_argument("-o", "--output", type=Path, metavar="FILE", help="the new file (default: FILE.refused)")
    replay.set_defaults(run=_replay)

    bench = words.add_parser(
        "bench",
        help="measure how fast a server takes tables, and with how many workers",
        description="Writes made-up tables into a service of its own and deletes that service at the end. For a server "
        "that may be written to.",
    )
    bench.add_argument("-c", "--config", type=Path, metavar="FILE", required=True, help="a workflow's YAML or JSON")
    bench.add_argument(
        "--tables", type=int, default=400, metavar="N", help="tables for each measurement (default: 400)"
    )
    bench.add_argument("--columns", type=int, default=20, metavar="N", help="columns of each table (default: 20)")
    bench.add_argument(
        "--workers", default="1,2,4,8", metavar="LIST", help="numbers of workers to try (default: 1,2,4,8)"
    )
    bench.add_argument("--yes", action="store_true", help="yes, this server may be written to")
    bench.set_defaults(run=_bench)

    shard_arguments.add(words)
    return parser


class _Version(argparse.Action):
    """The versions that a report of a fault needs; upstream is not imported for it."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="say which versions are installed")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        lines = [f"{name} {_installed(name)}" for name in ("openmetadata-bulksink", "openmetadata-ingestion")]
        print("\n".join([*lines, f"Python {sys.version.split()[0]}"]))
        parser.exit(FINE)


def _installed(name: str) -> str:
    try:
        return packages.version(name)
    except packages.PackageNotFoundError:
        return "not installed"


def _doctor(chosen: argparse.Namespace) -> int:
    if chosen.canary:
        from openmetadata_bulksink.canary.command import run

        same = run(chosen.config, yes=chosen.yes, as_json=chosen.json, probe=chosen.probe)
        return FINE if same else WRONG
    found = doctor.examine(chosen.config) if chosen.json else doctor.examine(chosen.config, _Teller())
    status = _STATUS.get(found.verdict, WRONG)
    if chosen.json:
        lines = [line._asdict() for line in found.lines]
        verdict = {"verdict": found.verdict.name.lower(), "summary": found.verdict.value, "status": status}
        print(json.dumps({**verdict, "findings": lines}, indent=2))
    else:
        print(found.verdict.value)
    return status


class _Teller:
    """Prints findings as they come, each part under its title."""

    def __init__(self) -> None:
        self._part = ""

    def __call__(self, line: doctor.Line) -> None:
        if line.part != self._part:
            self._part = line.part
            print(line.part)
        print(f"  {_WORDS[line.kind]}  {line.text}", flush=True)


def _replay(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.replay import replay

    output = chosen.output or chosen.letters.with_name(chosen.letters.name + ".refused")
    with signals_as_interrupts():
        return FINE if replay(chosen.letters, chosen.config, output) else WRONG


def _bench(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.bench import Size, measure

    try:
        workers = [int(part) for part in chosen.workers.split(",") if part.strip()]
    except ValueError:
        workers = []
    size = Size(chosen.tables, chosen.columns)
    if not workers or min(workers) < 1 or max(workers) > settings.MOST_WORKERS or min(size) < 1:
        raise SettingError(
            f"--workers must be numbers from 1 to {settings.MOST_WORKERS} such as 1,2,4; --tables and --columns at "
            "least 1"
        )
    if not chosen.yes:
        raise SettingError("bench writes to the server and deletes what it wrote; add --yes if that is wanted")
    with signals_as_interrupts():
        return FINE if measure(chosen.config, size, workers) else WRONG
