"""What `tools/` prepares for the tests, by name. Needs nothing but pytest, as the tests of the wheels have no more."""

from __future__ import annotations

import os

import pytest

_PREPARED = "BULKSINK_TEST_"


def prepared(name: str) -> str:
    """A thing that was prepared; fails the test that asks for it if it was not."""
    value = os.environ.get(_PREPARED + name, "")
    if not value:
        pytest.fail(f"{_PREPARED}{name} is not set: run the tests with `python3 -m tools pytest -- ...`", pytrace=False)
    return value
