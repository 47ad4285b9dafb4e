"""Sites that take no connection: how long they are left alone, and who finds out that they are back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core import clock
from mta.scheduling import unreachable
from mta.scheduling.unreachable import Unreachable
from mta.transport.base import MxHost, Site

NOW = 1_800_000_000_000  # 2027-01-15 08:00 UTC
SECOND, MINUTE = clock.SECOND, clock.MINUTE
SITE = Site(
    key="mx.example.net:25",
    hosts=(MxHost(name="mx.example.net", preference=1, addresses=("192.0.2.1",)),),
    port=25,
)


def fail(found, at=NOW, egress="out1", site=SITE):
    found.failed(egress, site, "451 4.4.1 connection refused", at)


def closed_for(found, at, egress="out1"):
    wait = found.wait(egress, SITE, at)
    return 0 if wait is None else wait.until - at


def test_a_site_that_nothing_is_known_of_may_be_tried():
    found = Unreachable()
    assert (len(found), found.wait("out1", SITE, NOW)) == (0, None)
    assert not found.is_probe("out1", SITE.key)


def test_each_failure_doubles_the_wait_from_a_minute_to_a_quarter_of_an_hour():
    found, at, waits = Unreachable(), NOW, []
    for _ in range(7):
        fail(found, at)
        waits.append(closed_for(found, at) // MINUTE)
        at += waits[-1] * MINUTE
    assert waits == [1, 2, 4, 8, 15, 15, 15]


def test_the_waits_are_never_longer_than_the_retry_schedule_s_first():
    found = Unreachable(first_wait=5 * SECOND)
    fail(found)
    assert closed_for(found, NOW) == 5 * SECOND


def test_connections_that_fail_together_are_one_failure():
    found = Unreachable()
    for later in range(4):
        fail(found, NOW + later)
    assert closed_for(found, NOW + 4) < MINUTE
    assert closed_for(found, NOW + MINUTE) == 0


def test_another_egress_or_site_is_not_concerned():
    found = Unreachable()
    fail(found)
    assert found.wait("out2", SITE, NOW) is None
    assert found.wait("out1", replace(SITE, key="mx.example.org:25"), NOW) is None


def test_after_the_wait_one_goes_first_and_the_others_wait_for_what_it_finds():
    found = Unreachable()
    fail(found)
    at = NOW + MINUTE
    assert found.is_probe("out1", SITE.key)
    assert closed_for(found, at) == 0
    found.probe("out1", SITE.key, at)
    assert 0 < closed_for(found, at + 1) <= 5 * SECOND
    fail(found, at + SECOND)
    assert closed_for(found, at + SECOND) == 2 * MINUTE


def test_one_connection_opens_the_site_for_all():
    found = Unreachable()
    fail(found)
    assert found.worked("out1", SITE.key)
    assert (found.wait("out1", SITE, NOW), found.is_probe("out1", SITE.key)) == (None, False)
    assert not found.worked("out1", SITE.key), "it is news once"


@pytest.mark.parametrize("told", [True, False])
def test_a_probe_that_did_not_go_after_all_does_not_keep_the_site_closed(told):
    found = Unreachable()
    fail(found)
    at = NOW + MINUTE
    found.probe("out1", SITE.key, at)
    if told:
        found.unprobed("out1", SITE.key)
    else:
        at += MINUTE  # nobody ever heard of it again
    assert closed_for(found, at) == 0


def test_who_waits_is_told_which_host_since_when_and_why():
    found = Unreachable()
    fail(found)
    why = found.wait("out1", SITE, NOW).why
    assert why == (
        "mx.example.net has taken no connection since 2027-01-15 08:00Z, next try 08:01Z:"
        " 451 4.4.1 connection refused"
    )


def test_memory_is_bounded_whatever_domains_strangers_think_of(monkeypatch):
    monkeypatch.setattr(unreachable, "_MAX_SITES", 10)
    found = Unreachable()
    for number in range(50):
        fail(found, site=replace(SITE, key=f"mx{number}:25"))
    assert len(found) == 10
