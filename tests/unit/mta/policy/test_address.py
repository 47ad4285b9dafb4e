from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.address import Address, ascii_domain, parse_mailbox
from mta.policy.refusal import Refused

ISEMAIL = Path(__file__).parents[3] / "data" / "addresses" / "isemail-tests.xml"


def _isemail() -> list[tuple[str, str, str]]:
    cases = []
    for case in ET.parse(ISEMAIL).getroot().iter("test"):
        text = "".join(
            chr(ord(c) - 0x2400) if 0x2400 <= ord(c) <= 0x2421 else c
            for c in case.findtext("address", "")
        )
        category = case.findtext("category", "").removeprefix("ISEMAIL_")
        cases.append((text, category, case.findtext("diagnosis", "")))
    return cases


def _reply(text: str, *, smtputf8: bool = False) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        parse_mailbox(text, smtputf8=smtputf8)
    assert refused.value.reply.text.isascii()
    return refused.value.reply.code, refused.value.reply.enhanced


def test_addresses_of_isemail_that_fit_an_envelope_are_taken_and_no_others():
    counts: Counter[tuple[str, bool]] = Counter()
    for text, category, _ in _isemail():
        try:
            parse_mailbox(text, smtputf8=True)
        except Refused:
            counts[category, False] += 1
        else:
            counts[category, True] += 1
    # The eight of RFC5321 that are refused are address literals; comments, folding and obsolete
    # forms (CFWS, DEPREC) and what only RFC 5322 allows have no place in an envelope.
    assert counts == {
        ("VALID_CATEGORY", True): 14,
        ("RFC5321", True): 6,
        ("RFC5321", False): 8,
        ("RFC5322", False): 30,
        ("CFWS", False): 10,
        ("DEPREC", False): 19,
        ("ERR", False): 66,
    }


def test_every_refused_rfc5321_address_of_isemail_is_a_literal():
    for text, category, diagnosis in _isemail():
        if category == "RFC5321" and "QUOTED" not in diagnosis:
            assert _reply(text) == (553, "5.1.3")


def test_the_local_part_keeps_its_case_and_the_domain_does_not():
    assert parse_mailbox("John.Doe+Tag@Example.COM", smtputf8=False) == Address(
        local="John.Doe+Tag", domain="example.com"
    )


def test_an_address_reads_back_as_it_was_written():
    assert (
        str(parse_mailbox('"odd @ local"@example.com', smtputf8=False))
        == '"odd @ local"@example.com'
    )


@pytest.mark.parametrize(
    ("text", "local", "domain", "is_utf8"),
    [
        ("josé@example.com", "josé", "example.com", True),
        ("jose@bücher.example", "jose", "xn--bcher-kva.example", False),
        ("用户@例え.jp", "用户", "xn--r8jz45g.jp", True),
        ("a@BÜCHER.example", "a", "xn--bcher-kva.example", False),
        ("a@例え。jp", "a", "xn--r8jz45g.jp", False),
    ],
)
def test_internationalised_addresses_become_a_labels(
    text: str, local: str, domain: str, is_utf8: bool
):
    assert parse_mailbox(text, smtputf8=True) == Address(
        local=local, domain=domain, is_utf8=is_utf8
    )


@pytest.mark.parametrize("text", ["josé@example.com", "jose@bücher.example"])
def test_internationalised_addresses_need_smtputf8(text: str):
    assert _reply(text) == (553, "5.6.7")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postmaster",
        "@example.com",
        "a@",
        "a@b@c@",
        "a b@example.com",
        "a\r\n@example.com",
        "a@exam_ple.com",
        "a@example.com.",
        "a@example..com",
        "a@-example.com",
        '"a\r\nRCPT TO:<x>"@example.com',
        '"a\0"@example.com',
        "a\x7f@example.com",
        "a\x85@example.com",
        "a@\ud800.com",
        "a@xn--\u00fc.example",
        "a@" + "\u00fc" * 100 + ".example",
        "a@" + "\u00ad" * 260 + "example.com",  # soft hyphens map to nothing: no prefix may pass
        "a@\u2100.example",  # becomes "a/c" under compatibility mapping
        "x" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + ".".join(["abcdefghi"] * 26),
        "x" * 64 + "@" + ".".join(["abcdefghi"] * 20) + ".com",
        "a@" + "x" * 100_000,
    ],
)
def test_what_is_no_address_is_refused(text: str):
    assert _reply(text, smtputf8=True) == (501, "5.1.3")


def test_the_longest_legal_address_is_taken():
    domain = ".".join(["abcdefghi"] * 18) + ".example.c"
    address = parse_mailbox("x" * 64 + "@" + domain, smtputf8=False)
    assert len(str(address)) <= 254
    assert _reply("x" * 64 + "@" + domain + "d" * (255 - len(str(address)))) == (501, "5.1.3")


def test_a_local_part_is_measured_in_octets():
    assert parse_mailbox("é" * 32 + "@example.com", smtputf8=True).is_utf8
    assert _reply("é" * 33 + "@example.com", smtputf8=True) == (501, "5.1.3")


def test_a_domain_alone_becomes_a_labels():
    assert ascii_domain("Bücher.Example") == "xn--bcher-kva.example"


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused(text: str):
    answer = "250"
    try:
        address = parse_mailbox(text, smtputf8=True)
    except Refused as refused:
        answer = refused.reply.line()
    else:
        assert parse_mailbox(str(address), smtputf8=True) == address
        assert address.domain.isascii()
        assert not set("\r\n\0<>") & set(address.domain)
        assert not set("\r\n\0") & set(address.local)
    assert answer.isprintable()
    assert len(answer) < 400


_ATOM = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=12)
_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(st.lists(_ATOM, min_size=1, max_size=4), st.lists(_LABEL, min_size=1, max_size=5))
def test_every_dot_string_at_a_host_name_is_an_address(atoms: list[str], labels: list[str]):
    local, domain = ".".join(atoms), ".".join(labels)
    assert parse_mailbox(f"{local}@{domain}", smtputf8=False) == Address(local=local, domain=domain)
