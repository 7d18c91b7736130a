"""What a report says of made-up runs: what was slow, what was lost, what to change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from openmetadata_bulksink.report.advice import advice, verdict
from openmetadata_bulksink.report.figures import OTHER_REASONS, Again, Counts, Failures, Figures, Split, Statements
from tests.python.report import made_up
from tests.python.report.made_up import healthy, lane, lost, outage, spent


def said(figures: Figures) -> str:
    """The verdict in one text."""
    return " ".join(verdict(figures))


def told(figures: Figures) -> str:
    """The advice in one text."""
    return "\n".join(advice(figures))


def test_a_healthy_run_needs_nothing() -> None:
    run = healthy()
    assert "(87 %) passed while the source computed" in said(run)
    assert "Writing was not slow" in said(run)
    assert "Nothing was lost: 10,004 records were written." in said(run)
    assert advice(run) == ("Nothing to change: no part of this run stands out.",)


SLOW_SERVER: dict[str, Any] = {
    "spent": spent(room=30.0, drain=4.0, database=5.0),
    "counts": Counts(entities=10_004, requests=105, most_in_flight=4, limit=4),
    "lanes": (lane(p50=2.7, p95=4.0, seconds=200.0),),
}


def test_a_slow_server_is_named_with_its_slowest_collection() -> None:
    run = healthy(**SLOW_SERVER)
    assert "(50 %) passed while the source was held up because the server was slower" in said(run)
    assert "The server was slow: 34.0 s (57 %)" in said(run)
    assert "tables, half of whose requests took 2.7 s or longer, with 100 records in each" in said(run)
    assert "OM_BULKSINK_WORKERS=8" in told(run)


def test_more_workers_are_no_advice_where_the_server_asks_for_less() -> None:
    run = healthy(**SLOW_SERVER, again=(Again("overload", 3, 300),))
    assert "The server asked for less 3 times: lower OM_BULKSINK_WORKERS (it is 4)" in told(run)
    assert "WORKERS=8" not in told(run)


def test_where_too_few_requests_went_the_budget_is_the_limit() -> None:
    counts = dataclasses.replace(SLOW_SERVER["counts"], most_in_flight=1)
    assert "OM_BULKSINK_BUDGET_MB=256" in told(healthy(**{**SLOW_SERVER, "counts": counts}))


def test_one_request_at_a_time_is_the_workflows_own_wish() -> None:
    about = dataclasses.replace(made_up.ABOUT, synchronous=True)
    run = healthy(about=about, spent=spent(answer=40.0))
    assert "each request was waited for, one at a time" in said(run)
    assert "enable_async_pipeline: false" in told(run)


@pytest.mark.parametrize(
    ("granted", "means"),
    [(0, "OM_BULKSINK_READ_AHEAD=4"), (None, "OM_BULKSINK_READ_AHEAD=4"), (4, "openmetadata-bulksink shard")],
)
def test_a_slow_database_is_named_and_its_statements_counted(granted: int | None, means: str) -> None:
    about = dataclasses.replace(made_up.ABOUT, read_ahead=granted)
    run = healthy(about=about, spent=spent(database=45.0), statements=Statements(9_000, 45.0))
    assert "(75 %) passed while the source waited for its database" in said(run)
    assert "stood still for 45.0 s in 9,000 statements of its database, 5 ms each" in told(run)
    assert means in told(run)


def test_an_outage_is_told_with_its_time_and_its_cause() -> None:
    run = healthy(**outage(20.0, 81.0))
    assert "an outage: from 20.0 s to 81.0 s the server served nothing (the server was unavailable)" in said(run)
    assert "Look at the server's log for the 61.0 s" in told(run)


def test_an_outage_longer_than_the_deadline_asks_for_a_longer_one() -> None:
    run = healthy(**{**lost(9_000), **outage(0.0, 350.0)})
    assert "OM_BULKSINK_DELIVERY_TIMEOUT" in told(run)


def test_lost_records_are_counted_and_can_be_kept() -> None:
    run = healthy(**lost(3))
    assert "3 records were lost, for 1 reason (below, by name); 10,000 records were written." in said(run)
    assert "OM_BULKSINK_DEAD_LETTERS=FILE" in told(run)
    kept = dataclasses.replace(run, about=dataclasses.replace(run.about, dead_letters=True))
    assert "openmetadata-bulksink replay FILE" in told(kept)


def test_tables_without_keys_are_told_of() -> None:
    run = healthy(counts=Counts(entities=1_200, in_part=2))
    expected = "No record was lost: 1,200 records were written, 2 of them without some of their foreign keys"
    assert expected in said(run)
    assert "Nothing was lost" not in said(run)


def test_what_was_pending_at_the_end_is_not_called_written() -> None:
    counts = Counts(entities=10, pending=1)
    run = healthy(ending="by SIGTERM", counts=counts)
    assert "1 record was not yet written when this was made, because the run ended: by SIGTERM" in said(run)
    assert "Nothing was lost" not in said(run)


def test_a_run_that_ended_early_lost_nothing_of_what_it_was_handed_and_no_more() -> None:
    run = healthy(ending="by KeyboardInterrupt")
    assert "The run ended early, by KeyboardInterrupt: what its source had not read by then is missing." in said(run)
    assert "Of what was handed over nothing was lost" in said(run)


def test_what_the_source_could_not_read_is_told_and_named() -> None:
    run = healthy(unread=(Failures("permission denied", 25, ("svc.db.s.t",)),))
    assert "The source reported 25 failures of its own (below, by name)" in said(run)
    assert "Of what was handed over nothing was lost" in said(run)
    assert "no sink can mend them" in told(run)


def test_reasons_beyond_those_that_are_kept_are_not_counted_as_one() -> None:
    groups = (*(Failures(f"reason {number}", 1, ()) for number in range(3)), Failures(OTHER_REASONS, 5, ()))
    run = healthy(counts=Counts(entities=1, lost=8), failures=groups)
    assert "8 records were lost, for more than 3 reasons" in said(run)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"again": (Again("no-answer", 2, 200),)}, "2 requests had no answer within the read time-out"),
        ({"splits": (Split("too-large", 1),)}, "client_max_body_size"),
        ({"again": (Again("turned-away", 1, 100),)}, "how long the token is valid"),
        ({"spent": spent(fence=20.0), "fences": {"GET /tables/name": 19.0}}, "most of it GET /tables/name (19.0 s)"),
        ({"processor": 20.0}, "ready for 20.0 s without getting a processor"),
        (
            {"spent": spent(drain=20.0), "lanes": (lane(requests=400, rows=4_000),)},
            "Requests for tables held 10 records of 100",
        ),
        (
            {"again": (Again("broken", 20, 2_000),), "lanes": (lane(not_served=20),)},
            "20 % of the requests were sent for nothing, most often because the connection broke",
        ),
        (
            {"about": dataclasses.replace(made_up.ABOUT, aside=("name_walk, its source is not known",))},
            "Accelerators stepped aside",
        ),
    ],
    ids=["time-outs", "too large", "token", "fences", "processor", "fragments", "in vain", "stepped aside"],
)
def test_each_rule_speaks_where_its_figures_are_there(other: dict[str, Any], sentence: str) -> None:
    assert sentence in told(healthy(**other))
    assert sentence not in told(healthy())
