"""Starts a warehouse, prints where it listens as one line of JSON, and ends with its standard input (or Ctrl-C)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields

from tests.redshift.warehouse import Shape, Warehouse
from tools import machine, postgresql, steps


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.redshift", description=__doc__)
    for field in fields(Shape):
        name = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(name, type=int, default=field.default)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each catalogue query")
    parser.add_argument("--serverless", action="store_true", help="a workgroup without stl_ tables")
    chosen = vars(parser.parse_args(arguments))
    delay, serverless = chosen.pop("delay"), chosen.pop("serverless")
    try:
        programs = postgresql.programs()
    except (machine.Missing, steps.StepFailed) as error:
        print(error, file=sys.stderr)
        return 1
    with Warehouse(programs, Shape(**chosen), delay=delay, serverless=serverless) as warehouse:
        where = {"host": "127.0.0.1", "port": warehouse.port, "database": warehouse.database, "user": warehouse.user}
        print(json.dumps(where), flush=True)
        try:
            sys.stdin.read()
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
