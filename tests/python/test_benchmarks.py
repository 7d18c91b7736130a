"""The parts of the benchmarks that decide what a figure means: the designs really write, and the judge really looks."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from benchmarks import catalogues, picture, real, request_log
from benchmarks.__main__ import RUNS
from benchmarks.bounds import Bound
from benchmarks.designs.asynchronous import Asynchronous
from benchmarks.designs.connection import Connection
from benchmarks.designs.records import Entity, LifeCycle
from benchmarks.designs.sequential import Sequential
from benchmarks.designs.two_phase import TwoPhase
from benchmarks.ingestions import Setting, in_rounds
from benchmarks.measures import spread
from benchmarks.prepared import Prepared
from benchmarks.report import judge, workload
from benchmarks.report.contenders import contenders
from benchmarks.round_trips import bounds as judged
from benchmarks.round_trips import ways
from benchmarks.round_trips.rows import Row, Rows
from benchmarks.shards import __main__ as shards
from benchmarks.shards import figures
from tests.ingest import ReferenceServer

SCALE = workload.Scale(260)


@pytest.fixture
def server(server_program: Path) -> Iterator[ReferenceServer]:
    """A server with the database service, and no latency."""
    with ReferenceServer(server_program) as running:
        connection = Connection(running.url + "/v1", running.token)
        service = Entity("services/databaseServices", workload.SERVICE, workload.service_request())
        assert connection.put_one(service) == []
        connection.close()
        yield running


def write(server: ReferenceServer, make: Callable[[str, str], Any]) -> judge.Verdict:
    """Feeds the whole catalogue to a design, at once."""
    design = make(server.url + "/v1", server.token)
    for record in workload.records(SCALE):
        design.write(record)
    design.close()
    return judge.judge(SCALE, server.state(), [vars(failure) for failure in design.failures])


@pytest.mark.parametrize(
    "make",
    [Sequential, lambda url, token: TwoPhase(url, token, 2), lambda url, token: TwoPhase(url, token, 4)],
    ids=["sequential", "two-phase-2", "two-phase-4"],
)
def test_designs_that_lose_nothing(server: ReferenceServer, make: Callable[[str, str], Any]) -> None:
    verdict = write(server, make)
    assert verdict.success == 1.0
    assert verdict.yielded == {"databases": 1, "schemas": 1, "tables": 260, "life cycles": 10}
    assert verdict.losses() == "nothing"
    assert server.violations() == []


def test_asynchronous_writing_alone_loses_life_cycles(server: ReferenceServer) -> None:
    server.set_latency({"bulk": {"request_ms": 50}})
    verdict = write(server, lambda url, token: Asynchronous(url, token, 2))
    assert verdict.lost["tables"] == 0
    assert verdict.lost["life cycles"] >= 8
    assert verdict.reported == verdict.lost["life cycles"]
    assert any("404" in reason for reason in verdict.reasons)
    assert request_log.by_status(server.requests())["404"] == verdict.lost["life cycles"]


def test_designs_try_again_what_may_succeed(server: ReferenceServer) -> None:
    server.set_faults([{"when": {"nth": [2, 5, 9]}, "do": {"kind": "status", "status": 503}}])
    assert write(server, lambda url, token: TwoPhase(url, token, 2)).success == 1.0
    assert request_log.by_status(server.requests()) == {"503": 3}


def test_designs_name_the_rows_that_were_refused(server: ReferenceServer) -> None:
    lost = next(record for record in workload.records(SCALE) if record.fqn.endswith("fact_00042"))
    rows = {"kind": "fail_rows", "fqns": [lost.fqn], "status": 400, "message": "no such tag"}
    server.set_faults([{"match": {"class": "bulk"}, "do": rows}])
    verdict = write(server, lambda url, token: TwoPhase(url, token, 2))
    assert verdict.lost["tables"] == 1
    assert verdict.reported == 1
    assert "no such tag" in verdict.reasons


def test_the_judge_looks_at_the_server_alone(server: ReferenceServer) -> None:
    write(server, lambda url, token: TwoPhase(url, token, 2))
    whole = server.state()
    missing = next(record.fqn for record in workload.records(SCALE) if record.fqn.endswith("fact_00001"))
    with_life_cycle = next(record for record in workload.records(SCALE) if isinstance(record, LifeCycle))
    state = copy.deepcopy(whole)
    del state["tables"][missing]
    state["tables"][with_life_cycle.fqn]["lifeCycle"]["created"]["timestamp"] += 1
    verdict = judge.judge(SCALE, state, [])
    assert verdict.lost == {"databases": 0, "schemas": 0, "tables": 1, "life cycles": 1}
    assert verdict.losses() == "1 of 260 tables, 1 of 10 life cycles; 2 of them without a word"
    state = copy.deepcopy(whole)
    state["tables"][missing]["columns"].pop()
    assert judge.judge(SCALE, state, []).lost["tables"] == 1


def test_the_whole_workload_is_the_report_s() -> None:
    whole = workload.Scale(workload.REPORT_TABLES)
    records = list(workload.records(whole))
    life_cycles = [record for record in records if isinstance(record, LifeCycle)]
    assert (whole.schemas, whole.life_cycles, len(life_cycles)) == (10, 385, 385)
    assert len({record.fqn for record in records if isinstance(record, Entity)}) == 1 + 10 + 9_962
    # 9,962 rows at 26 ms and 100 requests at 105 ms are the bulk of it.
    assert 285 < workload.server_seconds(whole) < 300
    assert len({contender.key for contender in contenders("x")}) == 9


def test_requests_in_flight() -> None:
    log = [{"t_start_ms": start, "t_end_ms": end} for start, end in ((0, 1000), (500, 1500), (1500, 2000))]
    assert request_log.in_flight(log) == [(0.0, 1), (0.5, 2), (1.0, 1), (2.0, 0)]
    assert request_log.most_in_flight(log) == 2
    assert request_log.busy_seconds(log) == 2.5


def test_figures_for_people() -> None:
    assert spread([3.0, 1.0, 2.0]).text() == "2.0 s (1.0-3.0)"
    assert spread([1.0]).text("ms", 0) == "1 ms"
    assert Bound("x", 1.0, 1.0).holds
    assert not Bound("x", 1.01, 1.0).holds
    assert Bound("x", 1.01, 1.0).line() == "x: 1.01 s <= 1.00 s: MISSED"
    assert Bound("y", 12_418, 13_000, "instructions").line() == "y: 12,418 instructions <= 13,000 instructions: holds"


# --- the page of the whole picture ---

SCRIPT = """
import json, pathlib, sys
bound = {"text": "requests", "value": 48, "limit": 60, "unit": "requests", "beside": 36000, "holds": True}
run = {"setting": "ours-fast", "source_s": 2.0}
catalogue = {"title": "a source", "tables": 1000}
found = {"bounds": [bound], "figures": [{"text": "a ratio", "value": 3.4, "unit": "times"}]}
found |= {"catalogue": catalogue, "runs": [run]} if "real" in NAME else {"tables_per_s": CEILING}
pathlib.Path(sys.argv[sys.argv.index("--output") + 1], NAME).write_text(json.dumps(found))
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[picture.Part]]:
    """Makes the parts of a picture: benchmarks that measure nothing, in place of those that take minutes."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made_up = Prepared(
        **{each.name: "2.0.7.0" if each.name == "upstream" else tmp_path for each in dataclasses.fields(Prepared)}
    )
    monkeypatch.setattr("benchmarks.picture.prepared.from_environment", lambda: made_up)

    def make(ceiling: int) -> list[picture.Part]:
        made = []
        for name in ("real-x.json", "scale.json"):
            module = "measures_" + name.split(".")[0].replace("-", "_")
            text = SCRIPT.replace("NAME", repr(name)).replace("CEILING", str(ceiling))
            (tmp_path / f"{module}.py").write_text(text)
            made.append(picture.Part(name, module, name))
        monkeypatch.setattr(picture, "PARTS", made)
        return made

    return make


def page(folder: Path) -> str:
    return (folder / "picture.md").read_text()


def test_the_picture_has_every_figure_of_its_parts(parts: Callable[..., Any], tmp_path: Path) -> None:
    parts(ceiling=5000)
    assert picture.main(["--output", str(tmp_path / "found")]) == 0
    lines = page(tmp_path / "found").splitlines()
    assert sum("| requests | <= 60 requests | 48 requests | 36,000 requests | met |" in line for line in lines) == 2
    assert sum("| a ratio | - | 3.40 times | - |" in line for line in lines) == 2
    # A thousand tables in two seconds, ten times over.
    assert any("<= 5,000 tables/s | 5,000 tables/s | - | met |" in line for line in lines)
    assert (tmp_path / "found" / "real-x.json").exists()


def test_a_picture_with_a_missed_bound_or_a_part_that_stopped_is_no_success(
    parts: Callable[..., Any], tmp_path: Path
) -> None:
    made = parts(ceiling=4999)
    assert picture.main(["--output", str(tmp_path / "slow")]) == 1
    assert "| <= 4,999 tables/s | 5,000 tables/s | - | **missed** |" in page(tmp_path / "slow")
    made[1] = picture.Part("it stops", "no_such_module", "scale.json")
    assert picture.main(["--output", str(tmp_path / "stopped")]) == 1
    assert "| it stops | the benchmark stopped before its end | - | - | - | **missed** |" in page(tmp_path / "stopped")
    with (tmp_path / "measures_real_x.py").open("a") as module:
        module.write("raise SystemExit(1)")
    assert picture.main(["--output", str(tmp_path / "half")]) == 1
    assert "| real-x.json | the benchmark stopped before its end | - | - | - | **missed** |" in page(tmp_path / "half")


def test_the_picture_leaves_the_larger_table_of_the_report_alone(parts: Callable[..., Any], tmp_path: Path) -> None:
    made = parts(ceiling=5000)
    text = SCRIPT.replace("NAME", "'report.json'").replace("CEILING", "5000")
    (tmp_path / "measures_report.py").write_text(text)
    made.append(picture.Part("The table", "measures_report", "report.json"))
    assert picture.main(["--output", str(tmp_path / "found")]) == 0
    assert "| The table | requests |" in page(tmp_path / "found")
    assert sorted(file.name for file in (tmp_path / "found").iterdir()) == ["picture.md", "real-x.json", "scale.json"]


def test_each_part_of_the_picture_can_be_asked_for_alone() -> None:
    assert {part.module for part in picture.PARTS} <= {module for module, _ in RUNS.values()}


def test_the_docs_show_the_committed_figures_of_shards() -> None:
    content = json.loads((shards.RESULTS / "shards.json").read_text())
    assert "\n".join(figures.lines(content["runs"])) in (shards.RESULTS.parents[1] / "docs" / "scaling.md").read_text()
    assert all(bound["holds"] for bound in content["bounds"])
    assert {row["by"] for row in content["runs"]} == {shards.PROCESSES, shards.AIRFLOW, shards.RAY}


# --- what a real ingestion may take ---


def ran(workflow_s: float, loop_s: float | None = None, source_s: float = 0.0) -> Any:
    """A run, as far as the bounds on its time look at it: a thousand rows, 27.05 ms each at the report's server."""
    return SimpleNamespace(workflow_s=workflow_s, loop_s=loop_s or workflow_s, source_s=source_s, rows=1_000)


def limits(catalogue: catalogues.Catalogue, runs: dict[str, list[Any]]) -> list[tuple[float, float]]:
    return [(bound.value, round(bound.limit, 2)) for bound in real._times(catalogue, runs)]


def test_a_run_may_take_what_its_source_or_its_server_takes() -> None:
    runs = {
        "ours-fast": [ran(9.0, source_s=7.0), ran(8.0, source_s=7.5)],
        "ours-slow": [ran(13.0, loop_s=9.0), ran(12.0, loop_s=10.0)],
    }
    at_once, loop, workflow = limits(catalogues.postgres(), runs)
    assert at_once == (8.0, round(1.05 * 7.5 + 1.5, 2)), "the least run, with its own source"
    assert loop == (9.0, round(1.05 * 8.0 + 1.5, 2))
    assert workflow == (12.0, round(1.05 * 8.0 + 1.5 + 2.705, 2)), "the rows of the last request are known late"
    # S / 4: 1,000 rows and 1,000 life cycles. With life cycles, which come last, the workflow has no more.
    runs["ours-fast"] = [ran(2.0, source_s=1.5)]
    assert limits(catalogues.redshift(), runs)[1:] == [(12.0, round(1.05 * (27.05 + 39) / 4 + 1.5, 2))]
    assert limits(catalogues.postgres(), {"upstream-fast": [ran(1.0)]}) == []


def test_keys_that_are_patched_at_the_end_are_no_bound_on_the_server_without_latency() -> None:
    catalogue = catalogues.postgres(foreign_keys=2)
    assert len(limits(catalogue, {"ours-fast": [ran(30.0)]})) == 0
    assert len(limits(catalogue, {"ours-fast": [ran(30.0)], "ours-slow": [ran(30.0)]})) == 2


def test_each_setting_runs_as_often_as_it_says() -> None:
    settings = [Setting("a", "A", {}, repeats=2), Setting("b", "B", {})]
    order: list[str] = []

    def once(setting: Setting) -> Any:
        order.append(setting.key)
        return ran(1.0)

    runs = in_rounds(settings, 2, once, lambda _: "", Console(quiet=True))
    assert "".join(order) == "abaaba"
    assert {key: len(each) for key, each in runs.items()} == {"a": 4, "b": 2}


# --- round trips ---


def measured(*, slower: str | None = None) -> Rows:
    """All that is measured, every E one second, but half an hour for the way that is slower."""
    shapes = [
        (judged.POSTGRES, (0, 3, 10, 30), ways.of_postgres(["postgres_bulk"])),
        (judged.MARIADB, (0, 3, 10, 30), ways.of_mariadb()),
        (judged.REDSHIFT, (judged.REDSHIFT_DELAY,), ways.of_redshift()),
        (judged.THOUSAND, (0,), ways.without_latency()),
    ]
    rows = Rows()
    for database, delays, chosen in shapes:
        for delay, way in ((delay, way.name) for delay in delays for way in chosen):
            took = 1800.0 if way == slower else 1.0
            rows.all.append(Row(database, delay, way, took, took, took, 80, 4, 1))
    return rows


def test_all_that_is_demanded_of_round_trips_is_judged() -> None:
    counts, times = judged.counts_of(measured()), judged.times_of(measured())
    assert [bound.holds for bound in counts] == [True] * 4
    assert len({bound.text for bound in (*counts, *times)}) == len(counts) + len(times) == 4 + 14
    # A way that takes as long as what it is compared with is too slow for most of them.
    assert sum(bound.holds for bound in times) == 4


@pytest.mark.parametrize("way", [ways.ONE_BY_ONE, ways.UPSTREAM])
def test_round_trips_that_are_left_out_are_well(way: str) -> None:
    """Compared with half an hour for the way without."""
    assert sum(bound.holds for bound in judged.times_of(measured(slower=way))) > 4


def test_round_trips_in_part_are_judged_in_part() -> None:
    rows = measured()
    for left_out in list(rows.all):
        rows.all.remove(left_out)
        known = {bound.text for bound in (*judged.counts_of(measured()), *judged.times_of(measured()))}
        assert {bound.text for bound in (*judged.counts_of(rows), *judged.times_of(rows))} <= known
    assert judged.times_of(rows) == judged.counts_of(rows) == []


def test_the_committed_figures_of_round_trips_are_judged_by_these_bounds() -> None:
    content = json.loads((shards.RESULTS / "round-trips.json").read_text())
    rows = Rows()
    rows.all = [Row(**row) for row in content["runs"]]
    judged_again = [bound.as_dict() for bound in (*judged.counts_of(rows), *judged.times_of(rows))]
    assert len(judged_again) == 4 + 14
    assert content["bounds"][: len(judged_again)] == judged_again
    assert all(bound["holds"] for bound in content["bounds"])
