from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.headers import scan
from mta.policy.originator import originator
from mta.policy.refusal import Refused


def _author(value: bytes, *, allow_utf8: bool = False) -> str:
    block = scan(b"From: " + value + b"\r\n\r\n", allow_8bit=True)
    return str(originator(block, allow_utf8=allow_utf8))


def _refusal(value: bytes) -> str:
    with pytest.raises(Refused) as refused:
        _author(value)
    return refused.value.reply.line()


@pytest.mark.parametrize(
    "value",
    [
        b"a.b@Example.com",
        b"<a.b@example.com>",
        b"Jane <a.b@example.com>",
        b"Jane Q. Public <a.b@example.com>",
        b'"Doe, Jane" <a.b@example.com>',
        b'"Doe, \\"J\\" <x@evil.example>" <a.b@example.com>',
        b'"Jane" Q. "Public"  <a.b@example.com>',
        b"=?utf-8?q?J=C3=A9?= <a.b@example.com>",
        b"=?utf-8?q?J:_(me)?= <a.b@example.com>",
        b"a.b@example.com (Jane Doe)",
        b"(Jane (x@evil.example) Doe) a.b@example.com",
        b'(a "quote) a.b@example.com',
        b"Jane (\\) <x@evil.example>) <a.b@example.com>",
        b"Jane\r\n Doe\r\n <a.b@example.com>",
        b"Jane < a.b@example.com >",
        b"J\xc3\xa9 <a.b@example.com>",
        b"J\xe9 <a.b@example.com>",
        b"Jane <a.b@example.com>, Joe <joe@example.com>",
        b"a.b@example.com, joe@EXAMPLE.com (Joe)",
    ],
)
def test_the_author_is_found_in_every_legal_shape(value: bytes):
    assert _author(value) == "a.b@example.com"


def test_a_quoted_local_part_is_an_author():
    assert _author(b'Jane <"a b"@example.com>') == '"a b"@example.com'


def test_an_internationalised_author_becomes_a_labels():
    assert (
        _author("Jörg <jörg@bücher.example>".encode(), allow_utf8=True)
        == "jörg@xn--bcher-kva.example"
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Jane",
        b"<>",
        b"MAILER-DAEMON <>",
        b"Doe, Jane <a@example.com>",
        b"Jane <a@example.com> <b@evil.example>",
        b"Jane <a@example.com> trailing",
        b"Jane a@example.com",
        b"Jane <a@example.com",
        b"Jane a@example.com>",
        b'"Jane <a@example.com>',
        b"(Jane <a@example.com>",
        b"Jane) <a@example.com>",
        b"undisclosed-recipients:;",
        b"Team: a@example.com, b@example.com;",
        b"<@route.example:a@example.com>",
        b"a@evil.example@example.com",
        b"a@[192.0.2.1]",
        b"<a@example.com>,",
        b"=?utf-8?q?<x@evil.example>?= <a@example.com>",
        b"a@example.com\\, b@evil.example",
        b"a@exam_ple.com",
        b"J\xc3\xa9r\xc3\xb4me@example.com",
        b"<a@b\xc3\xbccher.example>",
    ],
)
def test_an_unreadable_author_is_refused_naming_from(value: bytes):
    assert _refusal(value).startswith("550 5.6.0 the From header")


def test_authors_of_several_domains_are_refused():
    assert "several domains" in _refusal(b"a@example.com, b@example.net")


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"Subject: x\r\n", "no From header"),
        (b"From: a@example.com\r\nfrom: b@example.com\r\n", "2 From headers"),
    ],
)
def test_there_must_be_exactly_one_from(head: bytes, text: str):
    with pytest.raises(Refused, match=text) as refused:
        originator(scan(head + b"\r\n", allow_8bit=False), allow_utf8=False)
    assert refused.value.reply.line().startswith("550 5.6.0 ")


@given(st.text(' \t"(),:;<>@\\[]ab.=?', max_size=60))
def test_any_from_is_read_or_refused(text: str):
    answer = "550 5.6.0 "
    try:
        author = _author(text.encode())
    except Refused as refused:
        answer = refused.reply.line()
    else:
        # What is outside of quotes, comments and names must have held the address.
        assert author.rpartition("@")[2] in text.lower()
    assert answer.startswith("550 5.6.0 ")


@pytest.mark.parametrize("part", [b"(", b")", b'"', b"\\", b"a@b,", b"<", b"=?", b"a "])
def test_a_long_from_is_judged_quickly(part: bytes):
    with pytest.raises(Refused):
        _author(b"\r\n ".join([(part * 900)[:900]] * 9))
