from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.core import clock, ids
from mta.bounce.return_path import (
    LENGTH,
    LIFETIME_MS,
    MAX_RECIPIENT,
    ExpiredReturnPath,
    ForgedReturnPath,
    ReturnPath,
    ReturnPathKeys,
    TokenKind,
    decode,
    encode,
    looks_like_token,
)

OLD, NEW = b"o" * 32, b"n" * 32
KEYS = ReturnPathKeys({3: OLD, 4: NEW}, 4)
NOW = 1_800_000_000_000
ID = ids.IdMaker(7).make(NOW)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"

message_ids = st.integers(0, (1 << 63) - 1)
recipients = st.none() | st.integers(0, MAX_RECIPIENT)
kinds = st.sampled_from(TokenKind)


@given(message_ids, recipients, kinds)
def test_what_was_encoded_is_decoded(message_id: int, n: int | None, kind: TokenKind) -> None:
    token = encode(KEYS, message_id, n, kind)
    now = ids.time_of(message_id)
    assert decode(KEYS, token, now) == ReturnPath(kind=kind, message_id=message_id, n=n)


@given(message_ids, recipients)
def test_a_token_is_a_short_local_part_that_any_server_takes(
    message_id: int, n: int | None
) -> None:
    token = encode(KEYS, message_id, n)
    assert re.fullmatch(r"[a-z0-9-]{1,64}", token)
    assert len(token) == LENGTH


@given(message_ids, recipients, st.randoms(use_true_random=False))
def test_letter_case_does_not_matter(message_id: int, n: int | None, random: Random) -> None:
    token = encode(KEYS, message_id, n)
    mixed = "".join(random.choice((c.lower(), c.upper())) for c in token)
    assert decode(KEYS, mixed, ids.time_of(message_id)).message_id == message_id


@given(message_ids, recipients, st.integers(0, LENGTH - 1), st.sampled_from(ALPHABET))
def test_a_token_with_one_character_changed_is_forged(
    message_id: int, n: int | None, place: int, char: str
) -> None:
    token = encode(KEYS, message_id, n)
    assume(token[place] != char)
    with pytest.raises(ForgedReturnPath):
        decode(KEYS, token[:place] + char + token[place + 1 :], ids.time_of(message_id))


@given(st.text(max_size=80))
def test_anything_else_is_forged_and_never_another_error(text: str) -> None:
    with pytest.raises(ForgedReturnPath):
        decode(KEYS, text, NOW)


@given(st.text(st.sampled_from(ALPHABET + "0189-é"), min_size=LENGTH - 1, max_size=LENGTH - 1))
def test_guesses_of_the_right_shape_are_forged(text: str) -> None:
    with pytest.raises(ForgedReturnPath):
        decode(KEYS, "b" + text, NOW)


def test_a_token_is_the_same_at_every_attempt() -> None:
    assert encode(KEYS, ID, 3) == encode(KEYS, ID, 3)


def test_the_kind_is_signed_too() -> None:
    token = encode(KEYS, ID, 3, TokenKind.UNSUBSCRIBE)
    assert token.startswith("u")
    with pytest.raises(ForgedReturnPath):
        decode(KEYS, "b" + token[1:], NOW)


def test_a_token_under_an_old_key_is_accepted_while_that_key_is_kept() -> None:
    token = encode(ReturnPathKeys({3: OLD}, 3), ID, 0)
    assert decode(KEYS, token, NOW).message_id == ID
    with pytest.raises(ForgedReturnPath):
        decode(ReturnPathKeys({4: NEW}, 4), token, NOW)


def test_a_key_version_filled_with_another_key_does_not_verify() -> None:
    token = encode(KEYS, ID, 0)
    with pytest.raises(ForgedReturnPath):
        decode(ReturnPathKeys({4: OLD}, 4), token, NOW)


def test_a_token_lives_thirty_days_and_not_longer() -> None:
    token = encode(KEYS, ID, None)
    assert decode(KEYS, token, NOW + LIFETIME_MS).n is None
    with pytest.raises(ExpiredReturnPath):
        decode(KEYS, token, NOW + LIFETIME_MS + 1)
    assert LIFETIME_MS == 30 * clock.DAY


def test_a_forged_old_token_is_forged_not_expired() -> None:
    token = encode(KEYS, 1 << 30, None)
    with pytest.raises(ForgedReturnPath):
        decode(KEYS, token[:-1] + ("a" if token[-1] != "a" else "b"), NOW)


@pytest.mark.parametrize("n", [-1, MAX_RECIPIENT + 1])
def test_a_recipient_that_does_not_fit_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match="is not between"):
        encode(KEYS, ID, n)


def test_a_message_may_have_as_many_recipients_as_the_settings_allow() -> None:
    assert MAX_RECIPIENT >= 100_000


@pytest.mark.parametrize(
    ("keys", "current", "words"),
    [
        ({0: OLD}, 1, "current version"),
        ({32: OLD}, 32, "versions go from"),
        ({0: b"short"}, 0, "16 octets"),
    ],
)
def test_unfit_keys_are_refused_in_words(keys: dict[int, bytes], current: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ReturnPathKeys(keys, current)


def test_only_our_shape_looks_like_a_token() -> None:
    token = encode(KEYS, ID, 1)
    assert looks_like_token(token)
    assert looks_like_token(token.upper())
    for other in (
        "postmaster",
        "bounce",
        token + "a",
        "x" + token[1:],
        "b" + "é" * (LENGTH - 1),
        "",
    ):
        assert not looks_like_token(other)
