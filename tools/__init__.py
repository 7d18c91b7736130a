"""Prepares what building, testing and measuring need. Standard library only, for the system's Python (3.10 or newer).

`python3 -m tools help` lists the commands; the Makefile calls them. Everything lands outside the tree, in
`${XDG_CACHE_HOME:-~/.cache}/openmetadata-bulksink/`, except Rust's own `target/`.

    machine.py       what the machine must bring: finds it, or says in one line how to get it
    cache.py         directories that are either complete or absent
    steps.py         one long command: title, sign of life, the end of its output where it fails
    environments.py  the build environment; one environment for each upstream version, with or without our wheel
    artifacts.py     the wheel and the reference server
    postgresql.py    the programs of a PostgreSQL 15
    mariadb.py       the programs of a MariaDB
    tree.py          checks of the committed files that no linter knows
"""
