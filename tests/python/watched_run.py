"""A workflow of upstream's whose status somebody reads from another thread, while the server lets requests through by
turns.

Runs as a script in an environment with our sink: `watched_run.py URL TOKEN CONTROL`; prints one JSON object. Every bulk
request is held until the watcher, who looks in between, releases those that are there.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(method: str, url: str) -> Any:
    """One request to the server's control port."""
    with _DIRECT.open(urllib.request.Request(url, method=method), timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def main(url: str, token: str, control: str) -> None:
    """Prints what each look saw: [tables that the server had before it, tables of the status], in the final drain."""
    from threaded_run import TABLES, made

    workflow = made(url, token, "watched")
    sink = workflow.steps[-1]
    running = threading.Thread(target=workflow.execute)
    running.start()
    looks = []
    while running.is_alive():
        if not ask("GET", f"{control}/waits")["going_on"]:
            time.sleep(0.01)
            continue
        ask("POST", f"{control}/release")
        in_final_drain = sink._writer is not None and sink._writer._finishing
        stored = len(ask("GET", f"{control}/state?normalized=1").get("tables", {}))
        told = sink.get_status().records.count("Table written")
        if in_final_drain:
            looks.append([stored, told])
    running.join()
    print(json.dumps({"looks": looks, "told": sink.get_status().records.count("Table written"), "tables": TABLES}))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main(*sys.argv[1:])
