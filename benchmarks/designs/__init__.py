"""Sinks in pure Python, one for each design of the report that this project started from.

They are written as a careful author would write them for the job: one `requests` session for each worker, connections
kept open, retries with back-off for what may succeed later, the answer of a bulk request read row by row. What they do
not have is what their description does not have: knowledge of what depends on what, beyond "containers first".

    records.py       what they are given
    connection.py    the requests that all of them make
    sequential.py    one request for each table
    asynchronous.py  batches over workers, life cycles at once
    two_phase.py     the same, life cycles after the last batch
"""
