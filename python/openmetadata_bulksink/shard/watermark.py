"""Incremental extraction: whether a part of a shard may ask for changes alone.

Upstream asks for what changed since the last success of a pipeline, whatever that run has read. A pipeline here is that
of some schemas; a plan that never ran, or one that is older than what ran last, may have put others into it, and their
changes would be lost. So each run's id begins with that of its plan. A part asks for changes where the last success is
one of its own plan, or of one whose places that plan keeps; for everything else, in whole, which is never wrong.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from openmetadata_bulksink.shard import filters, workflow

#: Upstream's, where the file has none.
_LOOKBACK_DAYS = 7


def marked(config: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The workflow of a part, its run's id beginning with that of its plan."""
    if filters.watermark_of(config) is None:
        return dict(config)
    return {**config, "pipelineRunId": str(uuid.UUID(hex=run + secrets.token_hex(8)))}


def last_success(statuses: Iterable[Any]) -> str | None:
    """The id of the run that upstream would take the watermark from; None where there is no such run."""
    ended = [
        (int(workflow.plain(status.startDate)), str(status.runId or ""))
        for status in statuses
        if str(getattr(status.pipelineState, "value", status.pipelineState)) == "success" and status.startDate
    ]
    return max(ended)[1] if ended else None


def is_of(run_id: str, line: Iterable[str]) -> bool:
    """Whether a run's id is one of these plans'. line: see `Plan.line`."""
    return run_id.replace("-", "").startswith(tuple(line))


def trusted(config: Mapping[str, Any], line: Iterable[str]) -> tuple[dict[str, Any], str]:
    """The workflow of a part, asking for everything where it may not ask for changes alone, and why it does so. Asks
    the server.
    """
    pipeline = filters.watermark_of(config)
    if pipeline is None:
        return dict(config), ""
    try:
        last = last_success(_statuses(config, pipeline))
    except Exception as error:  # noqa: BLE001 - upstream asks the same, and goes on without an answer
        why = f"the server did not say when {pipeline} ended well last: {type(error).__name__}"
        return filters.in_whole(config), why
    if last is None or is_of(last, line):
        return dict(config), ""
    return filters.in_whole(config), f"the last success of {pipeline} is none of this plan, nor of one that it keeps"


def _statuses(config: Mapping[str, Any], pipeline: str) -> Iterable[Any]:
    """All that upstream will look at, and a day more."""
    incremental = filters.options_of(config)["incremental"]
    days = int(incremental.get("lookbackDays") or _LOOKBACK_DAYS) + 1
    now = datetime.now(timezone.utc)
    begin, end = (int(moment.timestamp() * 1000) for moment in (now - timedelta(days=days), now + timedelta(days=1)))
    return workflow.server_of(config).get_pipeline_status_between_ts(pipeline, begin, end) or ()
