"""The framing of contents, by property."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.transport.content import Framer, Unsafe
from tests.support.delivery import envelope

BYTES = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"a", b"\0", b"\xff"]), max_size=12
).map(b"".join)
SAFE = st.lists(st.sampled_from([b"\r\n", b".", b"a", b"\xff"]), max_size=12).map(b"".join)


def framed(*pieces: bytes) -> bytes:
    return b"".join(Framer().frame(envelope(content=pieces)))


@given(BYTES)
def test_content_is_refused_exactly_when_a_line_end_is_bare_or_a_nul_is_in_it(data: bytes) -> None:
    is_unsafe = re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data) is not None
    try:
        framed(data)
    except Unsafe:
        assert is_unsafe
    else:
        assert not is_unsafe


@given(st.lists(SAFE, max_size=4))
def test_what_is_framed_can_be_unframed(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    wire = framed(*pieces)
    lines = wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    plain = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])
    assert plain in (content, content + b"\r\n")


@given(st.lists(SAFE, min_size=2, max_size=4))
def test_large_contents_are_framed_like_small_ones(pieces: list[bytes]) -> None:
    filler = b"x" * 200_000 + b"\r\n"
    assert framed(filler, *pieces) == filler + framed(*pieces)


def test_a_verdict_is_remembered_for_the_message_it_was_made_of() -> None:
    framer = Framer()
    clean, dots = b"a\r\n" * 10_000, b".\r\n" * 10_000
    for _ in range(2):
        assert framer.frame(envelope(content=(clean,), message_id=1))[0].startswith(b"a\r\n")
        assert framer.frame(envelope(content=(dots,), message_id=2))[0].startswith(b"..\r\n")


def test_a_large_message_is_not_copied() -> None:
    content = b"x\r\n" * 100_000
    assert Framer().frame(envelope(content=(content,)))[0] is content


@pytest.mark.parametrize("bad", [b"a\nb", b"a\rb", b"a\0b"])
def test_a_large_unsafe_message_is_refused_each_time(bad: bytes) -> None:
    framer = Framer()
    letter = envelope(content=(b"x\r\n" * 100_000, bad), message_id=7)
    for _ in range(2):
        with pytest.raises(Unsafe):
            framer.frame(letter)
