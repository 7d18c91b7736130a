"""`make bench-report`: the table of the report that this project started from, measured again, with ours beside it.

workload.py    the report's catalogue and rates, scaled; the source that every sink is fed from
contenders.py  who takes part
child.py       one run, in a process of its own; sees neither charts nor judgements
frameworks.py  upstream's sink and ours, fed the same records as upstream's objects
judge.py       who lost what: what was yielded against what the server has
rounds.py      the runs, one after the other, interleaved
results.py     what was measured, as JSON and as tables
charts.py      the two charts
__main__.py    all of it
"""
