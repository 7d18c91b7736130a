"""`OM_BULKSINK_REPORT` where one ingestion is several: what each step writes has a report of its own.

All of this is for a child, before it makes its sink.
"""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE = "OM_BULKSINK_REPORT"


def of_step(step: str) -> None:
    """The next step would replace a file of the same name. `{pid}` tells them apart already."""
    asked = os.environ.get(_VARIABLE, "")
    if Path(asked).name and "{pid}" not in asked:
        os.environ[_VARIABLE] = str(Path(asked).with_stem(f"{Path(asked).stem}-{step}"))


def none() -> None:
    """What writes nothing has nothing to report."""
    os.environ.pop(_VARIABLE, None)
