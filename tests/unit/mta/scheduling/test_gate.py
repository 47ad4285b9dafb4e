"""What may not go now, and the words for it."""

from __future__ import annotations

import pytest

from mta.directory import Directory, KillSwitch, Pause, Tenant
from mta.scheduling.gate import key_closed, key_pause, parcel_pause, paused_words
from mta.scheduling.parcel import Parcel
from mta.spool.store import QueueKey
from tests.support.recipients import message, recipient

KEY = QueueKey(7, "transactional", "example.net")
PARCEL = Parcel(message(1, credential_id=3), [recipient(1)], None)
SITE = "mx.example.net:25"


def directory(*pauses, **changes):
    values = {"generation": 1, "tenants": {7: Tenant(id=7, name="acme")}, "pauses": pauses}
    return Directory(**(values | changes))


def test_an_open_box_lets_everything_go():
    assert key_closed(directory(), KEY) == ""
    assert parcel_pause(directory(), PARCEL, SITE) is None


def test_the_kill_switch_closes_every_key_and_names_who_and_why():
    stop = KillSwitch(by="ann", at=1, reason="blocklisted")
    words = key_closed(directory(kill_switch=stop), KEY)
    assert "ann" in words
    assert "blocklisted" in words


def test_a_suspended_tenant_is_closed_and_others_are_not():
    suspended = Tenant(id=7, name="acme", suspended=True, suspended_reason="unpaid")
    found = directory(tenants={7: suspended, 8: Tenant(id=8, name="other")})
    assert "acme is suspended: unpaid" in key_closed(found, KEY)
    assert key_closed(found, QueueKey(8, "bulk", "example.net")) == ""


def test_a_tenant_nobody_knows_any_more_is_not_closed():
    assert key_closed(directory(tenants={}), KEY) == ""


@pytest.mark.parametrize(
    ("pause", "of_key", "of_parcel"),
    [
        ({}, True, True),  # everything
        ({"tenant_id": 7}, True, True),
        ({"tenant_id": 8}, False, False),
        ({"domain": "example.net"}, True, True),
        ({"domain": "example.org"}, False, False),
        ({"tenant_id": 7, "domain": "example.net"}, True, True),
        ({"tenant_id": 8, "domain": "example.net"}, False, False),
        ({"credential_id": 3}, False, True),  # known only once the message is
        ({"credential_id": 4}, False, False),
        ({"site": SITE}, False, True),  # known only once it is routed
        ({"site": "mx.example.org:25"}, False, False),
        ({"credential_id": 3, "domain": "example.org"}, False, False),
        ({"credential_id": 3, "site": SITE, "tenant_id": 7}, False, True),
    ],
)
def test_a_pause_covers_what_it_names_and_nothing_else(pause, of_key, of_parcel):
    found = directory(Pause(id=1, **pause))
    assert (key_pause(found, KEY) is not None) == of_key
    assert bool(key_closed(found, KEY)) == of_key
    assert (parcel_pause(found, PARCEL, SITE) is not None) == of_parcel


def test_one_pause_that_covers_is_enough():
    found = directory(Pause(id=1, tenant_id=8), Pause(id=2, domain="example.net"))
    assert key_pause(found, KEY).id == 2


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (
            Pause(id=1, domain="example.net", by="ann", reason="greylisting"),
            "example.net is paused by ann: greylisting",
        ),
        (Pause(id=1, by="ann"), "this mail is paused by ann: no reason given"),
    ],
)
def test_a_pause_is_put_in_words(pause, words):
    assert paused_words(pause) == words
