"""A self-signed certificate made on the spot, for laboratories and tests. Valid for a day."""

from __future__ import annotations

import ssl
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance.core import clock
from appliance.core.tls import verifying_context

if TYPE_CHECKING:
    from collections.abc import Sequence


def self_signed(names: Sequence[str]) -> tuple[bytes, bytes]:
    """Certificate and private key in PEM; the certificate is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = clock.aware(clock.now_ms())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem


def server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """A context for a TLS server; the key touches the disk only for as long as it is loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory(prefix="pillarbox-lab-") as folder:
        path = Path(folder) / "both.pem"  # the folder has mode 0700
        path.write_bytes(certificate + key)
        context.load_cert_chain(path)
    return context


def trusting_context(certificate: bytes) -> ssl.SSLContext:
    """A context for a client that trusts this certificate and no other."""
    return verifying_context(certificate.decode("ascii"))
