"""The page: whole, self-contained, small, and true to its figures."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from openmetadata_bulksink.report import file
from openmetadata_bulksink.report.figures import Counts, Failures, Figures, Line, Schema, Spent, Split, Statements
from openmetadata_bulksink.report.gathering import Gathering
from openmetadata_bulksink.report.page import page
from openmetadata_bulksink.source_time import Spent as SourceSpent
from tests.python.report import made_up
from tests.python.report.made_up import healthy, lane, line, lost, outage

MEGABYTE = 1_000_000

EMPTY = healthy(
    counts=Counts(),
    spent=Spent(wall=0.01),
    statements=Statements(),
    line=Line(width=0.0625),
    processor=None,
    lanes=(),
    schemas=(),
)
BAD = healthy(**{**lost(131), **outage(20.0, 40.0)}, splits=(Split("no-answer", 2),), fences={"GET /tables/name": 2.0})


class Reader(HTMLParser):
    """Reads a page: its visible text, what is open, and what it would fetch or run."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.wrong += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href") or name.startswith("on")]
        if tag in ("script", "iframe", "object", "link", "img"):
            self.wrong.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> str:
    """The visible text of a page that is as it must be."""
    reader = Reader()
    reader.feed(text)
    assert reader.wrong == []
    assert reader.open == []
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ET.fromstring(drawing)
    assert "url(" not in text
    assert "@import" not in text
    return " ".join(" ".join(reader.text).split())


@pytest.mark.parametrize("figures", [healthy(), EMPTY, BAD], ids=["healthy", "empty", "bad"])
def test_a_page_is_whole_and_needs_nothing_else(figures: Figures) -> None:
    text = read(page(figures))
    for title in ("What to change", "The run over time", "The server, by collection", "Lost records", "What ran"):
        assert title in text
    assert "prefers-color-scheme: dark" in page(figures)


def test_each_colour_that_is_used_has_a_light_and_a_dark_value() -> None:
    text = page(BAD)
    style = text[: text.index("</style>")]
    for name in set(re.findall(r"var\((--\w+)\)", text)):
        assert style.count(f"{name}:") == 2, name


def test_a_page_says_what_was_lost_by_name() -> None:
    text = read(page(BAD))
    assert "131 refused: its name is too long" in text
    assert "tables svc.db.shop.t0" in text
    assert "and 111 more" in text
    assert "no answer within the read time-out" in text


def test_commands_are_set_as_such() -> None:
    assert "<code>openmetadata-bulksink replay</code>" in page(BAD)
    assert "`" not in read(page(BAD))


@pytest.mark.parametrize(
    "ending",
    ["in order", "by SIGTERM", "by KeyboardInterrupt", "by RuntimeError", "without closing the sink, by RuntimeError"],
)
def test_a_page_says_how_the_run_ended(ending: str) -> None:
    assert f"It ended: {ending}." in read(page(healthy(ending=ending)))


def test_names_and_reasons_are_text_wherever_they_stand() -> None:
    evil = '<script>alert("x")</script>&amp;'
    run = healthy(
        failures=(Failures(evil, 1, (evil,)),),
        schemas=(Schema(evil, 1.0, 0.0, 1),),
        lanes=(lane(evil),),
        fences={evil: 1.0},
        about=dataclasses.replace(made_up.ABOUT, server=evil, aside=(evil,)),
    )
    assert read(page(run)).count(evil) >= 6


def test_the_parts_of_the_time_add_up_to_the_run() -> None:
    run = healthy(spent=made_up.spent(room=5.0, fence=4.0, drain=3.0, database=2.0, client=1.0))
    spent = run.spent
    assert spent.source + spent.blocked + spent.drain == pytest.approx(spent.wall)


def test_the_charts_hold_what_the_line_holds() -> None:
    buckets = 200
    run = healthy(line=dataclasses.replace(line(buckets), not_served=[1.0, *([0.0] * (buckets - 1))]))
    text = page(run)
    (taken,) = re.findall(r'<polygon points="([^"]*)" style="fill:var\(--taken\)"', text)
    assert len(taken.split()) == 4 * buckets
    assert text.count("1 request not served") == 1


# --- what is gathered ---


class Double:
    """A writer, as far as gathering looks at it, and its engine's figures at their largest."""

    def __init__(self) -> None:
        names = ("room", "answer", "fence", "drain", "elsewhere")
        most = [0.123] * 256
        self.seen: dict[str, Any] = {
            "seconds": 90_000.0,
            "width": 512.0,
            "stalls": [(1.0 * n, 2.5 * n) for n in range(1, 17)],
            **dict.fromkeys(("taken", "in_flight", "served", "not_served"), most),
            "waits": dict.fromkeys(names, most),
            "waited": dict.fromkeys(names, 1.0),
            "lanes": [dataclasses.asdict(lane(f"collection{number}")) for number in range(40)],
            "again": [(f"status-{500 + number}", 1, 1) for number in range(20)],
            "splits": [(f"status-{500 + number}", 1) for number in range(20)],
        }
        self.engine = SimpleNamespace(figures=lambda: self.seen, stats=self.stats)
        self.fence = SimpleNamespace(watch=lambda _: None, waited={f"GET /route{n}/name": 1.0 for n in range(50)})
        self.idles: list[Any] = []
        self.entities, self.life_cycles, self.tagged, self.lost = 950_000, 0, 0, 50_000
        self.in_part = self.warned = 0

    def stats(self) -> SimpleNamespace:
        return SimpleNamespace(pending=0, requests=10_000, retries=3, max_in_flight=4, limit=4)

    def spent(self) -> SourceSpent:
        return SourceSpent(wall=90_000.0, computed=50_000.0, statements=9_000_000, waited=9_000.0)


def gathered(records: int, losses: int) -> Gathering:
    """A run of so many records in odd schemas, and of losses each of which is another one."""
    gathering = Gathering(Double(), made_up.ABOUT, lambda text: text)  # type: ignore[arg-type]
    long = "&" * 300
    for number in range(records):
        record = SimpleNamespace(collection="tables", fqn="t", parent=f"svc.db.{long}{number % 7_000}")
        gathering.taken(record)  # type: ignore[arg-type]
    for number in range(losses):
        letters = "".join(chr(97 + int(digit)) for digit in str(number))
        reason = f"reason {letters} {long} {long}"
        outcome = SimpleNamespace(fqn=f"svc.{long}{number}", reason=reason, kind="create", collection="tables")
        gathering.failed(outcome, outcome.fqn)  # type: ignore[arg-type]
    return gathering


def test_a_million_records_and_their_losses_make_less_than_a_megabyte() -> None:
    figures = gathered(1_000_000, 20_000).figures("in order")
    assert sum(group.count for group in figures.failures) == 20_000
    for name in ("run.html", "run.json"):
        text = file.text_of(Path(name), figures)
        assert len(text.encode()) < MEGABYTE, name
    read(page(figures))


def test_reasons_that_differ_in_names_and_numbers_only_are_one_reason() -> None:
    gathering = gathered(0, 0)
    for number in range(40):
        fqn = f"svc.db.shop.t{number}"
        reason = f"400: table {fqn} has {number} columns, at 'offset {number}'"
        outcome = SimpleNamespace(fqn=fqn, reason=reason, kind="create", collection="tables")
        gathering.failed(outcome, fqn)  # type: ignore[arg-type]
    (group,) = gathering.figures("in order").failures
    assert (group.count, len(group.names)) == (40, 20)
    assert group.reason == "400: table svc.db.shop.t0 has 0 columns, at 'offset 0'"


def test_a_signal_that_comes_while_a_loss_is_noted_writes_its_report_all_the_same() -> None:
    """A handler runs on the thread that it interrupts, wherever that is."""
    gathering = gathered(0, 0)
    seen: list[Figures] = []

    class Reason(str):
        """Is looked at in the middle of the noting."""

        __slots__ = ()

        def replace(self, *_: Any) -> str:  # type: ignore[override]
            seen.append(gathering.figures("by SIGTERM"))
            return "gone"

    outcome = SimpleNamespace(fqn="svc.db.s.t", reason=Reason("gone"), kind="create", collection="tables")
    thread = threading.Thread(target=gathering.failed, args=(outcome, outcome.fqn), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert seen[0].ending == "by SIGTERM"


def test_a_page_names_what_the_source_could_not_read() -> None:
    gathering = gathered(1, 0)
    failure = SimpleNamespace(name="svc.db.s.<t>", error="permission denied for svc.db.s.<t>")
    gathering.meet([SimpleNamespace(status=SimpleNamespace(failures=[failure] * 3)), SimpleNamespace()])
    text = page(gathering.figures("in order"))
    assert "What the source could not read" in text
    assert "svc.db.s.&lt;t&gt;" in text
    assert "What the source could not read" not in page(gathered(1, 0).figures("in order"))


def test_a_secret_in_a_reason_or_a_name_is_masked() -> None:
    gathering = Gathering(Double(), made_up.ABOUT, lambda text: text.replace("s3cret", "***"))  # type: ignore[arg-type]
    outcome = SimpleNamespace(fqn="svc.s3cret", reason="said s3cret", kind="life_cycle", collection="tables")
    gathering.failed(outcome, outcome.fqn)  # type: ignore[arg-type]
    figures = gathering.figures("in order")
    assert "s3cret" not in file.text_of(Path("run.html"), figures)
    assert figures.failures[0].names == ("life cycle of tables svc.***",)


def test_the_json_form_has_the_sentences_and_every_figure() -> None:
    found = json.loads(file.text_of(Path("run.json"), BAD))
    assert found["form"] == 1
    assert any("131 records were lost" in sentence for sentence in found["verdict"])
    assert found["advice"]
    assert set(found) == {"form", "verdict", "advice", *(field.name for field in dataclasses.fields(Figures))}
