"""Certificates: what they say, who vouches for them, and when they are renewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from components.certificates import get_end, issue, make_authority, renew_authority
from components.resources.certificates import CertificateAuthorityProvider, ServerCertificateProvider

ADDRESSES = ("citus_worker_1", "10.0.0.2", "localhost", "::1")


def test_a_server_has_its_names_as_names_and_its_addresses_as_both() -> None:
    """Libpq before PostgreSQL 15 looks for an IP address among the names. It proves a server, and a client of other nodes."""
    made, key = issue(*make_authority("test"), "citus_worker_1", ADDRESSES, 730)
    parsed = x509.load_pem_x509_certificate(made.encode())
    names: Any = parsed.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == ADDRESSES
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.2", "::1"]
    usage: Any = parsed.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert "BEGIN PRIVATE KEY" in key


def test_another_certificate_of_an_authority_vouches_for_what_the_first_has_signed() -> None:
    """It has the same name and the same key; an authority of the same name with another key vouches for nothing."""
    authority, key = make_authority("test")
    made, _ = issue(authority, key, "citus_worker_1", ["node.example.com"], 730)
    verify_chain(made, authority)
    verify_chain(made, renew_authority(authority, key))
    with pytest.raises(InvalidSignature):
        verify_chain(made, make_authority("test")[0])


def verify_chain(certificate: str, authority: str) -> None:
    """Verify that an authority has signed a certificate."""
    x509.load_pem_x509_certificate(certificate.encode()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority.encode())
    )


def state(days: int, given: int) -> dict[str, Any]:
    """Return the state of a certificate that is valid for so many days from now, and was to be for `given`."""
    made, key = issue(*make_authority("test"), "n", ["n"], days)
    return {
        "server": "n",
        "addresses": ["n"],
        "days": float(given),
        "authority": "a",
        "certificate": made,
        "keypair": made + key,
    }


@pytest.mark.parametrize(
    ("left", "days", "renewed"),
    [(31, 730, False), (29, 730, True), (11, 30, False), (9, 30, True), (1, 1, False)],
)
def test_a_certificate_is_renewed_in_time_and_the_preview_says_so(
    left: int, days: int, *, renewed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A month before its end, or in the last third of a shorter life."""
    before = state(left, days)
    assert ServerCertificateProvider().diff("n", before, before).changes is renewed
    end = datetime.now(UTC) + timedelta(days=left)
    assert (f"the certificate of n ends on {end:%Y-%m-%d}: an update renews it" in capsys.readouterr().out) is renewed


def test_an_update_has_another_certificate_made() -> None:
    """For the same names, valid for as long as is declared."""
    authority, key = make_authority("test")
    provider = ServerCertificateProvider()
    inputs = {"server": "n", "addresses": ["n"], "days": 730.0, "authority": authority, "authority_key": key}
    first = provider.ensure(provider.read_inputs(inputs), {})
    again = provider.ensure(provider.read_inputs(inputs), {**inputs, **first})
    assert first["certificate"] != again["certificate"]
    assert get_end(again["certificate"]) > datetime.now(UTC) + timedelta(days=729)
    assert again["keypair"].startswith(again["certificate"])


def test_an_authority_is_made_once_and_keeps_its_key() -> None:
    """Another certificate of it, in the last year of ten, vouches for the same servers."""
    provider = CertificateAuthorityProvider()
    inputs = provider.read_inputs({"name": "test"})
    made = provider.ensure(inputs, {})
    assert not provider.diff("authority", {"name": "test", **made}, {"name": "test"}).changes
    assert provider.ensure(inputs, {"name": "test", **made}) == made
    old = {
        "name": "test",
        "key": made["key"],
        "certificate": issue(made["certificate"], made["key"], "test", ["n"], 300)[0],
    }
    assert provider.diff("authority", old, {"name": "test"}).changes
    renewed = provider.ensure(inputs, old)
    assert renewed["key"] == made["key"]
    assert get_end(renewed["certificate"]) > datetime.now(UTC) + timedelta(days=3600)


def test_a_certificate_is_not_yet_refused_by_a_clock_that_is_behind() -> None:
    """It is valid from the day before."""
    made, _ = issue(*make_authority("test"), "n", ["n.example.com"], 1)
    assert x509.load_pem_x509_certificate(made.encode()).not_valid_before_utc < datetime.now(UTC) - timedelta(hours=23)
