from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.bounce.typed_address import address_of, decode_xtext, from_xtext, typed


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; user@example.com", "user@example.com"),
        ("RFC822;<User@Example.com>", "User@Example.com"),
        ("<user@example.com>", "user@example.com"),
        ("user@example.com", "user@example.com"),
        ("rfc822; User Name <user@example.com>", "user@example.com"),
        ('rfc822; "john doe"@example.com', '"john doe"@example.com'),
        ("utf-8; 用户@example.com", "用户@example.com"),
        (r"UTF-8; \x{7528}\x{6237}@example.com", "用户@example.com"),
        (r"utf-8; \x{110000}\x{D800}@example.com", "\ufffd\ufffd@example.com"),
        ("rfc822; user+2Btag@example.com", "user+tag@example.com"),
        ("rfc822; user+tag@example.com", "user+tag@example.com"),
        ("rfc822; a+2Bb+tag@example.com", "a+2Bb+tag@example.com"),
        ("unknown; nair_s", "nair_s"),
        ("rfc822; |/usr/bin/filter user@example.com", ""),
        ("rfc822; /var/mail/user", ""),
        ("rfc822; somebody or other", ""),
        ("", ""),
    ],
)
def test_addresses_are_found_in_every_form_met(value: str, address: str) -> None:
    assert address_of(value) == address


@given(st.text(max_size=300))
def test_reading_never_raises(value: str) -> None:
    address_of(value)


def test_addresses_are_written_with_their_type() -> None:
    assert typed("user@example.com", utf8=False) == "rfc822; user@example.com"
    assert typed("用户@例.example", utf8=True) == "utf-8; 用户@例.example"
    assert typed("用@example.com", utf8=False) == r"utf-8; \x{7528}@example.com"


@given(
    st.text(
        st.characters(min_codepoint=0x80, exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_what_is_written_is_read_back(local: str, utf8: bool) -> None:
    address = local.replace("'", "") + "@example.com"
    assert address_of(typed(address, utf8=utf8)) == address


def test_parameters_are_xtext_by_definition() -> None:
    assert decode_xtext("QQ314159+2B+3D") == "QQ314159+="
    assert from_xtext("QQ+41") == "QQ+41"
