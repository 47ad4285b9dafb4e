"""Replies: read off the wire, and written on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.reply import Reply


@pytest.mark.parametrize(
    ("code", "text", "enhanced", "prose"),
    [
        (250, "2.0.0 Ok: queued as 4Xyz", "2.0.0", "Ok: queued as 4Xyz"),
        (250, "Ok", "", "Ok"),
        (250, "", "", ""),
        (550, "5.1.1", "5.1.1", ""),
        (550, "5.1.1   two  spaces", "5.1.1", "two  spaces"),
        (550, "5.1.1 no such user\n5.1.1 try another", "5.1.1", "no such user try another"),
        (550, "5.7.1 see\nhttps://example.com", "5.7.1", "see https://example.com"),
        (550, "no such user\nat all", "", "no such user at all"),
        (550, "\n5.1.1 after an empty line", "5.1.1", "after an empty line"),
        (550, "5.1.1 a\n5.1.10 is another code", "5.1.1", "a 5.1.10 is another code"),
        (550, "5.1.1x is no code", "", "5.1.1x is no code"),
        (550, "5.1.1234 is no code", "", "5.1.1234 is no code"),
        (354, "3.0.0 is no class", "", "3.0.0 is no class"),
        (550, "5.\u0661.1 has a foreign digit", "", "5.\u0661.1 has a foreign digit"),
        (421, "4.7.0 [TSS04] deferred", "4.7.0", "[TSS04] deferred"),
    ],
)
def test_the_enhanced_code_is_split_off_the_text(code, text, enhanced, prose):
    assert Reply.from_text(code, text) == Reply(code, enhanced, prose)


@pytest.mark.parametrize(
    ("code", "success", "permanent", "transient", "status"),
    [
        (200, True, False, False, "2.0.0"),
        (250, True, False, False, "2.0.0"),
        (299, True, False, False, "2.0.0"),
        (354, False, False, True, "4.0.0"),
        (421, False, False, True, "4.0.0"),
        (450, False, False, True, "4.0.0"),
        (499, False, False, True, "4.0.0"),
        (500, False, True, False, "5.0.0"),
        (599, False, True, False, "5.0.0"),
        (600, False, False, True, "4.0.0"),  # nobody can read it: temporary
        (0, False, False, True, "4.0.0"),
        (-1, False, False, True, "4.0.0"),
    ],
)
def test_temporary_or_permanent_follows_from_the_code(code, success, permanent, transient, status):
    reply = Reply(code, "", "x")
    assert (reply.is_success, reply.is_permanent, reply.is_transient) == (
        success,
        permanent,
        transient,
    )
    assert reply.status == status


def test_the_status_is_the_one_that_was_given():
    assert Reply(550, "5.1.1", "x").status == "5.1.1"


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (Reply(250, "2.0.0", "ok"), "250 2.0.0 ok"),
        (Reply(250, "", "ok"), "250 ok"),
        (Reply(250, "2.0.0", ""), "250 2.0.0"),
        (Reply(250, "", ""), "250"),
    ],
)
def test_a_reply_is_one_line(reply, line):
    assert (reply.line(), str(reply)) == (line, line)


CODES = st.integers(200, 599)
ENHANCED = st.from_regex(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True)
# What the transport leaves of a reply: no control characters but the ends of its lines.
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]) | st.sampled_from(" \n"))


@given(CODES, TEXTS)
def test_whatever_a_receiver_says_becomes_one_line(code, text):
    assert "\n" not in Reply.from_text(code, text).line()


@given(CODES, TEXTS)
def test_what_was_read_and_written_reads_the_same_again(code, text):
    reply = Reply.from_text(code, text)
    again = Reply.from_text(code, reply.line()[4:])
    assert (again.code, again.enhanced, again.text) == (code, reply.enhanced, reply.text)


@given(CODES, TEXTS)
def test_no_word_of_a_reply_is_lost(code, text):
    reply = Reply.from_text(code, text)
    kept = f"{reply.enhanced} {reply.text}".split()
    assert set(kept) == set(text.split())


@given(CODES, ENHANCED, st.lists(TEXTS.map(lambda t: t.replace("\n", "")), min_size=1))
def test_every_continuation_line_repeats_the_code_and_the_text_has_it_once(code, enhanced, lines):
    wire = "\n".join(f"{enhanced} {line}" for line in lines)
    reply = Reply.from_text(code, wire)
    assert reply.enhanced == enhanced
    assert reply.text.split() == " ".join(lines).split()


@given(CODES)
def test_every_reply_is_exactly_one_of_success_permanent_and_transient(code):
    reply = Reply(code, "", "")
    assert [reply.is_success, reply.is_permanent, reply.is_transient].count(True) == 1
