"""`make chaos`: runs seeds, prints a line for each, and how a failed one is repeated. `SEED=17 make chaos` runs
that one.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.chaos.judge import MOST_FAILED, Verdict
from tests.chaos.runs import run


def main() -> int:
    """Returns 1 where a seed failed."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.chaos")
    parser.add_argument("--environment", type=Path, required=True, help="an upstream environment with our wheel")
    parser.add_argument("--server", type=Path, required=True, help="the reference server's program")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first seed (0)")
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many (200)")
    parser.add_argument("--at-once", type=int, default=6, metavar="N", help="processes (6); they mostly wait")
    chosen = parser.parse_args()
    one = os.environ.get("SEED")
    seeds = [int(one)] if one else list(range(chosen.first, chosen.first + chosen.seeds))

    def tell(verdict: Verdict) -> None:
        print(verdict, flush=True)

    verdicts = run(chosen.environment, chosen.server, seeds, at_once=min(chosen.at_once, len(seeds)), tell=tell)
    bad = [verdict for verdict in verdicts if verdict.problems]
    # Where a plan has refusals for good, records must be lost.
    fair = [verdict for verdict in verdicts if not verdict.plan.final]
    submitted = sum(verdict.submitted for verdict in fair)
    failed = sum(verdict.failed for verdict in fair)
    print(
        f"{len(verdicts)} seeds; {submitted} records that nothing refused for good, {failed} reported as failed "
        f"({100 * failed / max(submitted, 1):.2f} %, at most {100 * MOST_FAILED:.0f} % allowed), "
        f"{sum(verdict.retries for verdict in verdicts)} retries, "
        f"{sum(verdict.interrupted for verdict in verdicts)} interruptions, {len(bad)} bad seeds"
    )
    for verdict in bad:
        print(verdict)
    return 1 if bad or failed > MOST_FAILED * submitted else 0


if __name__ == "__main__":
    sys.exit(main())
