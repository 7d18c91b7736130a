"""What of a workflow's file is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from openmetadata_bulksink.masking import mask_of, quotable

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


@pytest.mark.parametrize("secret", ["true", "server", "Bearer", "1", "user"])
def test_a_word_that_any_text_may_say_stays(secret: str) -> None:
    mask = mask_of({"workflowConfig": {"openMetadataServerConfig": {"securityConfig": {"jwtToken": secret}}}})
    text = f"true, the server says 100: {secret}"
    assert mask(text) == text


def test_a_short_secret_is_hidden_where_it_stands_alone() -> None:
    mask = mask_of({"source": {"password": "mail7"}})
    assert mask("mail7, mail77, amail7, x:mail7@host, _mail7_") == "***, mail77, amail7, x:***@host, _***_"


def test_of_a_query_what_can_be_a_secret_is_hidden() -> None:
    address = "http://om:8585/api?verifySSL=yes&page=12&sig=abcdefgh&token=abcd"
    mask = mask_of({"workflowConfig": {"openMetadataServerConfig": {"hostPort": address}}})
    assert mask("yes 12 abcdefgh abcd") == "yes 12 *** ***"
    assert mask(f"no answer from {address}") == "no answer from http://om:8585/api?***"


@pytest.mark.parametrize(
    "proxy",
    ["http://somebody:pa#ss/wörd@proxy:3128", "somebody:pa#ss/wörd@proxy:3128", "http://somebody:pa#ss/wörd@[x"],
)
def test_the_password_of_a_proxy_that_is_no_address_is_hidden(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert mask_of({})("pa#ss/wörd pa%23ss%2Fw%C3%B6rd somebody") == "*** *** ***"


@pytest.mark.parametrize("text", ["file", "metadata-rest", "custom_database", "four", "0", "-1", "2.5", "65537"])
def test_a_plain_word_or_number_may_be_quoted(text: str) -> None:
    assert quotable(text) == repr(text)


@pytest.mark.parametrize(
    "text", ["", "eyJhbGciOi.x.y", "hunter2", "p w", "a" * 13, "12345678", "/path", "tcp://10.0.0.1:1"]
)
def test_what_may_be_a_pasted_secret_is_not_quoted(text: str) -> None:
    assert quotable(text) == "what is there"


def test_an_address_and_a_version_are_shown() -> None:
    server = {"hostPort": "http://om:8585/api", "apiVersion": "v1", "authProvider": "openmetadata"}
    mask = mask_of({"workflowConfig": {"openMetadataServerConfig": server}})
    assert mask("http://om:8585/api v1 openmetadata") == "http://om:8585/api v1 openmetadata"


def test_a_proxys_password_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://somebody:geheim-1@proxy:3128")
    assert mask_of({})("somebody geheim-1 proxy:3128") == "*** *** proxy:3128"


def test_a_login_in_the_address_of_a_source_is_hidden() -> None:
    source = {"serviceConnection": {"config": {"hostPort": "bob:Hunter2Secret99@127.0.0.1:5432", "database": "shop"}}}
    mask = mask_of({"source": source})
    assert (
        mask("invalid port: 'Hunter2Secret99@127.0.0.1:5432' of shop") == "invalid port: '***@127.0.0.1:5432' of shop"
    )
