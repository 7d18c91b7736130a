"""From figures to sentences: what was slow and what was lost (`verdict`), and what to change (`advice`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from openmetadata_bulksink.report import words
from openmetadata_bulksink.report.figures import IN_ORDER, OTHER_REASONS, Failures, Figures, Lane

#: A part of the run is worth a word from this share of it on, and when it is longer than a second.
_SHARE, _SECONDS = 0.15, 1.0
#: Statements are worth overlapping when they take so long on average.
_STATEMENT = 0.002
#: A collection with so many requests, less full than this, travels in fragments.
_FRAGMENTS, _FULLNESS = 20, 0.4
#: A time without one served request is an outage from here on.
_OUTAGE = 10.0
#: A share of the requests that were sent for nothing.
_IN_VAIN = 0.05

_NO_SERVER = frozenset({"not-reached", "unavailable", "status-502", "status-504"})


def verdict(figures: Figures) -> tuple[str, ...]:
    """What a reader wants to know first: what took the time, what the server did, what was lost."""
    return (*_slow(figures), *_outages(figures), *_not_read(figures), _lost(figures))


def _slow(figures: Figures) -> Iterator[str]:
    spent = figures.spent
    wall = spent.wall
    no_processor = (figures.processor or 0.0) > 0.5 * spent.other
    parts = {
        "the source waited for its database": spent.database,
        "the source computed": spent.computed or 0.0,
        "requests of upstream's own client were under way": spent.client,
        "the source was held up because the server was slower than the source": spent.room,
        "each request was waited for, one at a time": spent.answer,
        "reads waited for what was being written": spent.fence,
        "the last records were written, after the source had ended": spent.drain,
        "the machine gave the source no processor"
        if no_processor
        else "the source waited for something else (another thread, a result that is fetched), or slept": spent.other,
    }
    by_size = sorted(parts.items(), key=lambda part: -part[1])
    (first, longest), (second, next_longest) = by_size[:2]
    text = f"The run took {words.seconds(wall)}. "
    text += f"The largest part of it ({words.share(longest, wall)}) passed while {first}"
    if next_longest >= _SHARE * wall:
        text += f"; {words.share(next_longest, wall)} while {second}"
    yield text + "."
    for_server = spent.room + spent.answer + spent.drain
    if for_server >= max(_SHARE * wall, _SECONDS):
        yield (
            f"The server was slow: {words.seconds(for_server)} ({words.share(for_server, wall)}) went into waiting for "
            f"it{_slowest_requests(figures)}."
        )
    elif spent.blocked + spent.drain < max(0.05 * wall, _SECONDS):
        yield "Writing was not slow: it went on while the source worked."


def _slowest_requests(figures: Figures) -> str:
    lane = max(figures.lanes, key=lambda one: one.seconds, default=None)
    if lane is None or not lane.seconds:
        return ""
    return (
        f"; most of its work was {lane.name}, half of whose requests took {words.seconds(lane.p50)} or longer, "
        f"with {words.several(lane.rows_a_request, 'record')} in each"
    )


def _outages(figures: Figures) -> Iterator[str]:
    for start, end in sorted(figures.stalls):
        if end - start >= min(_OUTAGE, 0.2 * max(figures.spent.wall, _SECONDS)):
            causes = [one for one in figures.again if one.cause != "missing"]
            why = f" ({words.cause(causes[0].cause)})" if causes else ""
            yield (
                f"There was an outage: from {words.seconds(start)} to {words.seconds(end)} the server served nothing"
                f"{why}."
            )


def _not_read(figures: Figures) -> Iterator[str]:
    """What never came to the sink."""
    if figures.ending != IN_ORDER:
        yield f"The run ended early, {figures.ending}: what its source had not read by then is missing."
    if figures.unread:
        count = sum(group.count for group in figures.unread)
        yield (
            f"The source reported {words.several(count, 'failure')} of its own (below, by name): what it could not "
            "read is missing."
        )


def _lost(figures: Figures) -> str:
    counts = figures.counts
    written = f"{words.several(counts.written, 'record')} {_are(counts.written)} written"
    if counts.in_part:
        in_part = words.number(counts.in_part)
        written += f", {in_part} of them without some of their foreign keys (the warnings name them)"
    if not counts.lost and not counts.pending:
        nothing = "No record" if counts.in_part else "Nothing"
        if any(_not_read(figures)):
            nothing = f"Of what was handed over {nothing.lower()}"
        return f"{nothing} was lost: {written}."
    parts = []
    if counts.lost:
        reasons = _reasons(figures.failures)
        parts.append(f"{words.several(counts.lost, 'record')} {_are(counts.lost)} lost, for {reasons} (below, by name)")
    if counts.pending:
        parts.append(
            f"{words.several(counts.pending, 'record')} {_are(counts.pending)} not yet written when this was made, "
            f"because the run ended: {figures.ending}"
        )
    return f"{'; '.join(parts)}; {written}."


def _reasons(failures: tuple[Failures, ...]) -> str:
    kept = [group for group in failures if group.reason != OTHER_REASONS]
    return ("" if len(kept) == len(failures) else "more than ") + words.several(len(kept), "reason")


def _are(count: float) -> str:
    return "was" if count == 1 else "were"


def advice(figures: Figures) -> tuple[str, ...]:
    """What to change, the most important first; one sentence that says so where there is nothing."""
    found = [sentence for rule in _RULES for sentence in rule(figures)]
    return tuple(found) or ("Nothing to change: no part of this run stands out.",)


def _failures(figures: Figures) -> Iterator[str]:
    if not figures.counts.lost:
        return
    if figures.about.dead_letters:
        yield (
            "The lost records are in the file of dead letters: `openmetadata-bulksink replay FILE -c x.yaml` sends "
            "them again once their reason is gone."
        )
    else:
        yield (
            "Set OM_BULKSINK_DEAD_LETTERS=FILE, so that lost records are kept and `openmetadata-bulksink replay` can "
            "send them again without another ingestion."
        )


def _unread(figures: Figures) -> Iterator[str]:
    if figures.unread:
        yield "Look into the log of `metadata ingest` for the source's failures: no sink can mend them."


def _outage(figures: Figures) -> Iterator[str]:
    longest = max((end - start for start, end in figures.stalls), default=0.0)
    if longest < _OUTAGE:
        return
    limit = figures.about.delivery_timeout
    if figures.counts.lost and longest > 0.9 * limit:
        yield (
            f"The server served nothing for {words.seconds(longest)}, longer than records are tried "
            f"({words.seconds(limit)}): a larger OM_BULKSINK_DELIVERY_TIMEOUT outlasts such a time."
        )
    else:
        yield f"Look at the server's log for the {words.seconds(longest)} in which it served nothing."


def _overload(figures: Figures) -> Iterator[str]:
    times = sum(one.times for one in figures.again if one.cause in ("overload", "rows-overload"))
    if times:
        yield (
            f"The server asked for less {words.several(times, 'time')}: lower OM_BULKSINK_WORKERS (it is "
            f"{figures.about.workers}), or give the server and its database more."
        )


def _timeouts(figures: Figures) -> Iterator[str]:
    times = sum(one.times for one in figures.again if one.cause == "no-answer")
    if times:
        yield (
            f"{words.several(times, 'request')} had no answer within the read time-out: fewer records in a request "
            f"(`bulk_sink_batch_size`, now {figures.about.batch_size}) take less time each."
        )


def _too_large(figures: Figures) -> Iterator[str]:
    if any(one.cause == "too-large" for one in figures.splits):
        yield (
            "Requests were too large for the server or a proxy: set OM_BULKSINK_BATCH_BYTES below its limit, or raise "
            "that (nginx: client_max_body_size)."
        )


def _turned_away(figures: Figures) -> Iterator[str]:
    if any(one.cause == "turned-away" for one in figures.again):
        yield "The token or the address was not accepted during the run: look at how long the token is valid."


def _slow_server(figures: Figures) -> Iterator[str]:
    about, spent, counts = figures.about, figures.spent, figures.counts
    if about.synchronous:
        if spent.answer >= max(_SHARE * spent.wall, _SECONDS):
            yield (
                "The workflow asks for one request at a time (`enable_async_pipeline: false`, or "
                "`bulk_sink_batch_size: 1`): without that, writing goes on while the source works."
            )
        return
    waited = spent.room + spent.drain
    if waited < max(_SHARE * spent.wall, _SECONDS) or _is_overloaded(figures) or _has_outage(figures):
        return
    if counts.most_in_flight >= about.workers:
        yield (
            f"The server is the limit, and {words.several(about.workers, 'request')} at a time kept it busy: try "
            f"OM_BULKSINK_WORKERS={min(64, 2 * about.workers)}, if its processors and its database have room for more."
        )
    elif spent.room > spent.drain:
        yield (
            f"The source waited for room although no more than {words.several(counts.most_in_flight, 'request')} of "
            f"{about.workers} went at a time: OM_BULKSINK_BUDGET_MB=256 lets it run further ahead."
        )


def _is_overloaded(figures: Figures) -> bool:
    return any(one.cause in ("overload", "rows-overload") for one in figures.again)


def _has_outage(figures: Figures) -> bool:
    return any(end - start >= _OUTAGE for start, end in figures.stalls)


def _fences(figures: Figures) -> Iterator[str]:
    spent = figures.spent
    if spent.fence >= max(_SHARE * spent.wall, _SECONDS) and figures.fences:
        route, waited = next(iter(figures.fences.items()))
        yield (
            f"{words.seconds(spent.fence)} went into reads that had to see what was being written, most of it {route} "
            f"({words.seconds(waited)}): docs/operations.md says which options of the source cause them."
        )


def _slow_database(figures: Figures) -> Iterator[str]:
    spent, statements = figures.spent, figures.statements
    if spent.database < max(_SHARE * spent.wall, _SECONDS) or not statements.count:
        return
    mean = statements.waited / statements.count
    text = (
        f"The source stood still for {words.seconds(spent.database)} in {words.several(statements.count, 'statement')} "
        f"of its database, {words.seconds(mean)} each: "
    )
    if mean > _STATEMENT and not figures.about.read_ahead:
        yield text + "OM_BULKSINK_READ_AHEAD=4 overlaps them where it knows the source (docs/accelerators.md)."
    else:
        yield text + "a run nearer to that database, or `openmetadata-bulksink shard`, takes less."


def _processor(figures: Figures) -> Iterator[str]:
    waited = figures.processor
    if waited is not None and waited >= max(_SHARE * figures.spent.wall, _SECONDS):
        yield (
            f"The source's thread was ready for {words.seconds(waited)} without getting a processor: the machine has "
            "more to do than it can; give this process a processor of its own."
        )


def _fragments(figures: Figures) -> Iterator[str]:
    full = figures.about.batch_size

    def is_fragmented(lane: Lane) -> bool:
        return not lane.life_cycles and lane.requests >= _FRAGMENTS and lane.rows_a_request < _FULLNESS * full

    spent = figures.spent
    if spent.room + spent.drain + spent.fence < max(_SHARE * spent.wall, _SECONDS):
        return  # nobody waited for them
    for lane in filter(is_fragmented, figures.lanes):
        yield (
            f"Requests for {lane.name} held {words.number(lane.rows_a_request)} records of {full}: a larger "
            "OM_BULKSINK_LINGER fills them, unless a wait sends them off."
        )
        return


def _in_vain(figures: Figures) -> Iterator[str]:
    faults = sum(lane.not_served for lane in figures.lanes)
    requests = sum(lane.requests for lane in figures.lanes)
    causes = [one for one in figures.again if one.cause in _NO_SERVER or one.cause in ("broken", "not-sent")]
    if causes and not _has_outage(figures) and faults >= _IN_VAIN * requests:
        worst = max(causes, key=lambda one: one.times)
        yield (
            f"{words.share(faults, requests)} of the requests were sent for nothing, most often because "
            f"{words.cause(worst.cause)}: look at what stands between this process and the server."
        )


def _aside(figures: Figures) -> Iterator[str]:
    spent = figures.spent
    if figures.about.aside and (spent.computed or 0.0) >= 0.5 * spent.wall:
        yield (
            "Accelerators stepped aside (below, with their reasons) while computing took most of the time: without "
            "what stands in their way they would take some of it off."
        )


_RULES: tuple[Callable[[Figures], Iterator[str]], ...] = (
    _failures,
    _unread,
    _outage,
    _overload,
    _timeouts,
    _too_large,
    _turned_away,
    _slow_server,
    _slow_database,
    _fences,
    _fragments,
    _in_vain,
    _processor,
    _aside,
)
