"""Rules of people: what may be an address, a name, a password, a role; who waits how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.people.rules import (
    checked_email,
    checked_name,
    checked_password,
    checked_role,
    normal_password,
    shortened,
    wait_after,
)
from appliance.people.second_factor import new_recovery_code, new_secret, step_of, uri_of
from appliance.people.tokens import hash_of, new_token
from appliance.rights import Role


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("ada@acme.example", "ada@acme.example"),
        ("  Ada.Lovelace+x@ACME.Example ", "ada.lovelace+x@acme.example"),
        ("o'neil@xn--bcher-kva.example", "o'neil@xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_form(given, stored):
    assert checked_email(given) == stored


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "ada@",
        "@acme.example",
        "ada@acme",
        "ada@-acme.example",
        "ada@acme.example.",
        "ada@acme..example",
        "a b@acme.example",
        "ada@acme.example, eve@evil.example",
        "ada@acme.example\r\nBcc: eve@evil.example",
        "<ada@acme.example>",
        "ada@[192.0.2.1]",
        "adä@acme.example",
        "ada@аcme.example",  # noqa: RUF001 - a Cyrillic letter, on purpose
        "x" * 65 + "@acme.example",
        "ada@" + "x" * 64 + ".example",
        "ada@" + "x." * 130 + "example",
    ],
)
def test_what_is_no_address_is_refused_by_its_field(email):
    with pytest.raises(UsageError) as error:
        checked_email(email)
    assert error.value.field == "email"


@given(st.text(max_size=300))
def test_an_address_that_is_taken_holds_nothing_that_breaks_a_header(text):
    try:
        stored = checked_email(text)
    except UsageError:
        return
    assert stored.isascii()
    assert stored.isprintable()
    assert not set(stored) & set(' ,;<>"()[]\\')


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b", "a\u202eb", "a\u200bb"])
def test_a_name_is_one_visible_line(name):
    with pytest.raises(UsageError) as error:
        checked_name(name)
    assert error.value.field == "name"


def test_a_name_is_squeezed():
    assert checked_name(" Ada \r\n Lovelace ") == "Ada Lovelace"


@pytest.mark.parametrize(
    "password",
    ["", "elevensigns", "x" * 1025, "aaaaaaaaaaaaaa", "abababababab", "ada@acme.example"],
)
def test_a_password_that_is_guessed_first_is_refused(password):
    with pytest.raises(UsageError) as error:
        checked_password(password, "ada@acme.example")
    assert error.value.field == "password"


def test_a_password_of_some_words_will_do_and_is_the_same_on_every_keyboard():
    assert checked_password("correct horse", "ada@acme.example") == "correct horse"
    assert normal_password("a\u0308bc") == normal_password("\u00e4bc")


def test_roles_of_the_box_are_not_had_in_a_tenant_nor_the_other_way_round():
    assert checked_role("owner", 7) is Role.OWNER
    assert checked_role("admin", 0) is Role.ADMIN
    for role, tenant_id in (("admin", 7), ("owner", 0), ("king", 7), ("", 0)):
        with pytest.raises(UsageError) as error:
            checked_role(role, tenant_id)
        assert error.value.field == "role"


def test_who_guesses_waits_longer_each_time_and_never_for_ever():
    waits = [wait_after(tries, 5) for tries in range(20)]
    assert waits[:5] == [0] * 5
    assert waits[5:9] == [1000, 2000, 4000, 8000]
    assert max(waits) == wait_after(10**9, 5) == 15 * clock.MINUTE
    assert waits == sorted(waits)


def test_a_browsers_name_is_shortened_and_printable():
    assert shortened("Mozilla\x1b[31m" + "x" * 500) == "Mozilla[31m" + "x" * 108


def test_codes_are_those_of_the_rfc_and_of_neighbouring_steps_only():
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # RFC 6238 appendix B
    assert step_of(secret, "287082", 59_000) == 1
    assert step_of(secret, " 287 082 ", 59_000) == 1
    assert step_of(secret, "287082", 89_000) == 1
    assert step_of(secret, "287082", 119_000) is None
    for code in ("", "287083", "٢٨٧٠٨٢", "287082" * 20):
        assert step_of(secret, code, 59_000) is None


def test_secrets_and_codes_are_long_enough_and_never_the_same():
    assert len(new_secret()) == 32
    codes = {new_recovery_code() for _ in range(50)}
    assert len(codes) == 50
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    secret = new_secret()
    assert f"secret={secret}" in uri_of(secret, "ada@acme.example", "box.test")


def test_tokens_have_256_bits_and_are_stored_as_their_hash():
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert all(len(token) == 43 for token in tokens)
    assert len(hash_of("x" * 10**6)) == 32
    assert len(hash_of("\udcff")) == 32
