"""What may not go now, and the words for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.directory import Directory, KillSwitch, Pause, Tenant
from mta.scheduling.gate import (
    Leg,
    egress_paused,
    key_closed,
    key_pause,
    key_stop,
    leg_pause,
    next_expiry,
    parcel_pause,
    paused_words,
    shut_places,
)
from mta.scheduling.parcel import Parcel
from mta.spool.store import QueueKey
from tests.support.recipients import message, recipient

KEY = QueueKey(7, "transactional", "example.net")
PARCEL = Parcel(message(1, credential_id=3, tags=("receipt", "vip")), [recipient(1)], None)
SITE = "mx.example.net:25"
LEG = Leg(SITE, "google", "out1")
NOW = 1_790_000_000_000


def directory(*pauses, **changes):
    values = {"generation": 1, "tenants": {7: Tenant(id=7, name="acme")}, "pauses": pauses}
    return Directory(**(values | changes))


def test_an_open_box_lets_everything_go():
    assert key_closed(directory(), KEY, NOW) == ""
    assert leg_pause(directory(), KEY, LEG, NOW) is None
    assert parcel_pause(directory(), PARCEL, LEG, NOW) is None


def test_the_kill_switch_closes_every_key_and_names_who_and_why():
    stop = KillSwitch(by="ann", at=1, reason="blocklisted")
    words = key_closed(directory(kill_switch=stop), KEY, NOW)
    assert "ann" in words
    assert "blocklisted" in words


def test_the_kill_switch_lets_the_boxs_own_mail_go_unless_told_otherwise():
    own = QueueKey(0, "transactional", "example.net")
    stop = KillSwitch(by="ann", at=1, reason="blocklisted")
    assert key_closed(directory(kill_switch=stop), own, NOW) == ""
    every = KillSwitch(by="ann", at=1, reason="blocklisted", stops_own=True)
    assert "ann" in key_closed(directory(kill_switch=every), own, NOW)


def test_a_suspended_tenant_is_closed_and_others_are_not():
    suspended = Tenant(id=7, name="acme", suspended=True, suspended_reason="unpaid")
    found = directory(tenants={7: suspended, 8: Tenant(id=8, name="other")})
    assert "acme is suspended: unpaid" in key_closed(found, KEY, NOW)
    assert key_closed(found, QueueKey(8, "bulk", "example.net"), NOW) == ""


def test_a_tenant_nobody_knows_any_more_is_not_closed():
    assert key_closed(directory(tenants={}), KEY, NOW) == ""


# What is known first keeps it back: a key at rest, the way from an address to a site, one message.
@pytest.mark.parametrize(
    ("pause", "kept_by"),
    [
        ({}, "key"),  # everything
        ({"tenant_id": 7}, "key"),
        ({"tenant_id": 8}, ""),
        ({"domain": "example.net"}, "key"),
        ({"domain": "example.org"}, ""),
        ({"tenant_id": 7, "domain": "example.net"}, "key"),
        ({"tenant_id": 8, "domain": "example.net"}, ""),
        ({"site": SITE}, "leg"),
        ({"site": SITE, "tenant_id": 7}, "leg"),
        ({"site": "mx.example.org:25"}, ""),
        ({"provider": "google"}, "leg"),
        ({"provider": "other"}, ""),
        ({"provider": "google", "tenant_id": 8}, ""),
        ({"egress": "out1"}, "leg"),
        ({"egress": "out2"}, ""),
        ({"egress": "out1", "tenant_id": 7}, "leg"),
        ({"egress": "out1", "domain": "example.net"}, "leg"),
        ({"egress": "out1", "provider": "google"}, "leg"),
        ({"egress": "out2", "provider": "google"}, ""),
        ({"credential_id": 3}, "parcel"),
        ({"credential_id": 4}, ""),
        ({"credential_id": 3, "domain": "example.org"}, ""),
        ({"credential_id": 3, "site": SITE, "tenant_id": 7}, "parcel"),
        ({"tag": "vip"}, "parcel"),
        ({"tag": "vi"}, ""),
        ({"tag": "vip", "egress": "out1"}, "parcel"),
        ({"tag": "vip", "egress": "out2"}, ""),
        ({"tenant_id": 7, "expires_at": NOW + 1}, "key"),
        ({"tenant_id": 7, "expires_at": NOW}, ""),
        ({"tag": "vip", "expires_at": NOW - 1}, ""),
    ],
)
def test_a_pause_covers_what_it_names_and_nothing_else(pause, kept_by):
    found = directory(Pause(id=1, **pause))
    assert (key_pause(found, KEY, NOW) is not None) == (kept_by == "key")
    assert bool(key_closed(found, KEY, NOW)) == (kept_by == "key")
    assert (leg_pause(found, KEY, LEG, NOW) is not None) == (kept_by in ("key", "leg"))
    assert (parcel_pause(found, PARCEL, LEG, NOW) is not None) == (kept_by == "parcel")


def test_one_pause_that_covers_is_enough():
    found = directory(Pause(id=1, tenant_id=8), Pause(id=2, domain="example.net"))
    assert key_pause(found, KEY, NOW).id == 2


def test_receivers_without_a_name_are_paused_as_other():
    found = directory(Pause(id=1, provider="other"))
    assert leg_pause(found, KEY, Leg(SITE, ""), NOW).id == 1
    assert leg_pause(found, KEY, LEG, NOW) is None


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
            "google is paused by ann until 2026-09-21 14:13Z: x",
        ),
        (Pause(id=1, tag="vip", by="ann", reason="x"), "tag vip is paused by ann: x"),
        (
            Pause(id=1, provider="google", egress="out1", by="ann", reason="x"),
            "google from out1 is paused by ann: x",
        ),
        (Pause(id=1, egress="out1", by="ann", reason="x"), "out1 is paused by ann: x"),
        (Pause(id=1, credential_id=4, by="ann", reason="x"), "this login is paused by ann: x"),
    ],
)
def test_a_pause_is_put_in_words(pause, words):
    assert paused_words(pause) == words


def test_the_places_of_stops_that_stand_are_shut_and_no_others():
    """Whoever waits there need not be looked at when something else changes."""
    tenants = {7: Tenant(id=7, name="acme", suspended=True), 8: Tenant(id=8, name="other")}
    pauses = (
        Pause(id=1, domain="example.net"),
        Pause(id=2, domain="example.net", expires_at=NOW),
        Pause(id=3, site=SITE),  # its mail may leave another way
        Pause(id=4, tag="news"),
    )
    stop = KillSwitch(by="ann", at=1, reason="x")
    found = directory(*pauses, tenants=tenants)
    assert shut_places(found, NOW) == {("closed", "tenant", "7"), ("paused", "1")}
    killed = replace(found, kill_switch=stop)
    assert shut_places(killed, NOW) - shut_places(found, NOW) == {("closed", "all")}


@pytest.mark.parametrize(
    "found",
    [
        directory(kill_switch=KillSwitch(by="ann", at=1, reason="x")),
        directory(tenants={7: Tenant(id=7, name="acme", suspended=True)}),
        directory(Pause(id=1, tenant_id=7)),
    ],
)
def test_what_keeps_a_key_back_waits_at_a_place_that_is_shut(found):
    assert key_stop(found, KEY, NOW).place in shut_places(found, NOW)
