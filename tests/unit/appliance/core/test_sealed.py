"""What was sealed opens with its key and its name only, and not when a single octet is another."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import sealed
from appliance.core.errors import SecretError
from appliance.core.sealed import CHUNK, key_of_passphrase, key_of_secret, seal, unseal

KEY = bytes(range(32))
HEAD = 40
TAG = 16


def sealed_file(*pieces: bytes, name: str = "control.db", key: bytes = KEY) -> bytes:
    target = io.BytesIO()
    found = seal(key, name, iter(pieces), target)
    assert found.size == sum(map(len, pieces))
    return target.getvalue()


def opened(content: bytes, name: str = "control.db", key: bytes = KEY) -> bytes:
    return b"".join(unseal(key, name, io.BytesIO(content)))


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_goes_in_comes_out(pieces):
    assert opened(sealed_file(*pieces)) == b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
def test_any_size_goes_through_in_chunks(size):
    content = bytes(itertools.islice(itertools.cycle(range(251)), size))
    file = sealed_file(content)
    pieces = list(unseal(KEY, "control.db", io.BytesIO(file)))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= CHUNK
    assert len(file) == HEAD + size + TAG * len(pieces)


def test_the_same_content_is_never_sealed_alike():
    assert sealed_file(b"hello") != sealed_file(b"hello")


@given(st.data())
def test_a_single_octet_that_was_changed_is_noticed(data):
    file = bytearray(sealed_file(b"hello there"))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SecretError):
        opened(bytes(file))


@pytest.mark.parametrize("cut", [0, 7, HEAD - 1, HEAD, HEAD + CHUNK, HEAD + CHUNK + TAG])
def test_a_file_that_is_cut_off_is_noticed(cut):
    with pytest.raises(SecretError):
        opened(sealed_file(bytes(2 * CHUNK))[:cut])


def test_a_chunk_that_is_left_out_moved_or_added_is_noticed():
    file = sealed_file(bytes(3 * CHUNK))
    step = CHUNK + TAG
    head, chunks = file[:HEAD], [file[HEAD + i * step : HEAD + (i + 1) * step] for i in range(3)]
    for order in ((0, 2), (1, 0, 2), (0, 1, 1, 2), (0, 1), (0, 1, 2, 2)):
        with pytest.raises(SecretError):
            opened(head + b"".join(chunks[i] for i in order))


def test_another_key_or_another_name_does_not_open_it():
    file = sealed_file(b"hello")
    with pytest.raises(SecretError, match="another one"):
        opened(file, key=bytes(32))
    with pytest.raises(SecretError):
        opened(file, name="spool/spool-0.db")


def test_a_key_follows_from_its_secret_and_its_salt():
    salt = bytes(32)
    assert key_of_secret(b"s" * 32, salt) == key_of_secret(b"s" * 32, salt)
    assert key_of_secret(b"s" * 32, salt) != key_of_secret(b"s" * 32, b"\1" * 32)
    assert key_of_passphrase("correct horse battery", salt) != key_of_secret(b"s" * 32, salt)
    assert len(sealed.new_secret().strip()) >= 32


def test_a_secret_that_is_too_short_is_refused():
    with pytest.raises(SecretError, match="12 characters"):
        key_of_passphrase("short", bytes(32))
    with pytest.raises(SecretError, match="32 octets"):
        key_of_secret(b"short", bytes(32))
