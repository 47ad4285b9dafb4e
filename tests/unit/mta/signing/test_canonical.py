from __future__ import annotations

import base64
import hashlib
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta.signing.canonical import body_hash, fields_of, header_end_of, relaxed_body, relaxed_field

# RFC 6376 3.4.5
RFC_EXAMPLE = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n"


def test_the_body_example_of_rfc_6376():
    assert relaxed_body(RFC_EXAMPLE[header_end_of(RFC_EXAMPLE) + 2 :]) == b" C\r\nD E\r\n"


def test_the_header_example_of_rfc_6376():
    fields = fields_of(RFC_EXAMPLE, header_end_of(RFC_EXAMPLE), frozenset({b"a", b"b"}))
    assert fields == {b"a": [b"a:X"], b"b": [b"b:Y Z"]}


def test_the_hash_of_an_empty_body_is_that_of_rfc_6376():
    assert body_hash(b"") == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert body_hash(b"\r\n \t\r\n") == body_hash(b"")


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b"\r\n", b""),
        (b" ", b""),
        (b"a", b"a\r\n"),
        (b"a \t", b"a\r\n"),
        (b"a\r\n\r\n\r\n", b"a\r\n"),
        (b"a\r\n \r\n", b"a\r\n"),
        (b"\r\na\r\n", b"\r\na\r\n"),
        (b"a\tb  c\r\n", b"a b c\r\n"),
        (b"\ta\r\n", b" a\r\n"),
        (b"a\n\r\n", b"a\n\r\n"),
        (b"a\r\r\n", b"a\r\r\n"),
        (b"a\n\r\n\r\n", b"a\n\r\n"),
        (b"a\r", b"a\r\r\n"),
    ],
)
def test_the_relaxed_form_of_a_body(body: bytes, canonical: bytes):
    assert relaxed_body(body) == canonical


def _reference(body: bytes) -> bytes:
    """RFC 6376 3.4.4 word by word, line by line."""
    lines = [re.sub(rb"[ \t]+\Z", b"", line) for line in body.split(b"\r\n")]
    lines = [re.sub(rb"[ \t]+", b" ", line) for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


_PIECES = st.lists(
    st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"a", b"bc", b"\xff"]), max_size=40
)


@given(_PIECES.map(b"".join))
@example(b"a \r\n\t\r\n \t \r\n")
@example(b"a\r\n\n\r\n")
def test_any_body_has_the_form_the_rfc_describes(body: bytes):
    assert relaxed_body(body) == _reference(body)
    assert body_hash(body) == base64.b64encode(hashlib.sha256(_reference(body)).digest())


@given(_PIECES.map(b"".join))
def test_the_relaxed_form_stays_as_it_is(body: bytes):
    once = relaxed_body(body)
    assert relaxed_body(once) == once


def test_a_body_of_empty_lines_does_not_hold_the_process():
    started = time.perf_counter()
    assert relaxed_body(b"\r\n" * 5_000_000) == b""
    assert relaxed_body(b"\n" + b"\r\n" * 5_000_000) == b"\n\r\n"
    assert time.perf_counter() - started < 2  # slicing line by line would take hours


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (b" x\r\n", b"n:x"),
        (b"x", b"n:x"),
        (b"\t a \t b\r\n\r\n", b"n:a b"),
        (b" a\r\n b\r\n\tc\r\n", b"n:a b c"),
        (b" a\r\n \r\n", b"n:a"),
        (b"\r\n", b"n:"),
        (b" a\x0bb\x0c\r\n", b"n:a\x0bb\x0c"),  # neither is white space to RFC 5322
    ],
)
def test_the_relaxed_form_of_a_field(value: bytes, canonical: bytes):
    assert relaxed_field(b"n", value) == canonical


def test_fields_are_found_whatever_their_case_and_kept_in_order():
    content = b"FROM: a\r\nx: y\r\nfrom:\r\n b\r\nTo: c\r\n\r\nfrom: body\r\n"
    assert fields_of(content, header_end_of(content), frozenset({b"from"})) == {
        b"from": [b"from:a", b"from:b"]
    }


@pytest.mark.parametrize(
    ("content", "end"), [(b"", 0), (b"\r\nx: y\r\n\r\n", 0), (b"x: y\r\n", 6), (b"x: y\r\n\r\n", 6)]
)
def test_where_the_header_block_ends(content: bytes, end: int):
    assert header_end_of(content) == end
