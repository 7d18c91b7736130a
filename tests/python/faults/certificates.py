"""Certificates for servers of tests, made on the spot."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Files:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates; `file` is what those who trust it are given."""

    def __init__(self, folder: Path, name: str = "ours") -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"authority {name}")
        self._certificate = (
            _builder(subject, subject, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}-authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, hosts: tuple[str, ...] = ("127.0.0.1", "localhost"), days: int = 30) -> Files:
        """A server's certificate, or a client's. days: until it expires; negative: it has."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_name(name), self._certificate.subject, key.public_key(), days)
        made = made.add_extension(x509.SubjectAlternativeName(_hosts(hosts)), critical=False)
        return _write(self._folder, f"{self._name}-{name}", made.sign(self._key, hashes.SHA256()), key)


def self_signed(folder: Path, name: str = "alone") -> Files:
    """A certificate that vouches for itself, as test servers often have it."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(_name(name), _name(name), key.public_key())
    made = made.add_extension(x509.SubjectAlternativeName(_hosts(("127.0.0.1", "localhost"))), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return _write(folder, name, made.sign(key, hashes.SHA256()), key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _hosts(hosts: tuple[str, ...]) -> list[x509.GeneralName]:
    def one(host: str) -> x509.GeneralName:
        return x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)

    return [one(host) for host in hosts]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int = 30
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 100 * _DAY)
        .not_valid_after(now + days * _DAY)
    )


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Files:
    files = Files(folder / f"{name}.pem", folder / f"{name}.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
