"""Secrets: bound to their place, readable with old keys, refused in words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import SecretError
from appliance.core.secrets import MasterKeys, generate_password

ONE, TWO = bytes(range(32)), bytes(range(32, 64))
PLACE = "domains:private_key:7"


@pytest.fixture
def keys() -> MasterKeys:
    return MasterKeys({1: ONE})


@given(st.binary(max_size=200), st.text(max_size=50))
def test_what_is_encrypted_for_a_place_is_read_there(plaintext: bytes, place: str) -> None:
    keys = MasterKeys({1: ONE})
    assert keys.decrypt(keys.encrypt(plaintext, bound_to=place), bound_to=place) == plaintext


def test_the_text_names_key_iv_tag_and_ciphertext(keys: MasterKeys) -> None:
    version, iv, tag, ciphertext = keys.encrypt(b"secret", bound_to=PLACE).split(":")
    assert version == "v1"
    assert [len(base64.b64decode(part)) for part in (iv, tag, ciphertext)] == [12, 16, 6]


def test_the_same_secret_never_looks_the_same_twice(keys: MasterKeys) -> None:
    assert len({keys.encrypt(b"same", bound_to=PLACE) for _ in range(50)}) == 50


def test_a_secret_copied_to_another_row_does_not_decrypt(keys: MasterKeys) -> None:
    text = keys.encrypt(b"secret", bound_to=PLACE)
    with pytest.raises(
        SecretError, match=r"domains:private_key:8 does not decrypt: it was changed"
    ):
        keys.decrypt(text, bound_to="domains:private_key:8")


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_changed_secret_does_not_decrypt(keys: MasterKeys, part: int) -> None:
    parts = keys.encrypt(b"secret", bound_to=PLACE).split(":")
    octets = bytearray(base64.b64decode(parts[part]))
    octets[0] ^= 1
    parts[part] = base64.b64encode(octets).decode()
    with pytest.raises(SecretError, match="does not decrypt"):
        keys.decrypt(":".join(parts), bound_to=PLACE)


@pytest.mark.parametrize(
    "text", ["", "plain", "v1:a:b", "v1:::", "v1:AAAA:AAAA:AAAA", "v1:A:A:A", "v1:!:!:!", "w1:AA==:AA==:AA=="]
)  # fmt: skip
def test_what_is_no_secret_is_refused_in_words(keys: MasterKeys, text: str) -> None:
    with pytest.raises(SecretError, match="secret of domains:private_key:7"):
        keys.decrypt(text, bound_to=PLACE)


def test_a_key_that_is_gone_is_named(keys: MasterKeys) -> None:
    text = MasterKeys({1: ONE, 2: TWO}).encrypt(b"secret", bound_to=PLACE)
    with pytest.raises(SecretError, match="master key v2, which is not in"):
        keys.decrypt(text, bound_to=PLACE)


def test_after_a_rotation_old_secrets_are_read_and_asked_to_be_written_anew() -> None:
    old = MasterKeys({1: ONE}).encrypt(b"secret", bound_to=PLACE)
    both = MasterKeys({1: ONE, 2: TWO})
    assert both.decrypt(old, bound_to=PLACE) == b"secret"
    assert both.needs_rotation(old)
    assert not both.needs_rotation(both.encrypt(b"secret", bound_to=PLACE))
    assert both.newest == 2
    assert both.versions == (1, 2)


def test_v1_is_not_taken_for_v10() -> None:
    keys = MasterKeys({1: ONE, 10: TWO})
    assert keys.needs_rotation(MasterKeys({1: ONE}).encrypt(b"x", bound_to=PLACE))


def test_derived_keys_are_hkdf_and_differ_by_purpose_and_version() -> None:
    keys = MasterKeys({1: ONE, 2: TWO})
    extracted = hmac.digest(bytes(32), ONE, "sha256")  # RFC 5869 section 2.2, without salt
    assert keys.derive("verp", 1) == hmac.digest(extracted, b"pillarbox verp\x01", "sha256")
    assert keys.derive("verp") == keys.derive("verp", 2)
    distinct = {keys.derive(purpose, n) for purpose in ("verp", "suppression") for n in (1, 2)}
    assert len(distinct) == 4
    assert not distinct & {ONE, TWO}


def test_a_credential_is_matched_by_its_hash(keys: MasterKeys) -> None:
    stored = keys.credential_hash("pbx_right")
    assert stored[0] == 1
    assert stored[1:] == hmac.new(keys.derive("credential"), b"pbx_right", hashlib.sha256).digest()
    assert keys.credential_matches("pbx_right", stored)
    assert not keys.credential_matches("pbx_wrong", stored)
    assert not keys.credential_matches("", stored)
    assert not keys.credential_matches("\ud800", stored), "a broken text is wrong, not a crash"


def test_a_credential_hash_outlives_a_rotation_and_is_replaced_at_login(keys: MasterKeys) -> None:
    stored = keys.credential_hash("pbx_right")
    both = MasterKeys({1: ONE, 2: TWO})
    assert both.credential_matches("pbx_right", stored)
    assert not both.credential_is_current(stored)
    assert both.credential_is_current(both.credential_hash("pbx_right"))


@pytest.mark.parametrize("stored", [b"", b"\x01", bytes(33), b"\x02" + bytes(32)])
def test_a_hash_that_cannot_be_checked_is_the_operators_trouble(
    keys: MasterKeys, stored: bytes
) -> None:
    with pytest.raises(SecretError):
        keys.credential_matches("pbx_right", stored)


def test_a_password_is_long_plain_and_never_the_same() -> None:
    passwords = {generate_password() for _ in range(100)}
    assert len(passwords) == 100
    assert all(re.fullmatch(r"pbx_[2-9A-HJ-NP-Za-km-z]{33}", word) for word in passwords)


@pytest.mark.parametrize("keys", [{}, {1: b"short"}])
def test_master_keys_must_be_whole(keys: dict[int, bytes]) -> None:
    with pytest.raises(SecretError, match="32 octets"):
        MasterKeys(keys)
