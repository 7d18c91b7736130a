"""`BulkSink` by itself, against the reference server: what its stub promises."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink import settings
from tests.ingest import ReferenceServer
from tests.python.native.conftest import SCHEMA, submit_tables, table

pytestmark = pytest.mark.wheel

BulkSinkMaker = Callable[..., Any]


def outcomes_by_status(sink: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for outcome in sink.take_outcomes():
        found.setdefault(outcome.status, []).append(outcome.fqn)
    return found


def test_parents_go_before_children_and_everything_is_written(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    with make_sink() as sink:
        sink.submit("databases", "lake.other", json.dumps({"name": "other", "service": "lake"}))
        body = json.dumps({"name": "s", "database": "lake.other"})
        sink.submit("databaseSchemas", "lake.other.s", body, parent="lake.other")
        for number in range(250):
            made = json.loads(table(f"t{number}")) | {"databaseSchema": "lake.other.s"}
            sink.submit("tables", f"lake.other.s.t{number}", json.dumps(made), parent="lake.other.s")
    outcomes = sink.take_outcomes()
    assert len(outcomes) == 252
    assert {outcome.status for outcome in outcomes} == {"written"}
    assert len(lake.state()["tables"]) == 250
    assert lake.violations() == []
    stats = sink.stats()
    assert stats.submitted == stats.written == 252
    assert stats.pending == 0


def test_each_record_has_one_outcome_with_its_name_and_reason(make_sink: BulkSinkMaker) -> None:
    sink = make_sink()
    submit_tables(sink, 3)
    sequence = sink.submit("tables", f"{SCHEMA}.bad", table("bad", dataTypeless=True)[:-1] + ', "columns": []}')
    orphan = json.loads(table("t")) | {"databaseSchema": "lake.main.nowhere"}
    sink.submit("tables", "lake.main.nowhere.t", json.dumps(orphan), parent="lake.main.nowhere")
    sink.drain(timeout=120)
    outcomes = {outcome.fqn: outcome for outcome in sink.take_outcomes()}
    assert len(outcomes) == 5
    failed = {fqn for fqn, outcome in outcomes.items() if outcome.status == "failed"}
    assert "lake.main.nowhere.t" in failed
    assert "databaseSchema instance for lake.main.nowhere not found" in outcomes["lake.main.nowhere.t"].reason
    assert outcomes[f"{SCHEMA}.bad"].sequence == sequence
    assert outcomes[f"{SCHEMA}.t0"].status == "written"
    assert outcomes[f"{SCHEMA}.t0"].reason is None
    assert outcomes[f"{SCHEMA}.t0"].attempts >= 1
    assert sink.take_outcomes() == []


def test_a_wait_sends_what_it_needs_and_nothing_else(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    sink = make_sink(linger=3_600.0)
    submit_tables(sink, 20)
    assert sink.wait(fqn=f"{SCHEMA}.t7", timeout=60) >= 0.0
    assert set(lake.state()["tables"]) == {f"{SCHEMA}.t7"}
    assert sink.wait(fqn='lake."main".public.t7') == 0.0, "in whatever spelling"
    assert sink.wait(fqn=f"{SCHEMA}.unheard_of") == 0.0
    assert sink.wait(collection="topics") == 0.0
    kept = [f"{SCHEMA}.t{number}" for number in range(18)]
    sink.wait(collection="tables", under=SCHEMA, except_fqns=kept, timeout=60)
    assert set(lake.state()["tables"]) == {f"{SCHEMA}.t{number}" for number in (7, 18, 19)}
    mark = sink.mark()
    submit_tables(sink, 5, start=100)
    sink.wait(up_to=mark, timeout=60)
    assert len(lake.state()["tables"]) == 20
    sink.wait(fqn=SCHEMA, subtree=True, timeout=60)
    assert len(lake.state()["tables"]) == 25


def test_a_wait_ends_by_its_own_timeout_and_nothing_is_lost(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    from openmetadata_bulksink import DrainTimeout

    sink = make_sink()
    with lake.holding("bulk"):
        submit_tables(sink, 3)
        start = time.monotonic()
        with pytest.raises(DrainTimeout, match=r"0\.2 s"):
            sink.drain(timeout=0.2)
        assert time.monotonic() - start >= 0.2
        with pytest.raises(TimeoutError):
            sink.wait(timeout=0.01)
        assert sink.stats().pending == 3
    sink.drain(timeout=60)
    assert sink.stats().written == 3


def test_pending_bodies_can_be_read(make_sink: BulkSinkMaker) -> None:
    sink = make_sink(linger=3_600.0)
    body = table("t")
    sink.submit("tables", f"{SCHEMA}.t", body, parent=SCHEMA)
    assert sink.pending_body("tables", '"lake".main.public.t') == body.encode()
    assert sink.pending_body("topics", f"{SCHEMA}.t") is None
    assert sink.pending_depth("tables", f"{SCHEMA}.t") == 0
    for number in range(1, 4):
        before = f"{SCHEMA}.t{number - 1}" if number > 1 else f"{SCHEMA}.t"
        sink.submit("tables", f"{SCHEMA}.t{number}", table(f"t{number}"), parent=SCHEMA, needs=[before])
    assert sink.pending_depth("tables", f"{SCHEMA}.t3") == 3
    sink.drain()
    assert sink.pending_body("tables", f"{SCHEMA}.t") is None
    assert sink.pending_depth("tables", f"{SCHEMA}.t3") is None


def test_life_cycles_wait_for_their_entity(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    with make_sink() as sink:
        submit_tables(sink, 30)
        for number in range(30):
            life_cycle = json.dumps({"created": {"timestamp": 1_700_000_000_000 + number}})
            sink.submit_life_cycle("tables", f"{SCHEMA}.t{number}", life_cycle)
        sink.submit_life_cycle("tables", f"{SCHEMA}.nobody", "{}")
    found = outcomes_by_status(sink)
    assert found["failed"] == [f"{SCHEMA}.nobody"]
    assert len(found["written"]) == 60
    stored = lake.state()["tables"][f"{SCHEMA}.t7"]
    assert stored["lifeCycle"] == {"created": {"timestamp": 1_700_000_000_007}}


def test_an_embedded_life_cycle_costs_no_request(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    with make_sink(embed_life_cycle=True) as sink:
        submit_tables(sink, 5)
        for number in range(5):
            sink.submit_life_cycle("tables", f"{SCHEMA}.t{number}", '{"created": {"timestamp": 17}}')
    assert {status: len(names) for status, names in outcomes_by_status(sink).items()} == {"written": 10}
    assert lake.state()["tables"][f"{SCHEMA}.t0"]["lifeCycle"] == {"created": {"timestamp": 17}}
    assert not [request for request in lake.requests() if request["method"] == "PATCH"]


def test_repeats_share_an_outcome_and_updates_keep_their_order(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    with make_sink() as sink:
        for text in ("one", "one", "two", "three"):
            sink.submit("tables", f"{SCHEMA}.t", table("t", description=text), parent=SCHEMA)
    assert outcomes_by_status(sink) == {"written": [f"{SCHEMA}.t"] * 4}
    assert sink.stats().rows == 3, "the repeat was not sent"
    assert lake.violations() == []


def test_the_budget_blocks_until_there_is_room(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    lake.set_latency({"bulk": {"request_ms": 100}})
    sink = make_sink(budget_bytes=2_000)
    submit_tables(sink, 60)
    stats = sink.stats()
    assert stats.pending_bytes <= 2_000
    assert stats.blocked_seconds > 0.1
    sink.submit("tables", f"{SCHEMA}.large", table("large", columns=200), parent=SCHEMA)
    sink.close()
    assert sink.stats().written == 61


def test_synchronous_writing_returns_when_the_record_is_final(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    sink = make_sink(synchronous=True, batch_size=1)
    for number in range(3):
        submit_tables(sink, 1, start=number)
        assert f"{SCHEMA}.t{number}" in lake.state()["tables"]
    sink = make_sink(synchronous=True, batch_size=10, linger=3_600.0)
    submit_tables(sink, 10, start=10)
    assert len(lake.state()["tables"]) == 13
    assert sink.stats().max_in_flight == 1


def test_close_is_idempotent_and_later_records_fail_by_name(make_sink: BulkSinkMaker) -> None:
    sink = make_sink()
    submit_tables(sink, 2)
    sink.close()
    sink.close()
    assert sink.submit("tables", f"{SCHEMA}.late", table("late")) == 3
    late = sink.take_outcomes()[-1]
    assert (late.fqn, late.status, late.reason) == (f"{SCHEMA}.late", "failed", "submitted after close")
    assert sink.drain() == 0.0


def test_close_with_a_timeout_fails_what_is_left_by_name(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    sink = make_sink()
    with lake.holding("bulk"):
        submit_tables(sink, 3)
        sink.close(timeout=0.3)
    outcomes = sink.take_outcomes()
    assert {outcome.fqn for outcome in outcomes} == {f"{SCHEMA}.t{number}" for number in range(3)}
    assert all("not delivered before" in outcome.reason for outcome in outcomes)


def test_a_rejected_token_is_renewed(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    tokens = iter(["old.old.old", lake.token])
    with make_sink(token=lambda: next(tokens)) as sink:
        submit_tables(sink, 2)
    assert sink.stats().written == 2


def test_a_token_callable_that_raises_is_asked_again_and_its_text_is_kept_back(
    make_sink: BulkSinkMaker, lake: ReferenceServer
) -> None:
    tokens = iter(["old.old.old", RuntimeError("secret.secret.secret"), OSError("secret.secret.secret"), lake.token])
    notices: list[str] = []

    def token() -> str:
        found = next(tokens)
        if isinstance(found, Exception):
            raise found
        return found

    with make_sink(token=token, on_notice=notices.append) as sink:
        submit_tables(sink, 2)
    assert sink.stats().written == 2
    assert "secret" not in f"{notices} {sink.take_outcomes()}"


def test_a_token_callable_that_blocks_ends_the_run_with_every_record_named(make_sink: BulkSinkMaker) -> None:
    release = threading.Event()
    tokens = iter(["old.old.old"])

    def token() -> str:
        for found in tokens:
            return found
        release.wait()
        raise RuntimeError

    sink = make_sink(token=token, delivery_timeout=2.0, workers=1)
    submit_tables(sink, 250)
    # The callable never comes back: what ends the drain is the deadline.
    sink.drain()
    outcomes = sink.take_outcomes()
    assert len({outcome.fqn for outcome in outcomes}) == len(outcomes) == 250
    assert all("token" in outcome.reason for outcome in outcomes), {outcome.reason for outcome in outcomes}
    sink.close()
    release.set()


def test_a_wrong_token_ends_with_a_text_that_says_what_to_change(lake: ReferenceServer) -> None:
    """Rule E7 gives a rejected token thirty seconds; scaled down by the time-out of close."""
    from openmetadata_bulksink import BulkSink

    sink = BulkSink(f"{lake.url}/v1", token="wrong.wrong.wrong")
    submit_tables(sink, 2)
    time.sleep(0.5)
    sink.close(timeout=1)
    reasons = {outcome.reason for outcome in sink.take_outcomes()}
    assert len(reasons) == 1
    assert "wrong.wrong.wrong" not in f"{reasons} {sink!r} {sink.stats()!r}"


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"base_url": "localhost:8585"}, ValueError, "base_url"),
        ({"base_url": "ftp://x/api/v1"}, ValueError, "base_url"),
        ({"workers": 0}, ValueError, "workers"),
        ({"workers": settings.MOST_WORKERS + 1}, ValueError, "workers"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"linger": -1.0}, ValueError, "linger"),
        ({"delivery_timeout": float("nan")}, ValueError, "delivery_timeout"),
        ({"base_url": "https://x/api/v1", "ca_certificates": b"garbage"}, ValueError, "ca"),
        ({"base_url": "https://x/api/v1", "client_certificate": b"garbage"}, ValueError, "client"),
        ({"proxy": "socks9://x"}, ValueError, "proxy"),
        ({"headers": {"bad name": "x"}}, ValueError, "header"),
        ({"token": 7}, TypeError, "token"),
        ({"workers": "many"}, TypeError, "workers"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(arguments: dict[str, Any], error: type[Exception], names: str) -> None:
    from openmetadata_bulksink import BulkSink

    with pytest.raises(error, match=f"(?i){names}"):
        BulkSink(**{"base_url": "http://127.0.0.1:1/api/v1", **arguments})


def test_wrong_arguments_are_named(make_sink: BulkSinkMaker) -> None:
    sink = make_sink()
    with pytest.raises(ValueError, match="fqn"):
        sink.submit("tables", "", "{}")
    with pytest.raises(ValueError, match="body: must be a JSON object"):
        sink.submit("tables", "a.b", "[]")
    with pytest.raises(TypeError, match="body: must be bytes or str, not dict"):
        sink.submit("tables", "a.b", {})
    with pytest.raises(ValueError, match="collection"):
        sink.submit("/tables?x=1", "a.b", "{}")
    with pytest.raises(ValueError, match="life_cycle"):
        sink.submit_life_cycle("tables", "a.b", "no")
    with pytest.raises(ValueError, match="fqn and collection"):
        sink.wait(fqn="a", collection="tables")
    with pytest.raises(ValueError, match="subtree"):
        sink.wait(subtree=True)
    with pytest.raises(ValueError, match="timeout"):
        sink.drain(timeout=-1)
    assert sink.stats().submitted == 0


def test_no_secret_is_shown(lake: ReferenceServer) -> None:
    from openmetadata_bulksink import BulkSink

    url = lake.url.replace("http://", "http://user:hunter2@")
    try:
        shown = repr(
            BulkSink(f"{url}/v1", token="t0p.s3cr3t.x", headers={"X-Key": "k3y"}, proxy="http://u:pr0xy@127.0.0.1:9")
        )
    except ValueError as error:
        shown = str(error)
    for secret in ("hunter2", "t0p.s3cr3t.x", "k3y", "pr0xy"):
        assert secret not in shown


def test_dead_letters_hold_each_lost_record(make_sink: BulkSinkMaker, tmp_path: Path) -> None:
    path = tmp_path / "lost.jsonl"
    with make_sink(dead_letters=path) as sink:
        submit_tables(sink, 2)
        sink.submit(
            "tables",
            "lake.main.nowhere.t",
            json.dumps({"name": "t", "databaseSchema": "lake.main.nowhere", "columns": []}),
        )
    (letter,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert letter["fqn"] == "lake.main.nowhere.t"
    assert letter["collection"] == "tables"
    assert letter["kind"] == "create"
    assert letter["body"]["databaseSchema"] == "lake.main.nowhere"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_stall_is_told_once_and_so_is_its_end(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    lines: list[str] = []
    sink = make_sink(on_notice=lines.append)
    lake.ask("POST", "/outage", {"seconds": 3_600})
    submit_tables(sink, 2)

    def come_back() -> None:
        lake.until("the stall is told", lambda: lines)
        lake.ask("POST", "/outage", {"seconds": 0})

    thread = threading.Thread(target=come_back)
    thread.start()
    sink.drain(timeout=240)
    thread.join()
    assert len(lines) == 2, lines
    assert "nothing could be written for 1" in lines[0]
    assert "writing goes on" in lines[1]
    assert sink.stats().written == 2


def test_the_server_can_be_asked_for_its_version(make_sink: BulkSinkMaker, server_profile: str) -> None:
    from openmetadata_bulksink import BulkSink, TransportError

    assert make_sink().server_version().startswith(server_profile)
    with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
        BulkSink("http://127.0.0.1:1/api/v1").server_version(timeout=2)


def test_a_server_without_bulk_is_written_to_one_by_one(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    lake.set_faults(
        [{"match": {"method": "PUT", "class": "bulk"}, "do": {"kind": "status", "status": 404, "body": "{}"}}]
    )
    with make_sink() as sink:
        submit_tables(sink, 5)
    assert sink.stats().written == 5
    assert len(lake.state()["tables"]) == 5


def test_a_fence_on_nothing_pending_costs_the_same_whatever_is_pending(make_sink: BulkSinkMaker) -> None:
    """Two sinks in turns, the least time of each; what it takes is bounded by `make bench-main-thread`."""
    sinks = {count: make_sink(linger=3_600.0, budget_bytes=1 << 30, batch_size=100_000) for count in (10, 2_000)}
    for count, sink in sinks.items():
        submit_tables(sink, count)
    least = dict.fromkeys(sinks, 1.0)
    for _ in range(50):
        for count, sink in sinks.items():
            start = time.perf_counter()
            for _ in range(100):
                sink.wait(fqn="lake.main.other.table")
            least[count] = min(least[count], time.perf_counter() - start)
    assert {sink.stats().pending for sink in sinks.values()} == {10, 2_000}
    assert least[2_000] < 3 * least[10], least


def test_ten_thousand_tables_take_few_full_requests(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    with make_sink(linger=3_600.0) as sink:
        for schema in range(10):
            parent = f"lake.main.s{schema}"
            sink.submit("databaseSchemas", parent, json.dumps({"name": f"s{schema}", "database": "lake.main"}))
            for number in range(1_000):
                body = json.loads(table(f"t{number}", columns=1)) | {"databaseSchema": parent}
                sink.submit("tables", f"{parent}.t{number}", json.dumps(body), parent=parent)
    assert sink.stats().written == 10_010
    assert lake.summary()["requests_by_class"]["bulk"] <= 130
    assert lake.violations() == []


def test_what_is_written_once_is_not_sent_again(make_sink: BulkSinkMaker, lake: ReferenceServer) -> None:
    sink = make_sink()
    before = sink.stats().requests
    group, tag = '{"name": "G", "description": "g"}', '{"name": "t", "classification": "G", "description": "t"}'
    for number in range(5):
        sink.submit("tags", "G.t", tag, "G", once=True, first=("classifications", "G", group), label=f"row {number}")
        sink.drain(timeout=60)
    assert sink.stats().requests - before == 2
    outcomes = sink.take_outcomes()
    assert {outcome.status for outcome in outcomes} == {"written"}
    assert [outcome.label for outcome in outcomes if outcome.collection == "tags"] == [f"row {at}" for at in range(5)]
    assert set(lake.state()["tags"]) == {"G.t"}
    sink.forget_written()
    sink.submit("tags", "G.t", tag, "G", once=True)
    sink.drain(timeout=60)
    assert sink.stats().requests - before == 3
    assert [outcome.label for outcome in sink.take_outcomes()] == [None]


def test_a_record_fails_unsent_with_the_one_that_must_come_first(
    make_sink: BulkSinkMaker, lake: ReferenceServer
) -> None:
    sink = make_sink()
    sink.submit("tags", "G.t", '{"name": "t", "classification": "G"}', first=("classifications", "G", '{"name": ""}'))
    sink.drain(timeout=60)
    classification, tag = sorted(sink.take_outcomes(), key=lambda outcome: outcome.sequence)
    assert (classification.status, tag.status, tag.attempts) == ("failed", "failed", 0)
    assert tag.reason.startswith("G failed, which must be written first: ")
    assert "tags" not in lake.state()


def test_first_must_be_a_record(make_sink: BulkSinkMaker) -> None:
    sink = make_sink()
    with pytest.raises(ValueError, match="first: must be a JSON object"):
        sink.submit("tags", "G.t", "{}", first=("classifications", "G", "[]"))
    with pytest.raises(ValueError, match="collection"):
        sink.submit("tags", "G.t", "{}", first=("no collection", "G", "{}"))
    with pytest.raises(ValueError, match="first"):
        sink.submit("tags", "G.t", "{}", first=("classifications", "G"))
    assert sink.stats().submitted == 0
