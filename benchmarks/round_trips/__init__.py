"""`make bench-round-trips`: what round trips to the source's database cost, and what is left of them with chunks, with
statements ahead, and with threads.

sources.py   what is ingested, and how far away it is
ways.py      how: upstream, its threads, ours without and with what saves round trips
rows.py      one ingestion, measured; several in rounds
bounds.py    what the figures must be
"""
