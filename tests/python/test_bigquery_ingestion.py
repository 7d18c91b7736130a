"""Ingestions of a BigQuery by upstream's connector and Google's client: half of the requests for tables, and the same
catalogue.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from openmetadata_bulksink import settings
from tests.ingest import ReferenceServer, ingest, workflow
from tests.ingest.bigquery import BigQuery, tables
from tests.python.conftest import prepared

pytestmark = [pytest.mark.upstream, pytest.mark.wheel]

OTHERS = ",".join(name for name in settings.ACCELERATORS if name != "bigquery_comments")


def test_each_table_is_asked_for_once(
    sink_environment: Path, server_program: Path, server_profile: str, tmp_path: Path
) -> None:
    catalogue = {"sales": tables("sales", 18), "people": tables("people", 7)}
    asked, written = [], []
    logging = ReferenceServer(server_program, profile=server_profile, arguments=("--log-bodies", "true"))
    with BigQuery(catalogue) as bigquery, logging as server:
        variables = {**bigquery.variables(tmp_path), "PYTHONPATH": prepared("BIGQUERY")}
        for accelerate in (OTHERS, "1"):
            server.reset()
            bigquery.requests.clear()
            config = workflow(source=bigquery.source(), server_url=server.url, token=server.token)
            run = ingest(sink_environment, config, variables={**variables, "OM_BULKSINK_ACCELERATE": accelerate})
            assert run.require_success().sink.records > 25
            asked.append(sorted(bigquery.requests))
            log = server.requests(bodies=True)
            written.append(sorted((one["method"], one["path"], one["query"], one.get("body", "")) for one in log))
            described = [one["description"] for one in server.state()["tables"].values() if one.get("description")]
            assert len(described) == 13
    of_tables = [f"/datasets/{dataset}/tables/" for dataset in catalogue]
    (twice, others), (once, same_others) = (
        ([one for one in run if any(part in one for part in of_tables)], [one for one in run if "/tables/" not in one])
        for run in asked
    )
    assert len(set(once)) == len(once) == 25
    assert twice == sorted(once * 2)
    assert others == same_others
    assert written[0] == written[1]
