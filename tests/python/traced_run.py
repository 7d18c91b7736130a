"""Workflows of upstream's in a process with OpenTelemetry's own instrumentation of `requests`, or a wrapper of wrapt's.

Runs as a script in an environment with our sink, with the tracer's packages on the search path: `traced_run.py URL
TOKEN RUN...`; a run is `tracer-` or `user-` and `before` or `after`: when something is put around each request, beside
the making of the workflow. It is taken away behind each run. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

Seen = Callable[[], list[str]]


def traced() -> tuple[Seen, Callable[[], Any]]:
    """Starts the tracer. Returns what tells its spans, as "METHOD address", and what ends it."""
    kept = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter").InMemorySpanExporter()
    provider = import_module("opentelemetry.sdk.trace").TracerProvider()
    provider.add_span_processor(import_module("opentelemetry.sdk.trace.export").SimpleSpanProcessor(kept))
    instrumentor = import_module("opentelemetry.instrumentation.requests").RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)

    def seen() -> list[str]:
        spans = [dict(span.attributes) for span in kept.get_finished_spans()]
        return [f"{one['http.method']} {one['http.url']}" for one in spans]

    return seen, instrumentor.uninstrument


def audited() -> tuple[Seen, Callable[[], Any]]:
    """Puts a user's wrapper around every request. Returns what tells the requests that it saw, and what ends it."""
    requests: list[str] = []

    def audit(wrapped: Any, _: Any, args: Any, kwargs: Any) -> Any:
        requests.append(f"{args[0]} {args[1]}")
        return wrapped(*args, **kwargs)

    session = import_module("requests.sessions").Session
    original = session.request
    import_module("wrapt").wrap_function_wrapper("requests.sessions", "Session.request", audit)
    return requests.copy, lambda: setattr(session, "request", original)


def main(url: str, token: str, *runs: str) -> None:
    """Prints for each run the requests that were seen."""
    from threaded_run import made

    found = {}
    for run in runs:
        who, _, when = run.partition("-")
        start = {"tracer": traced, "user": audited}[who]
        if when == "before":
            seen, end = start()
        workflow = made(url, token, run)
        if when == "after":
            seen, end = start()
        workflow.execute()
        end()
        found[run] = seen()
    print(json.dumps(found))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
