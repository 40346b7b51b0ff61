"""Certificates of servers that sign themselves: they encrypt, and prove nothing to those who do not know them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["make_certificate"]

_DAYS: Final = 3650


def make_certificate(name: str) -> tuple[str, str]:
    """Return a certificate of that common name for ten years, and its private key, as PEM."""
    from cryptography import x509  # noqa: PLC0415 - slow to import, and few stacks need it
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .sign(key, hashes.SHA256())
    )
    encoding, how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return (
        certificate.public_bytes(encoding).decode(),
        key.private_bytes(encoding, how, serialization.NoEncryption()).decode(),
    )
