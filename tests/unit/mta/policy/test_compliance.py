"""The gate for bulk mail that the big receivers refuse."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from appliance.core import ids
from mta.directory import DkimKey, Gate, SendingDomain
from mta.policy.compliance import check, shortcomings
from mta.policy.prepare import Prepared
from mta.policy.refusal import Refused
from mta.status import TrafficClass
from tests.support.submissions import credential

GOOD = Prepared(
    content=b"",
    header_from_address="news@mail.example.com",
    header_from_domain="mail.example.com",
    subject="",
    message_id_header="<1@example.com>",
    traffic_class=TrafficClass.BULK,
    tags=(),
    metadata="",
    send_at=0,
    idempotency_key="",
    pool="",
    has_list_unsubscribe=True,
    has_list_unsubscribe_post=True,
)
DOMAIN = SendingDomain(
    id=1,
    tenant_id=7,
    name="example.com",
    verified=True,
    has_dmarc=True,
    keys=(DkimKey(selector="s1", algorithm="rsa-sha256", private_key=None),),
)
REFUSE = credential(compliance=Gate.REFUSE)


def test_mail_that_has_everything_lacks_nothing():
    assert shortcomings(GOOD, DOMAIN) == []


@pytest.mark.parametrize(
    ("changes", "domain", "words"),
    [
        ({"has_list_unsubscribe": False}, DOMAIN, "List-Unsubscribe is missing"),
        ({"has_list_unsubscribe_post": False}, DOMAIN, "List-Unsubscribe=One-Click is missing"),
        ({}, replace(DOMAIN, has_dmarc=False), "example.com publishes no DMARC record"),
        ({}, replace(DOMAIN, keys=()), "example.com has no key to sign with"),
        ({}, None, "no signing domain is aligned with From mail.example.com"),
        ({}, replace(DOMAIN, name="example.org"), "no signing domain is aligned"),
        ({"header_from_domain": "badexample.com"}, DOMAIN, "no signing domain is aligned"),
    ],
)
def test_what_is_missing_is_named(changes, domain, words):
    [found] = shortcomings(replace(GOOD, **changes), domain)
    assert words in found


def test_everything_that_is_missing_is_named_at_once():
    bare = replace(GOOD, has_list_unsubscribe=False, has_list_unsubscribe_post=False)
    with pytest.raises(Refused) as refused:
        check(REFUSE, bare, None, 1)
    assert str(refused.value).count(";") == 2
    assert (refused.value.reply.code, refused.value.reply.enhanced) == (550, "5.7.1")


BAD = replace(GOOD, has_list_unsubscribe=False)


@pytest.mark.parametrize(
    ("gate", "prepared"),
    [
        (Gate.OFF, BAD),
        (Gate.REFUSE, GOOD),
        (Gate.REFUSE, replace(BAD, traffic_class=TrafficClass.TRANSACTIONAL)),
        (Gate.WARN, BAD),
    ],
)
def test_the_gate_refuses_only_bulk_mail_that_lacks_something_and_only_where_it_is_shut(
    gate, prepared
):
    check(credential(compliance=gate), prepared, DOMAIN, 1)


def test_a_warning_names_the_message(caplog):
    with caplog.at_level(logging.WARNING):
        check(credential(compliance=Gate.WARN), BAD, DOMAIN, 12345)
    assert ids.to_text(12345) in caplog.text
    assert "List-Unsubscribe is missing" in caplog.text
