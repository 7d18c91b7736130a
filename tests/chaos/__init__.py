"""Seeded runs of a real sink process against a reference server that fails in every way it can (`make chaos`).

    plan.py      a seed -> records, settings, faults, restarts and signals of one run; data only
    worker.py    the program in upstream's environment that lives through a plan with the real sink class
    judge.py     what must hold after a run: nothing lost unnamed, order kept, few failures
    runs.py      servers and worker processes, several at once
    __main__.py  the command

A run that fails repeats with its seed: `SEED=17 make chaos`.
"""
