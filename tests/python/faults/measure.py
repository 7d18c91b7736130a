"""Writes the fault table of docs/reliability.md: each case fed to upstream's sink and to ours by the same code.

Not collected with the other tests: `make reliability` names it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.python.faults import table
from tests.python.faults.conftest import AT_ONCE, feed_case
from tests.python.faults.matrix import cases
from tests.python.faults.streams import Feeder

pytestmark = [pytest.mark.wheel]


@pytest.mark.timeout(1_800)
def test_measure_and_write(feeder: Feeder, upstream_feeder: Feeder, server_program: Path, server_profile: str) -> None:
    measured: dict[str, dict[str, table.Measured]] = {"upstream": {}, "ours": {}}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {
            (who, case.name): pool.submit(feed_case, process, server_program, server_profile, case)
            for who, process in (("ours", feeder), ("upstream", upstream_feeder))
            for case in cases()
        }
        for (who, name), future in futures.items():
            fed = future.result()
            assert fed.native == (who == "ours")
            measured[who][name] = table.measured(fed)
    table.write(measured)
