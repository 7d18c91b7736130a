"""The command `openmetadata-bulksink`: arguments in, exit status out. What each word does is in a file of its name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from openmetadata_bulksink import activate
from openmetadata_bulksink.activate import NotInstalled
from openmetadata_bulksink.settings import SettingError
from openmetadata_bulksink.workflow_file import Unreadable

#: Exit statuses: all is well; something is not; the command could not be carried out.
FINE, WRONG, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["ingest"]:  # all that follows is upstream's to read
            return _ingest(given)
        chosen = _parser().parse_args(given)
        return int(chosen.run(chosen))
    except (SettingError, Unreadable, NotInstalled, OSError) as error:
        print(f"openmetadata-bulksink: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("openmetadata-bulksink: interrupted", file=sys.stderr)
        return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="openmetadata-bulksink",
        description="A native bulk sink for OpenMetadata ingestion. It is active without a command; these look at it.",
    )
    words = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    words.add_parser("ingest", help="`metadata ingest` with the native sink, also where no start-up hook runs")

    doctor = words.add_parser(
        "doctor",
        help="say whether the native sink would be used, and if not, why not",
        description="Checks the installation, and with a workflow file also the server: address, version, token, bulk "
        "endpoint, TLS and proxy. Changes nothing.",
    )
    doctor.add_argument("-c", "--config", type=Path, metavar="FILE", help="a workflow's YAML or JSON")
    doctor.set_defaults(run=_doctor)

    replay = words.add_parser(
        "replay",
        help="send lost records again",
        description="Sends the records of a dead letter file (OM_BULKSINK_DEAD_LETTERS) again, parents first. What is "
        "still refused goes to a new file, with the new reason.",
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
    return parser


def _ingest(given: list[str]) -> int:
    activate.upstreams_command(given)
    return FINE


def _doctor(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.doctor import examine

    return FINE if examine(chosen.config) else WRONG


def _replay(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.replay import replay

    output = chosen.output or chosen.letters.with_name(chosen.letters.name + ".refused")
    return FINE if replay(chosen.letters, chosen.config, output) else WRONG


def _bench(chosen: argparse.Namespace) -> int:
    from openmetadata_bulksink.bench import measure

    try:
        workers = [int(part) for part in chosen.workers.split(",") if part.strip()]
    except ValueError:
        workers = []
    if not workers or min(workers) < 1 or chosen.tables < 1 or chosen.columns < 1:
        raise SettingError("--workers must be numbers such as 1,2,4; --tables and --columns at least 1")
    if not chosen.yes:
        raise SettingError("bench writes to the server and deletes what it wrote; add --yes if that is wanted")
    measure(chosen.config, chosen.tables, chosen.columns, workers)
    return FINE
