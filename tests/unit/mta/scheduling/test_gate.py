"""What may not go now, and the words for it."""

from __future__ import annotations

import pytest

from mta.directory import Directory, KillSwitch, Pause, Tenant
from mta.scheduling.gate import (
    egress_paused,
    key_closed,
    key_pause,
    next_expiry,
    parcel_pause,
    paused_words,
)
from mta.scheduling.parcel import Parcel
from mta.spool.store import QueueKey
from tests.support.recipients import message, recipient

KEY = QueueKey(7, "transactional", "example.net")
PARCEL = Parcel(message(1, credential_id=3, tags=("receipt", "vip")), [recipient(1)], None)
SITE = "mx.example.net:25"
NOW = 1_790_000_000_000


def of_parcel(found, provider="google", now=NOW, egress="out1"):
    return parcel_pause(found, PARCEL, SITE, provider, now, egress)


def directory(*pauses, **changes):
    values = {"generation": 1, "tenants": {7: Tenant(id=7, name="acme")}, "pauses": pauses}
    return Directory(**(values | changes))


def test_an_open_box_lets_everything_go():
    assert key_closed(directory(), KEY, NOW) == ""
    assert of_parcel(directory()) is None


def test_the_kill_switch_closes_every_key_and_names_who_and_why():
    stop = KillSwitch(by="ann", at=1, reason="blocklisted")
    words = key_closed(directory(kill_switch=stop), KEY, NOW)
    assert "ann" in words
    assert "blocklisted" in words


def test_a_suspended_tenant_is_closed_and_others_are_not():
    suspended = Tenant(id=7, name="acme", suspended=True, suspended_reason="unpaid")
    found = directory(tenants={7: suspended, 8: Tenant(id=8, name="other")})
    assert "acme is suspended: unpaid" in key_closed(found, KEY, NOW)
    assert key_closed(found, QueueKey(8, "bulk", "example.net"), NOW) == ""


def test_a_tenant_nobody_knows_any_more_is_not_closed():
    assert key_closed(directory(tenants={}), KEY, NOW) == ""


@pytest.mark.parametrize(
    ("pause", "covers_key", "covers_parcel"),
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
        ({"provider": "google"}, False, True),
        ({"provider": "other"}, False, False),
        ({"provider": "google", "tenant_id": 8}, False, False),
        ({"tag": "vip"}, False, True),
        ({"tag": "vi"}, False, False),
        ({"egress": "out1"}, False, False),  # the address alone: its mail leaves from others
        ({"egress": "out1", "tenant_id": 7}, False, True),
        ({"egress": "out1", "domain": "example.net"}, False, True),
        ({"egress": "out2", "tenant_id": 7}, False, False),
        ({"egress": "out1", "provider": "google"}, False, True),
        ({"tenant_id": 7, "expires_at": NOW + 1}, True, True),
        ({"tenant_id": 7, "expires_at": NOW}, False, False),
        ({"tag": "vip", "expires_at": NOW - 1}, False, False),
    ],
)
def test_a_pause_covers_what_it_names_and_nothing_else(pause, covers_key, covers_parcel):
    found = directory(Pause(id=1, **pause))
    assert (key_pause(found, KEY, NOW) is not None) == covers_key
    assert bool(key_closed(found, KEY, NOW)) == covers_key
    assert (of_parcel(found) is not None) == covers_parcel


def test_one_pause_that_covers_is_enough():
    found = directory(Pause(id=1, tenant_id=8), Pause(id=2, domain="example.net"))
    assert key_pause(found, KEY, NOW).id == 2


def test_receivers_without_a_name_are_paused_as_other():
    found = directory(Pause(id=1, provider="other"))
    assert of_parcel(found, provider="").id == 1
    assert of_parcel(found, provider="google") is None


@pytest.mark.parametrize(
    ("pause", "covers"),
    [
        ({"egress": "out1"}, True),
        ({"egress": "out1", "expires_at": NOW + 1}, True),
        ({"egress": "out1", "expires_at": NOW}, False),
        ({"egress": "out2"}, False),
        ({"egress": "out1", "tenant_id": 7}, False),  # some of its mail: it goes on with the rest
        ({"egress": "out1", "tag": "vip"}, False),
        ({"tenant_id": 7}, False),
    ],
)
def test_an_address_is_paused_by_its_name_alone(pause, covers):
    assert (egress_paused(directory(Pause(id=1, **pause)), "out1", NOW) is not None) == covers


def test_the_scheduler_is_told_when_the_next_pause_ends():
    ends = (0, NOW, NOW + 9, NOW + 5)
    found = directory(
        *(Pause(id=n, domain="a.example", expires_at=at) for n, at in enumerate(ends))
    )
    assert next_expiry(found, NOW) == NOW + 5
    assert next_expiry(found, NOW + 9) == 0
    assert next_expiry(directory(), NOW) == 0


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (
            Pause(id=1, domain="example.net", by="ann", reason="greylisting"),
            "example.net is paused by ann: greylisting",
        ),
        (Pause(id=1, by="ann"), "this mail is paused by ann: no reason given"),
        (
            Pause(id=1, provider="google", by="ann", reason="x", expires_at=1_790_000_000_000),
            "google is paused by ann until 2026-09-21T14:13Z: x",
        ),
        (Pause(id=1, tag="vip", by="ann", reason="x"), "tag vip is paused by ann: x"),
    ],
)
def test_a_pause_is_put_in_words(pause, words):
    assert paused_words(pause) == words
