from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from appliance.core.errors import UsageError
from mta.signing.keys import (
    ED25519,
    RSA,
    algorithm_of,
    import_pem,
    load_own,
    make_ed25519,
    make_rsa,
    public_key_text,
    to_der,
    to_pem,
)
from tests.support.dkim_zone import DATA


def _pem(key: object) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_of_ours_has_2048_bits_and_signs_after_a_round_trip():
    key = make_rsa()
    assert key.key_size == 2048
    assert algorithm_of(key) == RSA
    loaded = load_own(to_der(key))
    signature = loaded.sign(b"x", PKCS1v15(), SHA256())
    public = load_der_public_key(base64.b64decode(public_key_text(key)))
    public.verify(signature, b"x", PKCS1v15(), SHA256())


def test_an_ed25519_key_survives_a_round_trip():
    key = make_ed25519()
    assert algorithm_of(key) == ED25519
    assert public_key_text(load_own(to_der(key))) == public_key_text(key)
    assert public_key_text(import_pem(to_pem(key))) == public_key_text(key)


def test_the_public_ed25519_key_is_its_bare_32_octets():
    assert len(base64.b64decode(public_key_text(make_ed25519()))) == 32


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("2048_testkey.key", "2048_testkey_wo_markers.pub.txt"),
        ("2048_testkey_PKCS8.key", "2048_testkey_PKCS8.key.pub.txt"),
    ],
)
def test_keys_of_others_are_imported_in_both_pem_forms(name: str, public: str):
    key = import_pem((DATA / name).read_bytes())
    assert algorithm_of(key) == RSA
    published = (DATA / public).read_text()
    assert public_key_text(key) in "".join(published.split())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            (DATA / "1024_testkey.key").read_bytes,
            "has 1024 bits; receivers want at least 2048",
        ),
        (
            lambda: _pem(ec.generate_private_key(ec.SECP256R1())),
            "RSA or Ed25519; this is another kind",
        ),
        (lambda: b"hello", "not a private key in PEM form"),
        (
            lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "not a private key in PEM form",
        ),
        (
            lambda: make_ed25519().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")
            ),
            "has a passphrase",
        ),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_in_words(make: object, words: str):
    with pytest.raises(UsageError, match=words):
        import_pem(make())


def test_a_key_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "mta.signing.keys.MAX_RSA_BITS", 2047
    )  # making one of 8192 bits takes minutes
    with pytest.raises(UsageError, match="need not verify more than 2047"):
        import_pem((DATA / "2048_testkey.key").read_bytes())


def test_a_damaged_key_is_refused_at_import():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = key.private_numbers()
    wrong = rsa.RSAPrivateNumbers(
        p=numbers.p,
        q=numbers.q,
        d=numbers.d + 2,
        dmp1=numbers.dmp1,
        dmq1=numbers.dmq1,
        iqmp=numbers.iqmp,
        public_numbers=numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(UsageError):
        import_pem(_pem(wrong))
