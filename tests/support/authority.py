"""A certificate authority for tests: it signs whatever it is asked to, good and bad."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.core import clock
from appliance.core.tls import verifying_context
from appliance.lab.certificate import server_context
from mta.transport.dane import Tlsa

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Signed:
    """A certificate with its key, and the certificates between it and its root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> list[bytes]:
        """As a server sends it."""
        return [c.public_bytes(DER) for c in (self.certificate, *self.above)]

    def context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        pem = b"".join(c.public_bytes(PEM) for c in (self.certificate, *self.above))
        key = self.key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return server_context(pem, key)

    def tlsa(self, usage: int, selector: int = 1, matching: int = 1) -> Tlsa:
        """The record that names this certificate."""
        octets = self.certificate.public_bytes(DER)
        if selector == 1:
            octets = self.key.public_key().public_bytes(
                DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        digest = {0: bytes, 1: lambda o: hashlib.sha256(o).digest()}.get(
            matching, lambda o: hashlib.sha512(o).digest()
        )
        return Tlsa(usage, selector, matching, digest(octets))

    def issue(
        self,
        *names: str,
        is_authority: bool = False,
        days: tuple[int, int] = (-2, 30),
        sends_root: bool = False,
    ) -> Signed:
        """A certificate below this one; `days` from now that it holds."""
        is_root = self.certificate.issuer == self.certificate.subject
        above = () if is_root and not sends_root else (self.certificate, *self.above)
        return _signed(names, self, is_authority=is_authority, days=days, above=above)


def root(name: str = "a root of tests") -> Signed:
    """A new authority that nobody knows."""
    return _signed((name,), None, is_authority=True, days=(-2, 30))


@lru_cache(maxsize=1)
def known_root() -> Signed:
    """The one that `trusting()` trusts."""
    return root("the known root")


def trusting() -> ssl.SSLContext:
    """For a client whose machine trusts the known root and no other."""
    pem = known_root().certificate.public_bytes(PEM).decode("ascii")
    return verifying_context(pem)


def _signed(
    names: tuple[str, ...],
    by: Signed | None,
    *,
    is_authority: bool,
    days: tuple[int, int],
    above: tuple[x509.Certificate, ...] = (),
) -> Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = clock.aware(clock.now_ms())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        sans = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(sans, critical=False)
    signed = builder.sign(by.key if by else key, hashes.SHA256())
    return Signed(signed, key, above)
