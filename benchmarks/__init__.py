"""Runs that answer one question: how long does an ingestion take with this sink, and with the others?

    __main__.py        prepares everything, then hands over to a run below (system Python, standard library only)
    environment.py     the environment that runs them
    prepared.py        what was prepared, as a value that both sides understand
    machine_facts.py   the machine that measured, described
    measures.py        medians and their spread
    bounds.py          what must hold
    screen.py          the console
    request_log.py     what the reference server's log says about a run
    children.py        one module in a process of its own
    ingestions.py      real ingestions, measured
    catalogues.py      what they read: SQLite, PostgreSQL, the Redshift facade
    markdown.py        tables for pages
    picture.py         `make bench`: all of it, on one page
    designs/           pure-Python sinks, one for each design of the report that this project started from
    report/            `make bench-report`: that report's table, with ours beside it
    real.py            `make bench-real`, `bench-overlap`, `bench-redshift`: real ingestions, both sinks
    accelerators.py    `make bench-accelerators`: the source with and without them
    redshift_threads.py  `make bench-redshift-threads`: `threads: N` on a slow catalogue
    tags.py            `make bench-tags`: what tag records cost
    canary.py          `make bench-canary`: `doctor --canary` on a slow server
    start_up.py        `make bench-start-up`: to the first request
    cost/              what a record costs the main thread; a million tables; instructions that CI can guard
    results/           what the last runs found

No figure is written down anywhere but in `results/`; docs/benchmarks.md says what the figures mean.
"""
