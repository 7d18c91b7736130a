"""A Redshift for upstream's unmodified Redshift connector, made of PostgreSQL 15.

    facade.sql    the system relations and functions that the connector reads
    proxy.py      the wire proxy in front of it
    warehouse.py  both, running, with schemas, tables, keys, views, external tables, procedures, creation times

`python3 -m tests.redshift --help` starts one by hand.
"""

from tests.redshift.warehouse import Shape, Warehouse

__all__ = ["Shape", "Warehouse"]
