from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.bounce import mime
from mta.bounce.mime import parse, parse_fields

TREE = (
    b'Content-Type: Multipart/Mixed; Boundary="=_ a b"; x=y\r\n\r\npreamble\r\n'
    b"--=_ a b\r\nContent-Type: TEXT/Plain; charset=utf-8\r\n\r\none\r\ntwo\r\n"
    b"--=_ a b  \r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"
    b"--in\r\n\r\nno header\r\n--in\r\ncontent-type: text/html\r\n\r\n<p>\r\n--in--\r\n"
    b"--=_ a b\r\nContent-Type: message/rfc822\r\n\r\nSubject: returned\r\n\r\n--in\r\n"
    b"--=_ a b--\r\nepilogue\r\n--=_ a b\r\n\r\nnever read\r\n"
)


def test_a_tree_becomes_its_leaves_in_order() -> None:
    parts = parse(TREE).parts
    assert [part.content_type for part in parts] == [
        "text/plain",
        "text/plain",
        "text/html",
        "message/rfc822",
    ]
    assert [part.body for part in parts] == [
        b"one\r\ntwo",
        b"no header",
        b"<p>",
        b"Subject: returned\r\n\r\n--in",
    ]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_line_ends_do_not_matter(ends: bytes) -> None:
    parts = parse(TREE.replace(b"\r\n", ends)).parts
    assert [part.text() for part in parts][:2] == ["one\ntwo", "no header"]


def test_a_part_that_begins_with_its_body_has_no_header() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nplain\n--b--\n"
    assert [part.body for part in parse(raw).parts] == [b"plain"]


def test_a_message_cut_off_keeps_what_came() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\nhalf"
    assert [(p.content_type, p.body) for p in parse(raw).parts] == [("text/html", b"half")]


def test_a_multipart_without_its_boundary_is_one_part() -> None:
    raw = b"Content-Type: multipart/report; boundary=missing\n\nall text\n"
    assert [(p.content_type, p.body) for p in parse(raw).parts] == [
        ("multipart/report", b"all text\n")
    ]


def test_an_mbox_line_is_no_header() -> None:
    assert parse(b"From MAILER-DAEMON Thu Apr 29\nSubject: x\n\n").fields.get("subject") == "x"


def test_folded_fields_are_joined_and_odd_lines_passed_over() -> None:
    fields = parse_fields(b"A: one\r\n\ttwo\r\nnonsense\r\nB : three\r\na: four\r\n")
    assert fields.items == (("a", "one two"), ("b", "three"), ("a", "four"))
    assert fields.all("a") == ["one two", "four"]
    assert "b" in fields
    assert fields.get("c") == ""


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("quoted-printable", b"na=C3=AFve=\r\n end", "naïve end"),
        ("Base64", b"bmHDr3\r\nZl", "naïve"),
        ("base64", b"!!!", ""),
        ("7bit", b"na\xefve", "na\ufffdve"),
        ("unheard-of", b"as it is", "as it is"),
    ],
)
def test_transfer_encodings_are_undone_where_they_can_be(
    encoding: str, body: bytes, text: str
) -> None:
    raw = f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body
    assert parse(raw).parts[0].text() == text


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", "UFT-8", "utf-8\x00", "unicode-1-1-utf-7", "idna"]
)
def test_every_charset_gives_text(charset: str) -> None:
    raw = f'Content-Type: text/plain; charset="{charset}"\r\n\r\n'.encode() + b"caf\xe9"
    assert "caf" in parse(raw).parts[0].text()


@pytest.mark.parametrize("charset", ["punycode", "-PunyCode", "idna"])
def test_a_codec_of_names_is_no_charset(charset: str) -> None:
    """Its time grows with the square of the length."""
    raw = f'Content-Type: text/plain; charset="{charset}"\r\n\r\n'.encode() + b"bcher-kva"
    assert parse(raw).parts[0].text() == "bcher-kva"


def test_nested_multiparts_end_at_a_depth() -> None:
    raw = b""
    for n in range(500):
        raw += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n)
    assert len(parse(raw + b"\nleaf").parts) == 1


def test_parts_end_at_a_number() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 5000
    assert len(parse(raw).parts) == mime.MAX_PARTS


HUGE = 8 << 20


@pytest.mark.parametrize(
    "raw",
    [
        b"A" * HUGE,
        b"A: " + b"x" * HUGE,
        b"A: b\n " * (HUGE // 6),
        b"\n" * HUGE,
        b"X: y\r\n" * (HUGE // 6) + b"\r\n",
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * (HUGE // 4),
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\n--b--" * (HUGE // 6),
        b"Content-Type: multipart/mixed" + b";a=" * (HUGE // 3),
        b'Content-Type: multipart/mixed; boundary="' + b"\\" * HUGE,
        b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + b"A\n" * (HUGE // 2),
        b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=\n" * (HUGE // 2),
        b" " * HUGE,
    ],
    ids=range(12),
)
def test_megabytes_of_garbage_take_bounded_time(raw: bytes) -> None:
    start = time.process_time()
    for part in parse(raw).parts:
        part.text()
    assert time.process_time() - start < 2


@given(st.binary(max_size=2000))
def test_garbage_never_raises(raw: bytes) -> None:
    for part in parse(raw).parts:
        part.text()
