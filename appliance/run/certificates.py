"""Certificates: which files the TLS listeners use, and the self-signed ones made at init.

    HOME/tls/certificate.pem    HOME/tls/private_key.pem (0600)

`ensure` never overwrites a pair that stands. The key is on disk before the certificate that belongs to
it: what a crash leaves half made is made anew. Own files (`tls.certificate`, `tls.private_key`) come
first and are only read. Fails with ConfigError in words.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.core import clock
from appliance.core.errors import ConfigError
from mta.submission.listener import tls_context

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from appliance.core.home import Home
    from appliance.core.settings import Settings

VALID_DAYS: Final = 3650
"""Nobody renews a self-signed certificate; clients that trust it have pinned this very one."""

_CLOCK_SKEW: Final = timedelta(hours=1)


def tls_files(home: Home, settings: Settings) -> tuple[Path, Path]:
    """Certificate chain and private key, as configured or else the box's own."""
    tls = settings.tls
    if tls.certificate:
        certificate = home.path / tls.certificate  # an absolute path stays what it is
        return certificate, home.path / (tls.private_key or tls.certificate)
    return home.tls_dir / "certificate.pem", home.tls_dir / "private_key.pem"


def ensure(home: Home, settings: Settings) -> tuple[Path, Path]:
    """The files, made now when they are the box's own and missing."""
    certificate, private_key = tls_files(home, settings)
    if not settings.tls.certificate and not (certificate.exists() and private_key.exists()):
        chain, key = make_self_signed(settings.box.hostname, clock.now_ms())
        _write(private_key, key)
        _write(certificate, chain)
    return certificate, private_key


def server_context(
    home: Home, settings: Settings, context: ssl.SSLContext | None = None
) -> ssl.SSLContext:
    """The context of every TLS listener: the one given, or a new one, with the certificate as it is now.

    Raises ConfigError naming the file and what to do.
    """
    certificate, private_key = tls_files(home, settings)
    context = context or tls_context()
    try:
        context.load_cert_chain(certificate, private_key)
    except OSError as error:  # ssl.SSLError is one
        advice = (
            "check tls.certificate and tls.private_key"
            if settings.tls.certificate
            else "run `pillarbox init` to make one"
        )
        raise ConfigError(
            f"the certificate {certificate} with the key {private_key} cannot be used: "
            f"{error.strerror or error}: {advice}"
        ) from error
    return context


def make_self_signed(hostname: str, now: int) -> tuple[bytes, bytes]:
    """Certificate and private key (P-256), in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    start = clock.aware(now)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _CLOCK_SKEW)
        .not_valid_after(start + timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _write(path: Path, content: bytes) -> None:
    """The whole file or none, for the box's own user only."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:  # noqa: PTH123 - takes over the handle
            file.write(content)
            file.flush()
            os.fsync(handle)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: the certificate cannot be written") from error
