"""The live client's connection, as `BulkSink` needs it: address, headers, token, TLS, proxy, time-outs.

Resolved the way `requests` would for one PUT, by `requests` itself where it has a function for it. What cannot be
carried over to the native client is a reason not to be native (`Unusable`), never a guess. Opens no connection.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Made by the native client itself, or about a body that is not sent by `requests`.
_NOT_CARRIED_OVER = frozenset({"authorization", "connection", "content-length", "accept-encoding", "transfer-encoding"})


class Unusable(Exception):
    """Why the live client's connection cannot be used natively, in words."""


def _requests() -> Any:
    """Upstream's HTTP library; a dependency of upstream's, not of ours."""
    return import_module("requests")


def base_url(client: Any) -> str:
    """Up to and with the API version, as upstream's client puts it together."""
    return f"{str(client._base_url).rstrip('/')}/{client._api_version}"


def arguments(client: Any) -> dict[str, Any]:
    """The connection arguments of `BulkSink` for upstream's live `REST` client. Raises Unusable."""
    requests = _requests()
    url = base_url(client)
    if not _is_address(url):
        raise Unusable(f"hostPort of the workflow is no address; write it as http(s)://host:port/api{_ENCODED}")
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise Unusable(
            f"the server's address {url!r} has neither http nor https; set hostPort to http(s)://host:port/api"
        )
    session = client._session
    if session.auth is not None:
        raise Unusable("the client's session has its own authentication")
    if session.trust_env and requests.utils.get_netrc_auth(url) is not None:
        raise Unusable("a .netrc file has credentials for the server, which only the Python client applies")
    settings = session.merge_environment_settings(url, {}, None, client._verify, client._cert)
    found: dict[str, Any] = {"base_url": url}
    found.update(_headers(client, url))
    found.update(_tls(settings["verify"], settings["cert"], scheme))
    found["proxy"] = _proxy(url, settings["proxies"])
    found.update(_timeouts(getattr(client, "_timeout", None)))
    return {name: value for name, value in found.items() if value is not None}


def current_token(client: Any) -> str:
    """The bearer token, asked for again when the client has none or when it runs out; as the client itself does it."""
    config = client.config
    now = datetime.now(timezone.utc).timestamp()
    if client._auth_token and (not config.access_token or (config.expires_in and now >= config.expires_in)):
        token, expiry = client._auth_token()
        config.access_token = token
        if token != "no_token":
            end = expiry.timestamp() if isinstance(expiry, datetime) else now + expiry
            config.expires_in = end - 120
    return str(config.access_token or "")


def _headers(client: Any, url: str) -> dict[str, Any]:
    requests = _requests()
    config = client.config
    headers: dict[str, str] = {"Content-type": "application/json"}
    bearer = ""
    if config.auth_header:
        token = current_token(client)
        bearer = f"{client._auth_token_mode} {token}" if client._auth_token_mode else token
        headers[config.auth_header] = bearer
    if config.extra_headers:
        try:
            headers.update({name: value % headers for name, value in config.extra_headers.items()})
        except (KeyError, ValueError, TypeError) as error:
            raise Unusable(f"extraHeaders cannot be filled in ({type(error).__name__}: {error})") from None
    prepared = client._session.prepare_request(requests.Request("PUT", url, headers=headers, cookies=client._cookies))
    sent = {str(name): str(value) for name, value in prepared.headers.items()}
    authorization = sent.get("Authorization") or sent.get("authorization")
    kept = {name: value for name, value in sent.items() if name.lower() not in _NOT_CARRIED_OVER}
    if authorization and authorization == bearer and client._auth_token_mode == "Bearer":
        token_of: Callable[[], str] = lambda: current_token(client)  # noqa: E731
        return {"headers": kept, "token": token_of}
    if authorization:
        kept["Authorization"] = authorization
    return {"headers": kept}


def _tls(verify: Any, cert: Any, scheme: str) -> dict[str, Any]:
    if scheme != "https":
        return {}
    found: dict[str, Any] = {}
    if verify is False:
        found["verify"] = False
    else:
        found["ca_certificates"] = _bundle(verify)
    if cert:
        found["client_certificate"] = _identity(cert)
    return found


def _bundle(verify: Any) -> bytes:
    """The roots that `requests` would trust: a file, a directory of files, or its own bundle."""
    requests = _requests()
    path = Path(requests.certs.where() if verify in (True, None) else str(verify))
    try:
        if path.is_dir():
            pem = b"\n".join(file.read_bytes() for file in sorted(path.iterdir()) if file.is_file())
        else:
            pem = path.read_bytes()
    except OSError as error:
        raise Unusable(f"the CA certificates in {str(path)!r} cannot be read ({error.strerror})") from None
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise Unusable(f"{str(path)!r} holds no certificate in PEM form")
    return pem


def _identity(cert: Any) -> bytes:
    paths = (cert,) if isinstance(cert, str) else tuple(cert)
    try:
        pem = b"\n".join(Path(str(path)).read_bytes() for path in paths)
    except OSError as error:
        raise Unusable(f"the client certificate cannot be read ({error.strerror})") from None
    if b"ENCRYPTED" in pem:
        raise Unusable("the key of the client certificate is encrypted")
    return pem


def _proxy(url: str, proxies: Any) -> str | None:
    requests = _requests()
    given = requests.utils.select_proxy(url, proxies)
    if not given:
        return None
    proxy = str(given) if "://" in given else f"http://{given}"
    if not _is_address(proxy):
        raise Unusable(
            f"the proxy in {_named(str(given), url)} is no address; write it as http://user:password@host:port{_ENCODED}"
        )
    scheme = urlsplit(proxy).scheme.lower()
    if scheme not in ("http", "https"):
        raise Unusable(f"a proxy with {scheme}:// is in use, which only the Python client can speak")
    return proxy


#: For sentences about addresses.
_ENCODED = ", with %23 for # in a password, %2F for /, %3F for ?, %40 for @"


def _is_address(text: str) -> bool:
    """Whether a host can be read from it: a `#` or `/` in a password ends what is taken for the host."""
    try:
        parts = urlsplit(text)
        beyond = f"{parts.path}{parts.query}{parts.fragment}"
        return bool(parts.hostname) and parts.port != 0 and "@" not in beyond
    except ValueError:
        return False


def _named(proxy: str, url: str) -> str:
    """The variable that a proxy comes from. Its value is not for showing: the part that is a password is not known."""
    of_scheme = f"{urlsplit(url).scheme}_proxy"
    found = [name for name, value in os.environ.items() if name.lower() in (of_scheme, "all_proxy") and value == proxy]
    return min(found) if found else "the client's session"


def _timeouts(timeout: Any) -> dict[str, Any]:
    """Clients before 1.12 have none; then the native client's own stay (connect 10 s, read 300 s)."""
    if timeout is None:
        return {}
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    found = {"connect_timeout": connect, "read_timeout": read}
    return {name: float(value) for name, value in found.items() if value}
