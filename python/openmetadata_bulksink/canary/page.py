"""The page for people, and the JSON for a report: shapes, counts, and texts with names masked. No owner, no secret."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from importlib import metadata as packages
from typing import Any

from openmetadata_bulksink.canary.comparison import Difference
from openmetadata_bulksink.canary.examination import Findings
from openmetadata_bulksink.canary.speed import Speed, advised
from openmetadata_bulksink.masking import Mask

#: Examples of each group of differences.
_EXAMPLES = 5


def lines(found: Findings) -> Iterator[str]:
    """The page. The verdict comes last."""
    yield "What was compared"
    counts = ", ".join(f"{count} {name}" for name, count in found.entities.items())
    yield f"  {counts}; {found.order[0]} wrote first"
    for sink, work in found.work.items():
        seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in work.seconds.items())
        yield f"  {sink:<9} {sum(work.seconds.values()):5.1f} s  ({seconds})"
    yield "What this server does"
    for fact in found.facts:
        yield f"  {fact.question:<22}{fact.answer}"
    if found.speeds:
        yield f"  {'a row, by workers':<22}{_speeds(found.speeds)}"
    kept = _groups(_alike(found))
    if kept:
        yield "What it holds otherwise than it was sent, from both sinks alike"
        for group, count, example in kept:
            yield f"  {group}: {count} (such as {example.name}: sent {example.one}, there {example.other})"
    if found.differences:
        yield "What the two sinks left differently (ours | upstream)"
        for group, count, example in _groups(found.differences):
            what = f"{example.name} after {example.stage}: {example.one} | {example.other}"
            yield f"  {group}: {count} (such as {what})"
    for what, about in _wrong(found).items():
        yield f"NO  {what}: " + (about[0] if len(about) == 1 else f"{len(about)} (such as {about[0]})")
    for line in found.left:
        yield f"NO  {line}"
    yield verdict(found)


def verdict(found: Findings) -> str:
    """The last line."""
    if found.same:
        return "Both sinks left the same on this server, and everything is deleted again."
    if found.differences:
        return "The two sinks did not leave the same: see above."
    if found.wrong:
        return "Both sinks left the same, and not all went as it should: see above."
    return "Both sinks left the same, and not everything could be deleted: see above."


def _speeds(found: list[Speed]) -> str:
    known = {one.workers: f"{one.microseconds:,} us" for one in found if one.microseconds is not None}
    rows = ", ".join(f"{one.workers}: {known.get(one.workers, 'not known')}" for one in found)
    best = advised(found)
    return f"{rows}; " + (f"advised: OM_BULKSINK_WORKERS={best}" if best else "no advice: rows were not taken")


def _wrong(found: Findings) -> dict[str, list[str]]:
    """By what it is: what each is about."""
    grouped: dict[str, list[str]] = {}
    for one in found.wrong:
        grouped.setdefault(one.what, []).append(one.about)
    return grouped


def report(found: Findings) -> dict[str, Any]:
    """What `--json` prints."""
    hide = Mask(found.hidden)
    shown: dict[str, Any] = json.loads(hide(json.dumps(_everything(found), ensure_ascii=False)))
    return shown


def _everything(found: Findings) -> dict[str, Any]:
    return {
        "same": found.same,
        "summary": verdict(found),
        "versions": {name: _version(name) for name in ("openmetadata-bulksink", "openmetadata-ingestion")},
        "order": found.order,
        "seconds": {part: round(value, 2) for part, value in found.seconds.items()},
        "workflows": {
            sink: {stage: round(value, 2) for stage, value in work.seconds.items()} for sink, work in found.work.items()
        },
        "entities": found.entities,
        "facts": {fact.question: {"answer": fact.answer, "detail": fact.detail} for fact in found.facts},
        "speed": [one._asdict() for one in found.speeds],
        "differences": _summed(found.differences),
        "not_as_sent": {sink: _summed(ones) for sink, ones in found.not_as_sent.items()},
        "wrong": [
            {"what": what, "count": len(about), "examples": about[:_EXAMPLES]} for what, about in _wrong(found).items()
        ],
        "left": found.left,
    }


def _alike(found: Findings) -> list[Difference]:
    """What is not as it was sent with both sinks."""
    return sorted(set.intersection(*map(set, found.not_as_sent.values()))) if found.not_as_sent else []


def _groups(found: list[Difference]) -> list[tuple[str, int, Difference]]:
    """By collection and field, places in lists aside: how often, and the first."""
    counts = Counter(map(_group, found))
    first: dict[str, Difference] = {}
    for one in found:
        first.setdefault(_group(one), one)
    return [(group, count, first[group]) for group, count in counts.most_common()]


def _summed(found: list[Difference]) -> list[dict[str, Any]]:
    groups = Counter(map(_group, found))
    examples: dict[str, list[Any]] = {group: [] for group in groups}
    for one in found:
        kept = examples[_group(one)]
        if len(kept) < _EXAMPLES:
            kept.append(one._asdict())
    return [{"what": group, "count": count, "examples": examples[group]} for group, count in groups.most_common()]


def _group(one: Difference) -> str:
    field = "".join(part.partition("]")[2] if at else part for at, part in enumerate(one.field.split("[")))
    return f"{one.collection} {field or '(whole entity)'}"


def _version(name: str) -> str:
    try:
        return packages.version(name)
    except packages.PackageNotFoundError:
        return "not installed"
