"""`Figures` as one page of HTML that needs nothing but itself: no network, no script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from openmetadata_bulksink.report import charts, words
from openmetadata_bulksink.report.advice import advice, verdict
from openmetadata_bulksink.report.figures import Failures, Figures

#: Parts of the time of the source's thread: name in `Spent`, colour, words.
_PARTS = (
    ("database", "database", "stood still in statements of the source's database"),
    ("computed", "computed", "computed (the source, and the sink's serialising)"),
    ("client", "client", "stood still in requests of upstream's own client"),
    ("room", "room", "blocked: the budget was full, because the server was slower than the source"),
    ("answer", "answer", "blocked: one request at a time, as the workflow asks"),
    ("fence", "fence", "blocked: reads that had to see what was being written"),
    ("drain", "drain", "the end: what was still pending was written"),
    ("other", "other", "the rest: waits for a processor, another thread or a result, sleep"),
)

_LEGEND = (
    ("room", "a server that is slower than the source (budget full)"),
    ("answer", "each answer"),
    ("fence", "reads of what was being written"),
    ("drain", "the last records, at the end"),
)


def page(figures: Figures) -> str:
    """The whole file."""
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    body = "\n".join(
        (
            _head(figures),
            _section("What to change", _list(advice(figures))),
            _section("The run over time", _timeline(figures)),
            _section("Where the time of the source's thread went", _spent(figures)),
            _section("The server, by collection", _lanes(figures)),
            _section("Sent again", _again(figures)),
            _section("Lost records", _failures(figures.failures)),
            *([_section("What the source could not read", _failures(figures.unread))] if figures.unread else []),
            _section("The slowest schemas", _schemas(figures)),
            _section("What ran", _about(figures)),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Run of {escape(figures.started)} - openmetadata-bulksink</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{_marked(sentence)}</li>" for sentence in sentences) + "</ul>"


def _marked(sentence: str) -> str:
    """HTML of a sentence, with commands and settings as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(sentence))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], drawn: int | None = None) -> str:
    """Cells are HTML: a name, numbers, and perhaps a column with a drawing."""

    def cell(tag: str, number: int, text: str) -> str:
        kind = "drawn" if number == drawn else "n" if number else "name"
        return f'<{tag} class="{kind}">{text}</{tag}>'

    lines = ["".join(cell("th", number, text) for number, text in enumerate(head))]
    lines += ["".join(cell("td", number, text) for number, text in enumerate(row)) for row in rows]
    return '<div class="wide"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _head(figures: Figures) -> str:
    counts = figures.counts
    tiles = (
        ("the run", words.seconds(figures.spent.wall), ""),
        ("entities written", words.number(counts.entities), ""),
        ("life cycles, tags", words.number(counts.life_cycles + counts.tags), ""),
        ("lost", words.number(counts.lost), "bad" if counts.lost else ""),
        ("requests", words.number(counts.requests), ""),
        ("sent again", words.number(sum(one.times for one in figures.again)), ""),
    )
    drawn = "".join(f'<li><b class="{kind}">{value}</b>{name}</li>' for name, value, kind in tiles)
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict(figures))
    return (
        "<h1>What this run did</h1>\n"
        f'<p class="faint">From {escape(figures.started)} on, to {escape(figures.about.server)} (server '
        f"{escape(figures.about.server_version)}). It ended: {escape(figures.ending)}.</p>\n"
        f'<div class="verdict">{sentences}</div>\n<ul class="tiles">{drawn}</ul>'
    )


def _timeline(figures: Figures) -> str:
    if not figures.line.taken:
        return "<p>No request was sent.</p>"
    legend = "".join(
        f'<li><span class="swatch" style="background:var(--{colour})"></span>{name}</li>' for colour, name in _LEGEND
    )
    return (
        f'<div class="wide">{charts.timeline(figures.line, figures.stalls, figures.about.workers)}</div>'
        f'<ul class="legend"><li>held up for:</li>{legend}'
        '<li><span class="swatch" style="background:var(--bad)"></span>requests that were not served</li>'
        '<li><span class="swatch" style="background:var(--stall)"></span>nothing was served</li></ul>'
    )


def _spent(figures: Figures) -> str:
    spent = figures.spent
    parts = [(text, colour, float(getattr(spent, name) or 0.0)) for name, colour, text in _PARTS]
    rows = [
        (
            f'<span class="swatch" style="background:var(--{colour})"></span>{escape(text)}',
            words.seconds(amount),
            words.share(amount, spent.wall),
        )
        for text, colour, amount in parts
        if amount > 0
    ]
    rows.append(("<b>all of it</b>", words.seconds(spent.wall), ""))
    notes = []
    if figures.statements.count:
        mean = figures.statements.waited / figures.statements.count
        notes.append(
            f"{words.several(figures.statements.count, 'statement')} of the source, on all threads, took "
            f"{words.seconds(figures.statements.waited)}, {words.seconds(mean)} each."
        )
    if figures.processor is not None:
        notes.append(
            f"The thread was ready, and waited for a processor, for {words.seconds(figures.processor)} of all this."
        )
    if figures.fences:
        routes = ", ".join(f"{escape(route)} {words.seconds(waited)}" for route, waited in figures.fences.items())
        notes.append(f"Reads that waited, on all threads: {routes}.")
    if spent.computed is None:
        notes.append("Another thread closed the sink, so that nobody knows what the source's thread computed.")
    return (
        f'<div class="wide">{charts.bar(parts)}</div>'
        + _table(("", "time", "share"), rows)
        + "".join(f'<p class="faint">{note}</p>' for note in notes)
    )


def _lanes(figures: Figures) -> str:
    if not figures.lanes:
        return "<p>No request was answered.</p>"
    longest = max(lane.p95 for lane in figures.lanes)
    rows = [
        (
            escape(lane.name),
            words.number(lane.rows),
            words.number(lane.requests),
            words.number(lane.rows_a_request),
            words.seconds(lane.p50),
            words.seconds(lane.p95),
            words.seconds(lane.longest),
            words.number(lane.not_served),
            charts.range_bar(lane.p50, lane.p95, longest),
        )
        for lane in figures.lanes
    ]
    head = ("collection", "records", "requests", "records a request", "p50", "p95", "longest", "not served", "p50, p95")
    return _table(head, rows, drawn=len(head) - 1) + (
        '<p class="faint">Times are of requests that were served, from leaving to answer. p50: half of them took no '
        "longer (dark); p95: 95 % of them (light).</p>"
    )


def _again(figures: Figures) -> str:
    if not figures.again and not figures.splits:
        return "<p>Nothing was sent twice.</p>"
    drawn = ""
    if figures.again:
        rows = [
            (escape(words.cause(one.cause)), words.number(one.times), words.number(one.records))
            for one in figures.again
        ]
        drawn += _table(("records went again, because", "times", "records"), rows)
    if figures.splits:
        halves = [(escape(words.cause(one.cause)), words.number(one.requests)) for one in figures.splits]
        drawn += _table(("requests went in halves, because", "requests"), halves)
    if figures.stalls:
        times = ", ".join(f"{words.seconds(start)} to {words.seconds(end)}" for start, end in sorted(figures.stalls))
        drawn += f'<p class="faint">Without one served request: {times}.</p>'
    return drawn


def _failures(groups: tuple[Failures, ...]) -> str:
    if not groups:
        return "<p>None.</p>"
    drawn = []
    for number, group in enumerate(groups):
        left = group.count - len(group.names)
        names = "".join(f"<li>{escape(name)}</li>" for name in group.names)
        more = f"<li>and {words.number(left)} more</li>" if left > 0 else ""
        opened = " open" if number == 0 else ""
        drawn.append(
            f'<details{opened}><summary><b class="bad">{words.number(group.count)}</b> {escape(group.reason)}</summary>'
            f"<ul>{names}{more}</ul></details>"
        )
    return "".join(drawn)


def _schemas(figures: Figures) -> str:
    if not figures.schemas:
        return "<p>No record was taken.</p>"
    rows = [
        (
            escape(schema.name),
            words.number(schema.records),
            words.seconds(schema.seconds),
            words.seconds(schema.blocked),
            words.seconds(schema.seconds / schema.records) if schema.records else "",
        )
        for schema in figures.schemas
    ]
    return _table(("schema, or other parent", "records", "time", "of it held up", "time a record"), rows)


def _about(figures: Figures) -> str:
    about = figures.about
    how = "one request at a time" if about.synchronous else f"{about.workers} workers"
    lines = [
        f"openmetadata-bulksink {about.ours}, openmetadata-ingestion {about.upstream}",
        f"{how}, {about.batch_size} records a request; at most {figures.counts.most_in_flight} requests at a time",
        f"Accelerators: {', '.join(about.accelerators) or 'none'}",
        *(f"Stepped aside: {reason}" for reason in about.aside),
    ]
    return _list(lines)
