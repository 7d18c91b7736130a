"""Records that the server cannot take, among many that it can: they are lost alone, by name, and without a flood of
requests.
"""

from __future__ import annotations

from math import log2

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.streams import SCHEMA, Fed, Feeder

pytestmark = [pytest.mark.wheel]

#: One request at a time makes the number of requests repeat; with a long linger the source's pace does not decide how
#: large they are.
VARIABLES = {
    "OM_BULKSINK_DELIVERY_TIMEOUT": "30",
    "OM_BULKSINK_WORKERS": "1",
    "OM_BULKSINK_LINGER": "60",
    "OM_BULKSINK_ACCELERATE": "0",
}


def poisoned(numbers: range, status: int, text: str) -> list[dict[str, object]]:
    """Each request that carries one of these tables is answered like this as a whole."""
    action = {"kind": "status", "status": status, "body": {"code": status, "message": text}}
    return [{"match": {"class": "bulk", "fqn": f"{SCHEMA}.t{number}"}, "do": action} for number in numbers]


def feed(feeder: Feeder, lake: ReferenceServer, tables: int, columns: int = 2, **variables: str) -> Fed:
    stream = [["tables", 0, tables, columns], ["status"], ["close"]]
    return feeder.feed(lake, stream, variables={**VARIABLES, **variables})


def bulk_requests(fed: Fed) -> list[dict[str, object]]:
    return [request for request in fed.requests if request["path"].endswith("/bulk")]


@pytest.mark.parametrize("poison", [range(40, 41), range(40, 42), range(0, 100, 2)], ids=["1", "2", "50"])
def test_poison_rows_that_the_server_refuses_with_the_whole_request(
    feeder: Feeder, lake: ReferenceServer, poison: range
) -> None:
    lake.set_faults(poisoned(poison, 400, "an odd record"))
    fed = feed(feeder, lake, 100).require_accounted_for(100)
    assert set(fed.names) == {f"{SCHEMA}.t{number}" for number in poison}
    assert all("an odd record" in failure["error"] for failure in fed.failures)
    requests = len(bulk_requests(fed))
    # A search by halves for each of them, and never more than every half there is.
    assert requests <= min(199, 1 + len(poison) * 2 * (log2(100) + 1)), f"{requests} requests"


def test_a_poison_row_that_answers_500(feeder: Feeder, lake: ReferenceServer) -> None:
    lake.set_faults(poisoned(range(40, 41), 500, "boom"))
    fed = feed(feeder, lake, 300, OM_BULKSINK_DELIVERY_TIMEOUT="12").require_accounted_for(300)
    assert fed.names == [f"{SCHEMA}.t40"]
    assert "given up" in fed.failures[0]["error"]
    assert "boom" in fed.failures[0]["error"]
    assert len(bulk_requests(fed)) < 60


def test_bodies_that_are_too_large(feeder: Feeder, lake: ReferenceServer) -> None:
    lake.set_faults([{"match": {"class": "bulk", "body_over": 300_000}, "do": {"kind": "status", "status": 413}}])
    fed = feed(feeder, lake, 600, columns=160).require_all_written(600)
    sent = bulk_requests(fed)
    assert max(int(str(request["bytes"])) for request in sent) > 300_000, "nothing was too large"
    refused = [request for request in sent if request["status"] == 413]
    assert len(refused) <= 4, f"the limit was not learned: {len(refused)} of {len(sent)} were refused"


def test_a_record_that_is_too_large_alone(feeder: Feeder, lake: ReferenceServer) -> None:
    lake.set_faults([{"match": {"class": "bulk", "body_over": 2_000}, "do": {"kind": "status", "status": 413}}])
    stream = [["tables", 0, 50], ["tables", 50, 1, 200], ["tables", 51, 49], ["status"], ["close"]]
    fed = feeder.feed(lake, stream, variables=VARIABLES).require_accounted_for(100)
    assert fed.names == [f"{SCHEMA}.t50"]
    assert "bytes" in fed.failures[0]["error"]


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_refusal_of_everything_costs_few_requests(feeder: Feeder, lake: ReferenceServer, status: int) -> None:
    action = {"kind": "status", "status": status, "body": {"code": status, "message": "the service is read-only"}}
    lake.set_faults([{"match": {"class": "bulk"}, "do": action}])
    fed = feed(feeder, lake, 2_000).require_accounted_for(2_000)
    assert len(fed.failures) == 2_000
    assert all("the service is read-only" in failure["error"] for failure in fed.failures)
    requests = len(bulk_requests(fed))
    # Twelve equal refusals, 24 records that are tried alone, four for each batch, and what other workers had in flight.
    assert requests <= 12 + 24 + 4 * 20 + 3, f"{requests} requests for 20 batches"


def test_a_refusal_of_everything_that_ends_loses_only_what_was_refused(feeder: Feeder, lake: ReferenceServer) -> None:
    action = {"kind": "status", "status": 403, "body": {"code": 403, "message": "the policy is being changed"}}
    lake.set_faults([{"match": {"class": "bulk"}, "when": {"first": 30}, "do": action}])
    fed = feed(feeder, lake, 1_000).require_accounted_for(1_000)
    assert len(fed.failures) <= 600
    assert f"{SCHEMA}.t999" in fed.stored


@pytest.mark.parametrize(
    "text",
    [
        "Deadlock found when trying to get lock; try restarting transaction",
        "Lock wait timeout exceeded; try restarting transaction",
        "HikariPool-1 - Connection is not available, request timed out after 30000ms",
        "Communications link failure: the last packet sent successfully to the server was 0 milliseconds ago",
        "This connection has been closed.",
        "FATAL: the database system is starting up",
        "FATAL: terminating connection due to administrator command",
        "An I/O error occurred while sending to the backend.",
        "FATAL: sorry, too many clients already",
        "ERROR: could not serialize access due to concurrent update",
    ],
)
def test_a_row_that_met_a_database_in_trouble_is_sent_again(feeder: Feeder, lake: ReferenceServer, text: str) -> None:
    lake.set_faults([{"match": {"class": "bulk"}, "when": {"first": 4}, "do": {"kind": "fail_rows", "message": text}}])
    feed(feeder, lake, 150).require_all_written(150)
