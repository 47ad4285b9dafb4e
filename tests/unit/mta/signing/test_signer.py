"""Which signature a message leaves with: the stored one, or a new one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.directory import Directory, DkimKey, SendingDomain
from mta.message import SigningPlan
from mta.signing.keys import make_ed25519
from mta.signing.signer import Resigner, selectors_of, sign_admitted
from tests.support.recipients import NOW, admitted, message

CONTENT = b"From: a@example.com\r\nSubject: hello\r\n\r\nhi\r\n"
STORED = b"DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s=s1;\r\n\tb=abc=\r\n"


def key(selector):
    return DkimKey(selector=selector, algorithm="ed25519-sha256", private_key=make_ed25519())


def resigner(keys=("s2",), published=("s2",), **changes):
    domain = SendingDomain(
        id=1,
        tenant_id=7,
        name="example.com",
        verified=True,
        keys=tuple(map(key, keys)),
        published=frozenset(published),
    )
    directory = Directory(**({"generation": 1, "domains": {domain.name: domain}} | changes))
    stored = []
    return Resigner(lambda: directory, lambda m, s: stored.append((m.id, s))), stored


def letter(signature=STORED, domain="example.com"):
    return message(1, signature=signature, signing_domain=domain)


def test_a_signature_whose_selector_is_still_published_is_sent_as_it_is():
    sign, stored = resigner(published=("s1", "s2"))
    assert sign(letter(), CONTENT) is STORED
    assert stored == []


def test_a_signature_whose_selector_was_withdrawn_is_made_anew_and_stored():
    sign, stored = resigner()
    fresh = sign(letter(), CONTENT)
    assert selectors_of(fresh) == ["s2"]
    assert stored == [(1, fresh)]


def test_one_withdrawn_selector_of_two_is_enough():
    sign, stored = resigner(keys=("s2", "s3"), published=("s2", "s3"))
    assert selectors_of(sign(letter(STORED + STORED.replace(b"s=s1", b"s=s2")), CONTENT)) == [
        "s2",
        "s3",
    ]
    assert len(stored) == 1


@pytest.mark.parametrize(
    ("changes", "signed"),
    [
        ({"domains": {}}, STORED),  # the domain is gone: an old signature is better than none
        ({"keys": ()}, STORED),
    ],
)
def test_without_a_key_the_old_signature_stays(changes, signed):
    sign, stored = resigner(**changes)
    assert sign(letter(), CONTENT) is signed
    assert stored == []


def test_what_was_not_signed_stays_unsigned():
    sign, stored = resigner()
    assert sign(letter(b"", ""), CONTENT) == b""
    assert stored == []


@pytest.mark.parametrize(
    ("field", "selectors"),
    [
        (b"DKIM-Signature: v=1; s=s1; d=x;\r\n", ["s1"]),
        (b"DKIM-Signature: v=1;\r\n\ts=pb-2026.a_b; d=x;\r\n", ["pb-2026.a_b"]),
        (b"DKIM-Signature: v=1; bh=as=s2; s=s1; b=abc\r\n\t s==\r\n", ["s1"]),
        (b"DKIM-Signature: v=1; s=s1; b=abc\r\n\t s=\r\n", ["s1"]),
        (b"", []),
    ],
)
def test_selectors_are_read_off_the_fields_and_never_off_base64(field, selectors):
    assert selectors_of(field) == selectors


def test_what_is_accepted_is_signed_as_of_the_time_it_was_accepted():
    one = replace(
        admitted(1, content=CONTENT), signing=SigningPlan(domain="example.com", keys=(key("s1"),))
    )
    assert b"t=%d;" % (NOW // 1000) in sign_admitted(one)
