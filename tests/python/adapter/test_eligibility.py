"""When a sink stays upstream's: mocks, patches, settings that the native client cannot carry (rules A7, A9)."""

from __future__ import annotations

from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from openmetadata_bulksink import connection, eligibility
from tests.python.adapter.conftest import new_client
from tests.python.adapter.recording_server import RecordingServer

pytestmark = [pytest.mark.upstream, pytest.mark.usefixtures("double")]

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def reason(client: Any) -> str | None:
    return eligibility.why_not_native(client)


def test_upstreams_own_client_may_go_native(client: Any) -> None:
    assert reason(client) is None


def test_without_the_native_module(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    import openmetadata_bulksink

    monkeypatch.setitem(sys.modules, "openmetadata_bulksink._native", None)
    monkeypatch.delattr(openmetadata_bulksink, "_native", raising=False)
    assert "native module cannot be imported" in str(reason(client))


@pytest.mark.parametrize("made", [mock.Mock(), mock.MagicMock(), SimpleNamespace()])
def test_a_mock(made: Any) -> None:
    assert "not upstream's own OpenMetadata" in str(reason(made))


def test_a_mocked_rest_client(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "client", mock.MagicMock())
    assert "not upstream's own" in str(reason(client))


@pytest.mark.parametrize(
    "target",
    [
        "requests.Session.request",
        "requests.Session.send",
        "requests.adapters.HTTPAdapter.send",
        "requests.adapters.HTTPAdapter.get_connection_with_tls_context",
        "requests.adapters.HTTPAdapter.build_response",
        "requests.models.PreparedRequest.prepare",
        "requests.models.PreparedRequest.prepare_headers",
        "requests.sessions.PreparedRequest",
        "requests.sessions.Request",
        "requests.adapters.PoolManager",
        "urllib3.poolmanager.PoolManager.urlopen",
        "urllib3.connectionpool.HTTPConnectionPool.urlopen",
        "urllib3.connectionpool.HTTPConnectionPool._make_request",
        "urllib3.connectionpool.HTTPSConnectionPool",
        "urllib3.connection.HTTPConnection.connect",
        "urllib3.connectionpool.HTTPConnectionPool.ConnectionCls",
        "urllib3.util.connection.create_connection",
        "urllib3.util.connection.allowed_gai_family",
        "socket.create_connection",
        "socket.getaddrinfo",
        "socket.socket",
        "socket.socket.connect",
        "metadata.ingestion.ometa.client.REST._request",
        "metadata.ingestion.ometa.client.REST._one_request",
        "metadata.ingestion.ometa.ometa_api.OpenMetadata.bulk_create_or_update",
        "metadata.ingestion.ometa.ometa_api.OpenMetadata.get_by_name",
    ],
)
@pytest.mark.parametrize("kind", ["mock", "function"])
def test_a_patched_method(client: Any, target: str, kind: str) -> None:
    def stand_in(self: Any, method: Any, path: Any, data: Any = None, json: Any = None) -> None:
        """Has the right signature, and the wrong home."""

    with mock.patch(target, mock.MagicMock() if kind == "mock" else stand_in):
        assert reason(client) is not None
    assert reason(client) is None


def test_a_patched_instance(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.client, "_request", lambda *_: None)
    assert "replaced" in str(reason(client))


def test_a_foreign_adapter(client: Any) -> None:
    from requests.adapters import HTTPAdapter

    class Mine(HTTPAdapter):
        pass

    client.client._session.mount("http://", Mine())
    assert "adapter" in str(reason(client))


def test_an_adapter_for_some_requests_alone(client: Any, server: RecordingServer) -> None:
    from requests.adapters import HTTPAdapter

    class Mine(HTTPAdapter):
        pass

    client.client._session.mount("http://elsewhere/api/v1/tables", Mine())
    assert reason(client) is None
    client.client._session.mount(f"{server.url}/v1/tables", Mine())
    assert "adapter" in str(reason(client))


def test_an_adapter_with_a_pool_manager_of_somebodys(client: Any, server: RecordingServer) -> None:
    from urllib3 import PoolManager

    class Mine(PoolManager):
        pass

    client.client._session.get_adapter(server.url).poolmanager = Mine()
    assert "the pool manager of the HTTP session was replaced" in str(reason(client))


def test_a_pool_class_of_somebodys(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from urllib3 import poolmanager

    class Mine(poolmanager.HTTPConnectionPool):
        pass

    monkeypatch.setitem(poolmanager.pool_classes_by_scheme, "http", Mine)
    assert "the pool for http was replaced" in str(reason(client))


def stand_in(*_: Any, **__: Any) -> None:
    """Does nothing."""


def of_module(name: str, function: Any) -> Any:
    """A function as if it had been compiled in that module."""
    return FunctionType(function.__code__, {"__name__": name})


def test_a_tracer_that_replaces_a_function_without_a_word_of_what_it_calls(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentry's, of names and connections: it stays, as its other wrappers do."""
    import socket

    monkeypatch.setattr(socket, "getaddrinfo", of_module("sentry_sdk.integrations.socket", stand_in))
    assert reason(client) is None


@pytest.mark.parametrize("target", ["client", "sink"])
def test_a_function_of_a_users_module_below_metadata(
    target: str, client: Any, make_sink: Any, upstream_class: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Custom connectors live there; that makes them no code of upstream's."""
    from metadata.ingestion.ometa.client import REST

    owner, name = (REST, "put") if target == "client" else (upstream_class, "write_create_request")
    monkeypatch.setattr(owner, name, of_module("metadata.custom.audit", stand_in))
    found = eligibility.why_not_native(client, make_sink())
    assert f"{name} was replaced by a function of metadata.custom.audit" in str(found)


@pytest.mark.parametrize("record", ["CreateTableRequest", "BaseModel", "CreateQueryRequest"])
def test_a_function_that_is_registered_for_what_is_written_natively(
    record: str, make_sink: Any, upstream_class: type, client: Any
) -> None:
    from metadata.generated.schema.api.data.createQuery import CreateQueryRequest
    from metadata.generated.schema.api.data.createTable import CreateTableRequest
    from metadata.ingestion.models.custom_pydantic import BaseModel

    cls = {"CreateTableRequest": CreateTableRequest, "BaseModel": BaseModel, "CreateQueryRequest": CreateQueryRequest}
    dispatcher = vars(upstream_class)["_run_dispatch"].dispatcher
    sink = make_sink()
    before = dict(dispatcher.registry)
    try:
        dispatcher.register(cls[record], lambda self, record: self.write_create_request(record))
        found = eligibility.why_not_native(client, sink)
    finally:
        inner = dict(zip(dispatcher.register.__code__.co_freevars, dispatcher.register.__closure__, strict=True))
        registry = inner["registry"].cell_contents
        registry.clear()
        registry.update(before)
        dispatcher._clear_cache()
    assert f"what the sink does with {record} was replaced by" in str(found)
    assert eligibility.why_not_native(client, sink) is None


def test_a_function_that_is_registered_for_a_record_of_ones_own(
    make_sink: Any, upstream_class: type, client: Any
) -> None:
    class Mine:
        pass

    vars(upstream_class)["_run_dispatch"].register(Mine, lambda *_: None)
    assert eligibility.why_not_native(client, make_sink()) is None


def test_a_session_with_authentication(client: Any) -> None:
    client.client._session.auth = ("me", "secret")
    assert "authentication" in str(reason(client))
    assert "secret" not in str(reason(client))


def test_netrc(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hidden\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert ".netrc" in str(reason(client))


def test_socks(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:9")
    assert "socks5://" in str(reason(client))


#: Proxies whose host cannot be told from the password. urllib takes the third for the host `user`.
NO_ADDRESSES = [
    "http://user:pa#ss/word@proxy:3128",
    "http://user:pa[ss@proxy:3128",
    "http://user:12/word@proxy:3128",
    "http://user:pa?ss@proxy:3128",
    "user:pa/ss@proxy:3128",
    "http://proxy:port",
]


@pytest.mark.parametrize("proxy", NO_ADDRESSES)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_no_address(client: Any, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str) -> None:
    for other in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, proxy)
    said = str(reason(client))
    assert said.startswith(
        f"the proxy in {name} is no address; write it as http://user:password@host:port, with %23 for #"
    )
    assert proxy not in said


@pytest.mark.parametrize(
    "address", ["http://user:pa#geheim@om:8585/api", "http://[geheim/api", "https://user:1/geheim@om/api"]
)
def test_a_server_that_is_no_address(address: str) -> None:
    said = str(reason(new_client(address)))
    assert said.startswith("hostPort of the workflow is no address; write it as http(s)://host:port/api")
    assert "geheim" not in said


def test_gevent(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gevent.monkey", SimpleNamespace(is_module_patched=lambda _: True))  # type: ignore[arg-type]
    assert "gevent" in str(reason(client))


def test_a_ca_file_that_is_not_there() -> None:
    client = new_client("https://127.0.0.1:9/api")
    client.client._verify = "/no/such/file.pem"
    assert "cannot be read" in str(reason(client))


# --- what is carried over ---


def test_headers_and_token(server: RecordingServer) -> None:
    client = new_client(server.url, extraHeaders={"X-Team": "data", "X-Auth": "%(Authorization)s"})
    found = connection.arguments(client.client)
    assert found["base_url"] == f"{server.url}/v1"
    assert found["token"]() == "the-token"
    headers = {name.lower(): value for name, value in found["headers"].items()}
    assert headers["x-team"] == "data"
    assert headers["x-auth"] == "Bearer the-token"
    assert headers["content-type"] == "application/json"
    assert not headers.keys() & {"authorization", "content-length", "accept-encoding", "connection"}


def test_an_extra_authorization_header_wins(server: RecordingServer) -> None:
    client = new_client(server.url, extraHeaders={"Authorization": "Basic eA=="})
    found = connection.arguments(client.client)
    assert "token" not in found
    assert found["headers"]["Authorization"] == "Basic eA=="


def test_extra_headers_that_cannot_be_filled_in(server: RecordingServer) -> None:
    client = new_client(server.url, extraHeaders={"X": "100 %"})
    assert "extraHeaders" in str(reason(client))


def test_the_token_is_asked_for_again_when_it_runs_out(server: RecordingServer) -> None:
    client = new_client(server.url)
    rest = client.client
    assert connection.current_token(rest) == "the-token"
    rest.config.expires_in = 1 << 40
    rest._auth_token = lambda: ("the-next", 3600)
    assert connection.current_token(rest) == "the-token"
    rest.config.expires_in = 1
    assert connection.current_token(rest) == "the-next"
    assert rest.config.expires_in > 1


def test_certificates_as_requests_would_choose_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    client = new_client("https://127.0.0.1:9/api").client
    import certifi

    client._verify = None
    assert connection.arguments(client)["ca_certificates"] == Path(certifi.where()).read_bytes()
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(CERTIFICATE)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    assert connection.arguments(client)["ca_certificates"] == CERTIFICATE.encode()
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "one.pem").write_text(CERTIFICATE)
    (folder / "two.pem").write_text(CERTIFICATE.replace("AAAA", "BBBB"))
    client._verify = str(folder)
    found = connection.arguments(client)["ca_certificates"]
    assert b"AAAA" in found
    assert b"BBBB" in found
    client._verify = False
    found = connection.arguments(client)
    assert found["verify"] is False
    assert "ca_certificates" not in found


def test_a_client_certificate_and_its_key(tmp_path: Path) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    cert.write_text(CERTIFICATE)
    key.write_text("-----BEGIN PRIVATE KEY-----\nCCCC\n-----END PRIVATE KEY-----\n")
    client = new_client("https://127.0.0.1:9/api").client
    client._cert = (str(cert), str(key))
    found = connection.arguments(client)["client_certificate"]
    assert found.startswith(CERTIFICATE.encode())
    assert b"CCCC" in found
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    with pytest.raises(connection.Unusable, match="encrypted"):
        connection.arguments(client)


def test_a_proxy_of_the_environment(server: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    client = new_client(server.url).client
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:3128")
    assert connection.arguments(client)["proxy"] == "http://127.0.0.1:3128"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "proxy" not in connection.arguments(client)


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (None, {}),
        ((10, 300), {"connect_timeout": 10.0, "read_timeout": 300.0}),
        (5, {"connect_timeout": 5.0, "read_timeout": 5.0}),
        ((3, None), {"connect_timeout": 3.0}),
    ],
)
def test_time_outs(server: RecordingServer, timeout: Any, expected: dict[str, float]) -> None:
    client = new_client(server.url).client
    client._timeout = timeout
    found = connection.arguments(client)
    assert {name: found[name] for name in found if name.endswith("_timeout")} == expected


# --- upstream's shape ---


def test_this_upstream_is_known(upstream_class: type) -> None:
    assert eligibility.shape_problem(upstream_class) is None


def test_an_upstream_without_a_bulk_sink() -> None:
    class MetadataRestSink:
        pass

    assert "no bulk sink" in str(eligibility.shape_problem(MetadataRestSink))


def test_a_changed_signature(upstream_class: type) -> None:
    changed = type("Changed", (upstream_class,), {"_flush_buffer": lambda self, entities: None})  # noqa: ARG005
    assert "_flush_buffer takes (entities)" in str(eligibility.shape_problem(changed))


def test_an_unknown_upstream_stays_as_it_is_and_says_so(
    upstream_class: type, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from openmetadata_bulksink.sink import inert_class

    caplog.set_level("INFO", "metadata")
    cls: Any = inert_class(upstream_class, "it is too new")
    sink = cls.create({}, client)
    assert isinstance(sink, upstream_class)
    assert "not active: it is too new" in caplog.text
