"""The command."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> int:
    return 0 if arguments is None else len(arguments)
