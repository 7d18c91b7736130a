"""TLS, proxies and gateways between the real sink class and its server: what upstream's client can do ours can, and
what
comes and goes costs nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.ingest import ReferenceServer
from tests.python.faults.certificates import Authority, Files, self_signed
from tests.python.faults.conftest import CLIENT
from tests.python.faults.gateway import Gateway, Proxy
from tests.python.faults.streams import Fed, Feeder

pytestmark = [pytest.mark.wheel]

STREAM = [["tables", 0, 60], ["status"], ["close"]]


@pytest.fixture(scope="module")
def lonely(sink_environment: Path) -> Iterator[Feeder]:
    """A process whose jobs come one after the other, and may change its environment."""
    with Feeder(sink_environment) as process:
        yield process


def feed(feeder: Feeder, server: ReferenceServer, deadline: float = 60.0, **job: Any) -> Fed:
    variables = {"OM_BULKSINK_DELIVERY_TIMEOUT": str(deadline), "OM_BULKSINK_ACCELERATE": "0"}
    job = {"stream": STREAM, **job}
    return feeder.feed(server, job.pop("stream"), variables=variables, **job)


def address_of(server: ReferenceServer) -> tuple[str, int]:
    parts = urlsplit(server.url)
    return parts.hostname or "", parts.port or 0


# --- TLS ---


class Secured:
    """Servers with TLS, one for each certificate that a test names."""

    def __init__(self, program: Path, profile: str, folder: Path) -> None:
        self.authority = Authority(folder)
        self.other = Authority(folder, "other")
        self._program, self._profile, self._folder = program, profile, folder
        self._running: dict[str, ReferenceServer] = {}

    def certificate(self, kind: str) -> Files:
        """good, wrong_host, expired, self_signed, of_another."""
        if kind == "self_signed":
            return self_signed(self._folder)
        if kind == "of_another":
            return self.other.issue("server")
        if kind == "expired":
            return self.authority.issue(kind, days=-5)
        hosts = ("example.org",) if kind == "wrong_host" else ("127.0.0.1", "localhost")
        return self.authority.issue(kind, hosts=hosts)

    def server(self, kind: str, *, clients_of: Authority | None = None) -> ReferenceServer:
        """An empty server with that certificate."""
        name = f"{kind}{clients_of is not None}"
        if name not in self._running:
            files = self.certificate(kind)
            arguments = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
            if clients_of is not None:
                arguments += ["--client-ca", str(clients_of.file)]
            self._running[name] = ReferenceServer(self._program, profile=self._profile, arguments=arguments)
        self._running[name].reset()
        return self._running[name]

    def stop(self) -> None:
        for server in self._running.values():
            server.stop()


@pytest.fixture(scope="module")
def secured(server_program: Path, server_profile: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    servers = Secured(server_program, server_profile, tmp_path_factory.mktemp("tls"))
    yield servers
    servers.stop()


def validate(file: Path) -> Mapping[str, Any]:
    """The workflow's settings for a CA of one's own."""
    return {"verifySSL": "validate", "sslConfig": {"caCertificate": str(file)}}


def lake_stream() -> list[list[Any]]:
    return [["parents"], *STREAM]


@pytest.mark.parametrize("how", ["file", "directory", "environment", "ignore", "no-ssl with a bundle"])
def test_a_server_that_is_trusted(lonely: Feeder, secured: Secured, tmp_path: Path, how: str) -> None:
    server = secured.server("wrong_host" if how == "ignore" else "good")
    bundle = secured.authority.file
    job: dict[str, Any] = {"stream": lake_stream()}
    if how == "file":
        job["connection"] = validate(bundle)
    elif how == "directory":
        # As `c_rehash` makes it: requests only reads names that are hashes.
        shutil.copy(bundle, tmp_path / "authority.pem")
        job["connection"] = validate(hashed(tmp_path, bundle))
    elif how == "ignore":
        job["connection"] = {"verifySSL": "ignore"}
    else:
        job["connection"] = {"verifySSL": "no-ssl"} if how.startswith("no-ssl") else {}
        job["environment"] = {"REQUESTS_CA_BUNDLE": str(bundle)}
    fed = feed(lonely, server, **job)
    assert fed.native, fed.log
    fed.require_written_names(60)


def hashed(folder: Path, certificate: Path) -> Path:
    """A CA directory."""
    name = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    shutil.copy(certificate, folder / f"{name}.0")
    return folder


def test_hundreds_of_tables_cost_one_handshake_a_worker(lonely: Feeder, secured: Secured) -> None:
    server = secured.server("good")
    stream = [["parents"], ["tables", 0, 600], ["status"], ["tables", 600, 600], ["status"], ["close"]]
    fed = feed(lonely, server, stream=stream, connection=validate(secured.authority.file))
    assert fed.native, fed.log
    fed.require_written_names(1_200)
    summary = server.summary()
    assert summary["requests_by_class"]["bulk"] >= 12
    # Four workers, and what upstream's own client opens.
    assert summary["connections"] <= 4 + 2, summary
    assert summary["failed_handshakes"] == 0


UNTRUSTED = {
    "wrong_host": "not valid for",
    "expired": "expired",
    "of_another": "not trusted|unknown|issuer",
}


@pytest.fixture(scope="module")
def untrusted(lonely: Feeder, secured: Secured) -> dict[str, tuple[Fed, list[Any]]]:
    """What came of servers that nobody trusts, side by side: each takes upstream's client three attempts."""
    connection = validate(secured.authority.file)
    servers = {certificate: secured.server(certificate) for certificate in UNTRUSTED}
    with ThreadPoolExecutor(len(servers)) as pool:
        fed = {
            certificate: pool.submit(feed, lonely, server, deadline=2, connection=connection)
            for certificate, server in servers.items()
        }
        return {name: (stream.result(), servers[name].requests()) for name, stream in fed.items()}


@pytest.mark.parametrize("certificate", UNTRUSTED)
def test_a_server_that_nobody_trusts(untrusted: dict[str, tuple[Fed, list[Any]]], certificate: str) -> None:
    """Neither client takes it: each record is lost by name, with what is wrong with the certificate."""
    fed, requests = untrusted[certificate]
    fed.require_accounted_for(60)
    assert len(fed.failures) == 60
    reason = f"(?i)certificate.*({UNTRUSTED[certificate]})"
    assert re.search(reason, fed.failures[0]["error"]), fed.failures[0]
    assert requests == []


def test_a_certificate_that_only_upstreams_client_takes(lonely: Feeder, secured: Secured) -> None:
    """Self-signed, and trusted by itself: OpenSSL takes it. Then the records go upstream's way, and one line says
    so.
    """
    server = secured.server("self_signed")
    files = sorted((secured.authority.file.parent).glob("alone.pem"))
    fed = feed(lonely, server, stream=lake_stream(), connection=validate(files[0]))
    assert len(fed.stored) == 60
    if not fed.native:
        (line,) = [line for line in fed.log if "is not active" in line]
        assert "native one does not" in line


def test_a_client_certificate(lonely: Feeder, secured: Secured) -> None:
    server = secured.server("good", clients_of=secured.other)
    ours = secured.other.issue("us", hosts=("client",))
    connection = validate(secured.authority.file)
    pair = [str(ours.certificate), str(ours.key)]
    fed = feed(lonely, server, stream=lake_stream(), connection=connection, client={"cert": pair})
    assert fed.native, fed.log
    fed.require_written_names(60)
    # Without one, the server ends the handshake with an alert.
    secured.server("good", clients_of=secured.other)
    fed = feed(lonely, server, deadline=2, connection=connection).require_accounted_for(60)
    assert len(fed.failures) == 60
    assert "certificate" in fed.failures[0]["error"].lower()


@pytest.mark.parametrize("way", ["alert", "close", "reset", "silence"])
def test_handshakes_that_fail_for_a_while(lonely: Feeder, secured: Secured, way: str) -> None:
    server = secured.server("good")
    connection = validate(secured.authority.file)
    # The service is written by upstream's own client: it goes straight to the server.
    feed(lonely, server, stream=[["parents"], ["close"]], connection=connection)
    with Gateway(address_of(server), [way] * (2 if way == "silence" else 6)) as gateway:
        url = f"https://127.0.0.1:{gateway.port}/api"
        feed(lonely, server, url=url, connection=connection, client=CLIENT).require_all_written(60)
        assert gateway.connections > 1


# --- plain connections that come and go ---


@pytest.mark.parametrize("way", ["close", "reset", "silence"])
def test_connections_that_lead_nowhere_for_a_while(lonely: Feeder, lake: ReferenceServer, way: str) -> None:
    with Gateway(address_of(lake), ["forward", *[way] * 4]) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/api"
        fed = feed(lonely, lake, url=url, client=CLIENT).require_all_written(60)
        assert fed.stats["retries"] <= 12


def test_a_gateway_that_dies_and_comes_back(lonely: Feeder, lake: ReferenceServer) -> None:
    lake.set_latency({"bulk": {"request_ms": 300}})
    with Gateway(address_of(lake)) as gateway:

        def interrupt() -> None:
            time.sleep(0.5)
            gateway.die()
            time.sleep(2)
            gateway.listen()

        thread = threading.Thread(target=interrupt)
        thread.start()
        stream = [["tables", 0, 100], ["sleep", 0.6], ["tables", 100, 150], ["status"], ["close"]]
        feed(lonely, lake, url=f"http://127.0.0.1:{gateway.port}/api", stream=stream).require_all_written(250)
        thread.join()


# --- proxies ---


@pytest.mark.parametrize("credentials", [None, "user:pass%40word"], ids=["open", "with a password"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_the_environment(
    lonely: Feeder, lake: ReferenceServer, secured: Secured, scheme: str, credentials: str | None
) -> None:
    server = lake if scheme == "http" else secured.server("good")
    plain = credentials.replace("%40", "@") if credentials else None
    with Proxy(plain) as proxy:
        login = f"{credentials}@" if credentials else ""
        environment = {f"{scheme.upper()}_PROXY": f"http://{login}127.0.0.1:{proxy.port}"}
        job: dict[str, Any] = {"environment": environment}
        if scheme == "https":
            job["connection"] = validate(secured.authority.file)
            job["stream"] = lake_stream()
        fed = feed(lonely, server, **job)
        assert fed.native, fed.log
        fed.require_written_names(60)
        assert proxy.served >= 1
        assert proxy.refused == 0
    if plain:
        shown = f"{fed.log} {fed.failures} {lonely.printed()}"
        assert "word" not in shown.replace("password", "")


def test_no_proxy_is_obeyed(lonely: Feeder, lake: ReferenceServer) -> None:
    with Proxy() as proxy:
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": "127.0.0.1"}
        fed = feed(lonely, lake, environment=environment)
        assert fed.native, fed.log
        fed.require_written_names(60)
        assert proxy.connections == 0


def test_a_proxy_that_wants_a_password_is_named(lonely: Feeder, lake: ReferenceServer) -> None:
    with Proxy("user:word") as proxy:
        fed = feed(lonely, lake, environment={"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"})
        fed.require_accounted_for(60)
        assert len(fed.failures) == 60
        assert "put them into the proxy's URL" in fed.failures[0]["error"]


def test_a_proxy_that_dies_and_comes_back(lonely: Feeder, lake: ReferenceServer) -> None:
    lake.set_latency({"bulk": {"request_ms": 300}})
    with Proxy() as proxy:

        def interrupt() -> None:
            time.sleep(0.5)
            proxy.die()
            time.sleep(2)
            proxy.listen()

        thread = threading.Thread(target=interrupt)
        thread.start()
        stream = [["tables", 0, 100], ["sleep", 0.6], ["tables", 100, 150], ["status"], ["close"]]
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        feed(lonely, lake, stream=stream, environment=environment).require_all_written(250)
        thread.join()


def test_a_proxy_that_dies_for_good(lonely: Feeder, lake: ReferenceServer) -> None:
    with Proxy() as proxy:
        environment = {"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}"}
        proxy.die()
        fed = feed(lonely, lake, deadline=2, environment=environment).require_accounted_for(60)
        assert len(fed.failures) == 60
        assert f"127.0.0.1:{proxy.port}" in fed.failures[0]["error"], "the end that the trouble is with"
