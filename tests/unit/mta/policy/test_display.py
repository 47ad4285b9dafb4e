from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.display import MAX_CHARACTERS, display_text, plain_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (b"", ""),
        (b"Hello", "Hello"),
        (b"=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
        (b"=?UTF-8?B?Y2Fmw6k=?= au lait", "café au lait"),
        (b"=?iso-8859-1*fr?Q?caf=E9?=", "café"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?= c", "ab c"),
        (b"=?koi8-r?B?8NLJ18XU?=", "Привет"),
        ("naïve".encode(), "naïve"),
        (b"na\xefve", "naïve"),
        (b"=?no-such-charset?q?abc?=", "=?no-such-charset?q?abc?="),
        (b"=?utf-8?b?====A?=", "=?utf-8?b?====A?="),
        (b"=?base64?q?abc?=", "=?base64?q?abc?="),
        (b"a\x1b[31mb\tc", "a [31mb c"),
    ],
)
def test_a_value_is_shown_as_people_read_it(value: bytes | None, text: str):
    assert display_text(value) == text


def test_an_identifier_is_shown_undecoded():
    assert plain_text(b"<=?utf-8?q?a?=@b>", limit=100) == "<=?utf-8?q?a?=@b>"
    assert plain_text(b"<" + b"x" * 200, limit=100) == "<" + "x" * 99


@given(st.binary(max_size=3000))
def test_what_is_shown_is_one_bounded_line(value: bytes):
    text = display_text(value)
    assert len(text) <= MAX_CHARACTERS
    assert text.isprintable()
