from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.headers import MAX_FIELDS, check_lines, scan
from mta.policy.refusal import Refused

GOOD = b"From: a@example.com\r\nSubject: one\r\n two\r\nTo: b@example.net\r\n\r\nbody\r\n"


def _refusal(content: bytes, *, allow_8bit: bool = False) -> str:
    with pytest.raises(Refused) as refused:
        scan(content, allow_8bit=allow_8bit)
    line = refused.value.reply.line()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 400
    return line


def test_fields_are_found_in_order_with_their_positions():
    block = scan(GOOD, allow_8bit=False)
    assert [name for name, _, _ in block.fields] == [b"from", b"subject", b"to"]
    assert b"".join(GOOD[start:end] for _, start, end in block.fields) == GOOD[: block.end]
    assert GOOD[block.end :] == b"\r\nbody\r\n"


def test_values_are_unfolded_and_stripped():
    block = scan(GOOD, allow_8bit=False)
    assert block.get(b"subject") == b"one two"
    assert block.get(b"cc") is None
    assert block.all(b"cc") == []
    assert block.count(b"to") == 1


def test_a_name_is_found_in_any_case_and_all_its_values():
    block = scan(b"X-a: 1\r\nFROM: x@y\r\nx-A:2\r\n\r\n", allow_8bit=False)
    assert block.all(b"x-a") == [b"1", b"2"]
    assert block.get(b"from") == b"x@y"


def test_a_message_may_end_with_its_headers():
    block = scan(b"From: a@example.com\r\nSubject:\r\n", allow_8bit=False)
    assert block.end == len(block.content)
    assert block.get(b"subject") == b""


def test_a_blank_line_first_means_no_headers():
    block = scan(b"\r\nFrom: a@example.com\r\n\r\n", allow_8bit=False)
    assert (block.end, block.fields) == (0, ())


def test_an_empty_message_has_no_headers():
    assert scan(b"", allow_8bit=False).fields == ()


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (
            b"From: a@b\r\nno colon here\r\n\r\n",
            "550 5.6.0 header line 2 after From is not a header",
        ),
        (b"no colon here\r\n\r\n", "550 5.6.0 header line 1 is not a header"),
        (
            b"From: a@b\r\nSubject : x\r\n\r\n",
            "550 5.6.0 header line 2: Subject has a space before its colon",
        ),
        (
            b" folded: first\r\n\r\n",
            "550 5.6.0 header line 1: a continuation line without a header",
        ),
        (b"From: a@b\r\nA B: c\r\n\r\n", "550 5.6.0 header line 2 after From is not a header"),
        (b"From: a@b\r\n: c\r\n\r\n", "550 5.6.0 header line 2 after From is not a header"),
        (b"From: a@b\r\nX: a\nBcc: c\r\n\r\n", "550 5.6.0 header line 2: X holds a bare CR or LF"),
        (b"From: a@b\r\nX: a\rb\r\n\r\n", "550 5.6.0 header line 2: X holds a bare CR or LF"),
        (
            b"From: a@b\r\nX: unfinished",
            "550 5.6.0 header line 2: X holds a bare CR or LF, or does not end",
        ),
        (b"From: a@b\r\nX\x80: c\r\n\r\n", "550 5.6.0 header line 2 after From is not a header"),
        (b"From: a@b\r\n\r\nbo\0dy\r\n", "554 5.6.0 line 3 holds a NUL octet"),
    ],
)
def test_a_broken_header_is_refused_with_its_name(content: bytes, answer: str):
    assert _refusal(content).startswith(answer)


def test_8_bit_headers_are_refused_with_the_name_of_the_first():
    content = b"From: a@b\r\nSubject: caf\xc3\xa9\r\nTo: \xff\r\n\r\n"
    assert _refusal(content).startswith("550 5.6.7 the Subject header is not ASCII")
    assert scan(content, allow_8bit=True).get(b"subject") == "café".encode()


def test_8_bit_in_the_body_is_no_matter_of_the_headers():
    assert scan(b"From: a@b\r\n\r\ncaf\xc3\xa9\r\n", allow_8bit=False).end == 11


def test_a_hundred_received_headers_are_a_loop():
    received = b"Received: by x; Fri, 20 Nov 2026 10:00:00 +0000\r\n"
    assert scan(received * 99 + GOOD, allow_8bit=False).count(b"received") == 99
    assert _refusal(received * 100 + GOOD).startswith("554 5.4.6 ")


@pytest.mark.parametrize("length", [997, 998])
def test_a_line_of_998_octets_passes_wherever_it_stands(length: int):
    for before in (b"", b"x\r\n", b"x" * 500 + b"\r\n", b"\r\n" * 600):
        for after in (b"", b"\r\n", b"\r\nx\r\n", b"\r\n" * 900):
            check_lines(before + b"y" * length + after)


@pytest.mark.parametrize("length", [999, 1000, 1001, 5000])
def test_a_line_of_999_octets_is_refused_with_its_number(length: int):
    for before in (b"", b"x\r\n", b"x" * 998 + b"\r\n", b"\r\n" * 600):
        for after in (b"", b"\r\n", b"\r\nx\r\n", b"\r\n" * 900):
            with pytest.raises(Refused) as refused:
                check_lines(before + b"y" * length + after)
            number = before.count(b"\n") + 1
            assert refused.value.reply.line().startswith(
                f"554 5.6.0 line {number} is longer than 998 octets"
            )


@given(st.lists(st.integers(0, 2500), max_size=12))
def test_line_lengths_are_judged_as_a_slow_count_judges_them(lengths: list[int]):
    content = b"".join(b"z" * length + b"\r\n" for length in lengths)
    too_long = [n for n, length in enumerate(lengths, 1) if length > 998]
    if not too_long:
        check_lines(content)
        return
    with pytest.raises(Refused) as refused:
        check_lines(content)
    assert refused.value.reply.text.startswith(f"line {too_long[0]} ")


def test_too_many_fields_are_refused():
    assert _refusal(b"a: b\r\n" * (MAX_FIELDS + 1) + b"\r\n").startswith("552 5.3.4 ")


def test_a_huge_header_block_is_refused():
    assert _refusal((b"a: " + b"b" * 900 + b"\r\n") * 600 + b"\r\n").startswith("552 5.3.4 ")


_NAME = st.from_regex(rb"[!-9;-~]{1,20}", fullmatch=True)
_LINE = st.from_regex(rb"[ -~\t]{0,60}", fullmatch=True)
_VALUE = st.lists(_LINE, min_size=1, max_size=3).map(b"\r\n ".join)


@given(st.lists(st.tuples(_NAME, _VALUE), max_size=20), st.binary(max_size=200))
def test_every_well_formed_block_is_read_whole(fields: list[tuple[bytes, bytes]], body: bytes):
    body = body.replace(b"\0", b"")
    content = b"".join(name + b":" + value + b"\r\n" for name, value in fields) + b"\r\n" + body
    block = scan(content, allow_8bit=False)
    assert content[block.end :] == b"\r\n" + body
    assert [name for name, _, _ in block.fields] == [name.lower() for name, _ in fields]
    for name, value in fields:
        assert value.replace(b"\r\n", b"").strip(b" \t") in block.all(name.lower())


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(content: bytes):
    try:
        block = scan(content, allow_8bit=True)
    except Refused:
        return
    assert re.fullmatch(rb"(?:[!-9;-~]+:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n)*", content[: block.end])
    assert content[block.end : block.end + 2] in (b"\r\n", b"")
