"""What of a workflow's file is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from openmetadata_bulksink.masking import mask_of

SECRET = "Top+Secret/value"


@pytest.mark.parametrize(
    "server",
    [
        {"apiVersion": SECRET},
        {"hostPort": SECRET},
        {"hostPort": "http://om:8585/api?key=Top%2BSecret%2Fvalue&page=1"},
        {"securityConfg": {"token": SECRET}},
    ],
    ids=str,
)
def test_what_is_no_address_and_no_version_is_hidden(server: dict[str, Any]) -> None:
    mask = mask_of({"workflowConfig": {"openMetadataServerConfig": server}})
    assert mask(f"refused: {SECRET}, Top%2BSecret%2Fvalue") == "refused: ***, ***"


def test_an_address_and_a_version_are_shown() -> None:
    server = {"hostPort": "http://om:8585/api", "apiVersion": "v1", "authProvider": "openmetadata"}
    mask = mask_of({"workflowConfig": {"openMetadataServerConfig": server}})
    assert mask("http://om:8585/api v1 openmetadata") == "http://om:8585/api v1 openmetadata"


def test_a_proxys_password_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:geheim-1@proxy:3128")
    assert mask_of({})("somebody geheim-1 proxy:3128") == "*** *** proxy:3128"
