"""Keys: make, import, load and publish the two kinds of DKIM key.

RSA has 2048 bits when made here and 2048 to 4096 when imported: shorter ones are ignored by large
receivers (RFC 8301 3.2), longer ones do not fit into DNS answers well. Ed25519 is RFC 8463's.

`import_pem()` reads what a person pastes, checks it whole and says in words what is wrong.
`load_own()` reads what the box stored itself and has just authenticated by decrypting it: the
arithmetic check of an RSA key is skipped there, which takes microseconds instead of 25 ms. Private keys are
returned, never logged or put into an error text.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from appliance.core.errors import UsageError

RSA: Final = "rsa-sha256"
ED25519: Final = "ed25519-sha256"
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 4096

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


def make_rsa() -> RSAPrivateKey:
    """A new RSA-2048 key. Takes 50 to 500 ms: not in an event loop."""
    return rsa.generate_private_key(public_exponent=65537, key_size=MIN_RSA_BITS)


def make_ed25519() -> Ed25519PrivateKey:
    """A new Ed25519 key."""
    return Ed25519PrivateKey.generate()


def import_pem(pem: bytes) -> PrivateKey:
    """A key that a person brings along, checked. Raises UsageError saying what to bring instead."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:  # what cryptography raises for a key with a passphrase
        raise UsageError(
            "the key has a passphrase; remove it first (openssl pkey -in key.pem)"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(
            "this is not a private key in PEM form; it begins with -----BEGIN PRIVATE KEY----- "
            "or -----BEGIN RSA PRIVATE KEY-----"
        ) from error
    return _usable(key)


def _usable(key: object) -> PrivateKey:
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise UsageError("DKIM keys are RSA or Ed25519; this is another kind of key")
    if key.key_size < MIN_RSA_BITS:
        raise UsageError(
            f"the RSA key has {key.key_size} bits; receivers want at least {MIN_RSA_BITS}: make a new key with a new selector"
        )
    if key.key_size > MAX_RSA_BITS:
        raise UsageError(
            f"the RSA key has {key.key_size} bits; receivers need not verify more than {MAX_RSA_BITS} (RFC 8301): use 2048"
        )
    return key


def to_der(key: PrivateKey) -> bytes:
    """The private key as the box stores it, before encryption (PKCS #8)."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def to_pem(key: PrivateKey) -> bytes:
    """The private key as people carry it to another system (PKCS #8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_own(der: bytes) -> PrivateKey:
    """A key written by `to_der()` and authenticated since. Raises ValueError when it is none."""
    return _usable(load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True))


def algorithm_of(key: PrivateKey) -> str:
    """The a= of signatures made with the key."""
    return RSA if isinstance(key, RSAPrivateKey) else ED25519


def public_key_text(key: PrivateKey) -> str:
    """The p= of the key's DNS record: base64 of SubjectPublicKeyInfo, or of the bare 32 octets."""
    public = key.public_key()
    if isinstance(key, RSAPrivateKey):
        raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)  # RFC 8463 section 4
    return base64.b64encode(raw).decode("ascii")
