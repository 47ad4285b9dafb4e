from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.submission.body import END, FIRST, Body, Progress
from mta.submission.room import Room

SEQUENCES = Path(__file__).parents[3] / "data" / "smtp" / "end-of-data-sequences.json"


def make(limit: int = 10_000, memory: int = 100_000, *, normalise: bool = False) -> Body:
    return Body(limit=limit, room=Room(memory), normalise=normalise)


def receive(body: Body, pieces: list[bytes]) -> tuple[Progress, bytearray]:
    """Feed the pieces until the body ends; what is left of the input."""
    buffer = bytearray(FIRST)
    progress = Progress.MORE
    for at, piece in enumerate(pieces):
        buffer += piece
        progress = body.feed(buffer)
        if progress is not Progress.MORE:
            return progress, buffer + b"".join(pieces[at + 1 :])
    return progress, buffer


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"a\r\n...b\r\n..\r\n.c\r\n.\r\n", b"a\r\n..b\r\n.\r\nc\r\n"),
        (b"a.\r\nb\r\n.\r\n", b"a.\r\nb\r\n"),
        (b"\xff\xfe\r\n.\r\n", b"\xff\xfe\r\n"),
    ],
)
def test_dots_are_unstuffed(wire: bytes, content: bytes) -> None:
    body = make()
    progress, rest = receive(body, [wire])
    assert (progress, body.data, rest) == (Progress.DONE, content, b"")


def test_what_follows_the_end_stays_in_the_buffer() -> None:
    body = make()
    progress, rest = receive(body, [b"a\r\n.\r\nQUIT\r\n\r\n.\r\n"])
    assert (progress, body.data, rest) == (Progress.DONE, b"a\r\n", b"QUIT\r\n\r\n.\r\n")


def test_a_bare_line_feed_behind_the_end_is_not_the_bodys() -> None:
    assert receive(make(), [b"a\r\n.\r\nQUIT\n"])[0] is Progress.DONE


lines = st.lists(
    st.binary(max_size=6).filter(lambda line: not set(line) & set(b"\r\n\0")), max_size=8
)


@given(lines=lines, cuts=st.lists(st.integers(0, 80), max_size=6), rest=st.binary(max_size=8))
def test_every_cut_of_the_input_gives_the_same_message(
    lines: list[bytes], cuts: list[int], rest: bytes
) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines)
    wire = stuffed + b".\r\n" + rest
    at = sorted({min(cut, len(wire)) for cut in cuts})
    pieces = [wire[a:b] for a, b in zip([0, *at], [*at, len(wire)], strict=True)]
    body = make()
    assert receive(body, pieces) == (Progress.DONE, rest)
    assert body.data == content


@given(wire=st.binary(max_size=20), cut=st.integers(0, 20))
def test_only_crlf_dot_crlf_ends_a_message(wire: bytes, cut: int) -> None:
    ends = (FIRST + wire).find(END)
    clean = (FIRST + wire)[: ends + 2] if ends >= 0 else FIRST + wire
    is_clean = not set(clean.replace(b"\r\n", b"")) & set(b"\r\n\0")
    progress, _ = receive(make(), [wire[:cut], wire[cut:]])
    if is_clean:
        assert (progress is Progress.DONE) == (ends >= 0)
    elif ends >= 0:
        assert progress is Progress.BROKEN


@pytest.mark.parametrize("text", [b"a\nb", b"a\rb", b"a\r\r\nb", b"a\n\r\nb", b"a\0b", b"\n.\n"])
def test_an_unclean_message_is_told_before_its_end(text: bytes) -> None:
    body = make()
    assert receive(body, [text + b"c"])[0] is Progress.BROKEN
    assert body.refusal is not None
    assert body.refusal.reply.line().startswith("521 5.5.2")


@pytest.mark.parametrize("name", json.loads(SEQUENCES.read_text())["sequences_python_repr"])
def test_a_smuggled_end_is_no_end(name: str) -> None:
    sequence = name.encode().decode("unicode_escape").encode("latin-1")
    smuggled = b"MAIL FROM:<evil@good.test>\r\n.\r\n"
    assert receive(make(), [b"hi" + sequence + smuggled])[0] is Progress.BROKEN


@pytest.mark.parametrize(
    ("wire", "content"),
    [
        (b"a\nb\r\n.\r\n", b"a\r\nb\r\n"),
        (b"a\rb\r\r\nc\n\r\n.\r\n", b"a\r\nb\r\n\r\nc\r\n\r\n"),
        (b"a\n.\nMAIL FROM:<x@y>\r\n.\r\n", b"a\r\n.\r\nMAIL FROM:<x@y>\r\n"),
        (b"a\n..\r\n.b\r\n.\r\n", b"a\r\n..\r\nb\r\n"),
    ],
)
def test_line_ends_are_normalised_and_end_nothing(wire: bytes, content: bytes) -> None:
    body = make(normalise=True)
    assert receive(body, [wire]) == (Progress.DONE, b"")
    assert body.data == content


def test_nul_is_refused_where_line_ends_are_normalised_too() -> None:
    assert receive(make(normalise=True), [b"a\0b\n"])[0] is Progress.BROKEN


def test_a_message_of_exactly_the_limit_is_taken() -> None:
    body = make(limit=10)
    assert receive(body, [b"12345678\r\n.\r\n"])[0] is Progress.DONE
    assert body.refusal is None


def test_a_message_over_the_limit_is_read_to_its_end_and_not_kept() -> None:
    body = make(limit=10)
    progress, rest = receive(body, [b"123456789", b"\r\n\r", b"\n.\r", b"\nQUIT\r\n"])
    assert (progress, rest) == (Progress.DONE, b"QUIT\r\n")
    assert body.refusal is not None
    assert body.refusal.reply.line().startswith("552 5.3.4")


def test_a_message_without_end_is_given_up() -> None:
    body = make(limit=100)
    buffer = bytearray(FIRST)
    for _ in range(50):
        buffer += b"x" * 20
        if body.feed(buffer) is Progress.BROKEN:
            break
        assert len(buffer) <= 150
    else:
        pytest.fail("it was read on and on")


def test_memory_is_booked_while_receiving_and_released_at_the_end() -> None:
    room = Room(100)
    one, two = Body(limit=1000, room=room), Body(limit=1000, room=room)
    assert receive(one, [b"x" * 60])[0] is Progress.MORE
    assert room.used == 62
    assert receive(two, [b"x" * 60])[0] is Progress.MORE
    assert two.refusal is not None
    assert two.refusal.reply.line().startswith("452 4.3.1")
    one.close()
    two.close()
    assert room.used == 0
