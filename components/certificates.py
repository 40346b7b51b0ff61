"""Certificates: of a stack's own authority, of servers that it vouches for, and of those that sign themselves."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AUTHORITY_DAYS", "ends_within", "get_end", "issue", "make_authority", "make_certificate", "renew_authority"]

AUTHORITY_DAYS: Final = 3650
"""For which an authority is valid, and a certificate that signs itself."""


def make_certificate(name: str) -> tuple[str, str]:
    """Return a certificate of that common name that signs itself, and its private key, as PEM.

    It encrypts, and proves nothing to those who do not know it.
    """
    key = _make_key()
    return _as_pem(_signed(name, key, name, key, AUTHORITY_DAYS)), _key_as_pem(key)


def make_authority(name: str) -> tuple[str, str]:
    """Return the certificate of an authority of that common name, and its private key, as PEM."""
    key = _make_key()
    return _as_pem(_signed(name, key, name, key, AUTHORITY_DAYS, is_authority=True)), _key_as_pem(key)


def renew_authority(certificate: str, key: str) -> str:
    """Return another certificate of an authority, of its name and key: what it has signed stays valid."""
    name, signer = _name_of(certificate), _read_key(key)
    return _as_pem(_signed(name, signer, name, signer, AUTHORITY_DAYS, is_authority=True))


def issue(authority: str, authority_key: str, name: str, addresses: Sequence[str], days: int) -> tuple[str, str]:
    """Return a certificate for a server, by which it also logs in to others, and its private key, as PEM.

    Args:
        authority: certificate of the authority.
        authority_key: its private key.
        name: common name.
        addresses: names and IP addresses by which others reach the server.
        days: for which it is valid.
    """
    key = _make_key()
    signed = _signed(name, key, _name_of(authority), _read_key(authority_key), days, addresses=addresses)
    return _as_pem(signed), _key_as_pem(key)


def get_end(certificate: str) -> datetime:
    """Return when a certificate ends to be valid."""
    end: datetime = _read(certificate).not_valid_after_utc
    return end


def ends_within(certificate: str, days: float) -> bool:
    """Tell whether a certificate ends to be valid within so many days."""
    return get_end(certificate) - datetime.now(UTC) < timedelta(days=days)


def _signed(
    name: str,
    key: Any,
    issuer: str,
    issuer_key: Any,
    days: int,
    *,
    addresses: Sequence[str] = (),
    is_authority: bool = False,
) -> Any:
    from cryptography import x509  # noqa: PLC0415 - slow to import, and few stacks need it
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer[:64])]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
    )
    if is_authority:
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    if addresses:
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        names = [
            x509.DNSName(address) for address in addresses
        ]  # libpq before PostgreSQL 15 looks for IP addresses here
        ips = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses if _is_ip(address)]
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([*names, *ips]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _make_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    return ec.generate_private_key(ec.SECP256R1())


def _read_key(pem: str) -> Any:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    return serialization.load_pem_private_key(pem.encode(), None)


def _read(pem: str) -> Any:
    from cryptography import x509  # noqa: PLC0415

    return x509.load_pem_x509_certificate(pem.encode())


def _name_of(certificate: str) -> str:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    return str(_read(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _as_pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    pem: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return pem.decode()


def _key_as_pem(key: Any) -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    how = serialization.PrivateFormat.PKCS8
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, how, serialization.NoEncryption())
    return pem.decode()
