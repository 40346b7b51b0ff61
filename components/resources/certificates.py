"""CertificateAuthority and ServerCertificate: who vouches for a stack's servers, and what they prove themselves by.

Dynamic resources. Keys are secrets of the state. Both are renewed by an update in time; a preview says so a month before the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pulumi
from pulumi.dynamic import DiffResult, Resource

from components import certificates
from components.resources.provider import DeclarativeProvider, tell
from components.resources.wire import Given, known, write

if TYPE_CHECKING:
    from components.resources.wire import Props

__all__ = ["CertificateAuthority", "CertificateAuthorityInputs", "ServerCertificate", "ServerCertificateInputs"]

_DAYS: Final = 30
"""How long before its end a certificate is renewed; of a shorter one, a third of its life."""
_CLIENTS_DAYS: Final = 365
"""How long before its end an authority is renewed: clients are to be given the new certificate until then."""


@dataclass(frozen=True, kw_only=True)
class CertificateAuthorityInputs:
    """Inputs of CertificateAuthority."""

    name: str
    """Common name."""


class CertificateAuthorityProvider(DeclarativeProvider[CertificateAuthorityInputs]):
    """Makes an authority once, and renews its certificate with the same key."""

    inputs = CertificateAuthorityInputs
    outputs = ("certificate", "key")

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Return whether it is to be renewed, and say so."""
        if _is_old(_olds):
            end = certificates.get_end(_olds["certificate"])
            what = "renewed with the same key: give clients the new caCertificate"
            tell([f"{_news['name']}: its certificate ends on {end:%Y-%m-%d}, and is {what}"])
        return DiffResult(changes=_is_old(_olds) or self.is_renamed(_olds, _news))

    def identify(self, inputs: CertificateAuthorityInputs, outputs: Props) -> str:
        """Return the only id there is."""
        return "authority"

    def ensure(self, inputs: CertificateAuthorityInputs, before: Props) -> Props:
        """Make an authority, or renew it."""
        if not before:
            certificate, key = certificates.make_authority(inputs.name)
            return {"certificate": certificate, "key": key}
        key, certificate = before["key"], before["certificate"]
        return {
            "certificate": certificates.renew_authority(certificate, key) if _is_old(before) else certificate,
            "key": key,
        }

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing."""


def _is_old(before: Props) -> bool:
    return bool(before) and certificates.ends_within(before["certificate"], _CLIENTS_DAYS)


class CertificateAuthority(Resource, module="citus", name="CertificateAuthority"):
    """A stack's own certificate authority. Declared where nodes verify each other."""

    certificate: pulumi.Output[str]
    key: pulumi.Output[str]

    def __init__(
        self, name: str, inputs: CertificateAuthorityInputs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["key"])
        props = {**write(inputs), **dict.fromkeys(CertificateAuthorityProvider.outputs)}
        super().__init__(CertificateAuthorityProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


@dataclass(frozen=True, kw_only=True)
class ServerCertificateInputs:
    """Inputs of ServerCertificate."""

    server: str
    """Common name."""
    addresses: tuple[str, ...]
    """Names and IP addresses by which others reach it."""
    days: int
    """For which it is valid."""
    authority: Given[str]
    authority_key: Given[str]


class ServerCertificateProvider(DeclarativeProvider[ServerCertificateInputs]):
    """Has a certificate made, and another one in time."""

    inputs = ServerCertificateInputs
    compared = ("addresses", "days", "authority")
    outputs = ("certificate", "keypair")

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Compare; a certificate that ends soon is a change, which is said."""
        if _is_ending(_olds):
            end = certificates.get_end(_olds["certificate"])
            what = f"the certificate of {_news['server']} ends on {end:%Y-%m-%d}"
            tell([f"{what}: an update renews it, and restarts no node"])
        compared = super().diff(_id, _olds, _news)
        return DiffResult(changes=bool(compared.changes) or _is_ending(_olds))

    def identify(self, inputs: ServerCertificateInputs, outputs: Props) -> str:
        """Return the server's name."""
        return inputs.server

    def ensure(self, inputs: ServerCertificateInputs, before: Props) -> Props:
        """Have one made."""
        authority, key = known(inputs.authority), known(inputs.authority_key)
        made, own_key = certificates.issue(authority, key, inputs.server, inputs.addresses, inputs.days)
        return {"certificate": made, "keypair": made + own_key}

    def delete(self, _id: str, _props: Props) -> None:
        """Do nothing."""


def _is_ending(before: Props) -> bool:
    return bool(before) and certificates.ends_within(before["certificate"], min(_DAYS, int(before["days"]) / 3))


class ServerCertificate(Resource, module="citus", name="ServerCertificate"):
    """The certificate of a node, or of a pooler."""

    certificate: pulumi.Output[str]
    keypair: pulumi.Output[str]
    """The certificate, then its private key. A secret."""

    def __init__(self, name: str, inputs: ServerCertificateInputs, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["keypair", "authority_key"])
        props = {**write(inputs), **dict.fromkeys(ServerCertificateProvider.outputs)}
        super().__init__(ServerCertificateProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))
