"""`make bench-shards`: one ingestion as several, where the source is slow to answer.

warehouses.py  the two that are ingested
ways.py        processes of `shard all`, mapped tasks of Airflow, tasks of Ray
figures.py     what a run took, as JSON and as a table
"""
