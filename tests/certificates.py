"""Certificates for tests: an authority, and what it signs, good or bad. The door to cryptography."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Authority:
    """One that signs certificates.

    Args:
        folder: where its own and theirs are written.
        name: its own, and its file's.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _subject(name)
        made = _builder(self._subject, self._subject, self._key.public_key(), 365)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        #: Its certificate, as PEM.
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def signed(self, name: str, *hosts: str, days: int = 365, password: str = "") -> Path:
        """Sign a certificate for a server or a client.

        Args:
            name: the common name, and the file's.
            hosts: names and addresses that it is for.
            days: from now until it ends; it ended before now where this is negative.
            password: of its key.

        Returns:
            A PEM file with its key and itself.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(_subject(name), self._subject, key.public_key(), days)
        made = made.add_extension(
            x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
        )
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = made.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        hidden = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        file = self._folder / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)
            + _pem(made.sign(self._key, hashes.SHA256()))
        )
        return file


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * DAY)
        .not_valid_after(now + days * DAY)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
