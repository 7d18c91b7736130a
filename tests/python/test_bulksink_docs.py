"""The program in docs/bulksink.md does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.ingest import ReferenceServer
from tests.python.native.conftest import send

pytestmark = pytest.mark.wheel

PAGE = Path(__file__).parents[2] / "docs" / "bulksink.md"


def test_the_program_writes_a_thousand_tables(
    server: ReferenceServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    program = found.group(1)
    assert len(program.splitlines()) <= 22
    send(server, "PUT", "/services/databaseServices", {"name": "lake", "serviceType": "Postgres"})
    monkeypatch.setenv("OM_TOKEN", server.token)
    exec(compile(program.replace("http://localhost:8585/api", server.url), str(PAGE), "exec"), {})  # noqa: S102
    assert len(server.state()["tables"]) == 1_000
    assert "written=1002 failed=0" in capsys.readouterr().out
