"""Connections and pace of one egress at one zone, whatever the number of its sites."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.scheduling.flow import FIRST_REST, Flow
from mta.scheduling.share import TURN, Share
from mta.shaping.model import Rate, Zone
from mta.shaping.throttle import Subject
from mta.shaping.throttles import Throttles
from mta.transport.base import Site
from tests.support.throttling import HOUR, MINUTE, NOW, SECOND, book, limits, provider, throttle

SITE = Site(key="mx1.google.example:25", hosts=(), port=25)
OTHER = Site(key="mx2.google.example:25", hosts=(), port=25)
PAIR = Subject("out1", "google")


@pytest.fixture
def throttles():
    return Throttles(book)


def flow(throttles, configured=None, share=None):
    zone = Zone("google", provider("google", configured or limits(None)))
    return Flow("out1", zone, throttles, share or Share())


def test_a_site_has_at_most_its_connections_and_another_has_its_own(throttles):
    found = flow(throttles, limits(None, connections=2))
    for _ in range(2):
        assert found.room_at_site(SITE, NOW)
        found.connected(SITE, NOW)
    assert not found.room_at_site(SITE, NOW)
    assert found.room_at_site(OTHER, NOW)
    found.disconnected(SITE)
    assert found.room_at_site(SITE, NOW)


def test_what_is_demanded_of_tls_makes_no_second_receiver(throttles):
    found = flow(throttles, limits(None, connections=1))
    found.connected(SITE, NOW)
    assert not found.room_at_site(replace(SITE, key=f"{SITE.key}|sts"), NOW)


def test_all_sites_of_a_zone_share_its_connections(throttles):
    found = flow(throttles, limits(None, connections=2, zone_connections=2))
    for site in (SITE, OTHER):
        assert found.room_in_zone(NOW)
        found.connected(site, NOW)
    assert not found.room_in_zone(NOW)


def test_a_throttle_that_allows_fewer_ends_those_that_are_too_many(throttles):
    found = flow(throttles)
    for site in (SITE, OTHER):
        found.connected(site, NOW)
    assert not found.has_too_many(SITE, NOW)
    throttles.load([throttle(PAIR, connections=1)], NOW)
    assert found.has_too_many(SITE, NOW)
    found.disconnected(OTHER)
    assert not found.has_too_many(SITE, NOW)


def test_of_a_connection_that_processes_take_turns_at_the_turn_s_end_is_its_end(throttles):
    first, second = (
        flow(throttles, limits(None, connections=1), Share(index, 2)) for index in range(2)
    )
    start = NOW // (2 * TURN) * 2 * TURN
    assert first.room_at_site(SITE, start)
    assert not second.room_at_site(SITE, start)
    first.connected(SITE, start)
    assert not first.has_too_many(SITE, start + TURN - 1)
    assert first.has_too_many(SITE, start + TURN)
    assert second.room_at_site(SITE, start + TURN)


def test_messages_and_new_connections_are_paced_apart(throttles):
    configured = replace(limits(Rate(60, 60.0)), connection_rate=Rate(6, 60.0))
    found = flow(throttles, configured)
    assert (found.sends_at(NOW), found.connects_at(SITE, NOW)) == (NOW, NOW)
    found.sent(7, NOW)
    found.connected(SITE, NOW)
    assert found.sends_at(NOW) == NOW + SECOND
    assert found.connects_at(SITE, NOW) == NOW + 10 * SECOND


def test_a_process_paces_its_share_of_a_rate(throttles):
    found = flow(throttles, limits(Rate(60, 60.0)), Share(1, 4))
    found.sends_at(NOW)
    found.sent(7, NOW)
    assert found.sends_at(NOW) == NOW + 4 * SECOND


def test_what_answers_have_changed_holds_from_the_next_message_on(throttles):
    found = flow(throttles, limits(Rate(100, 1.0)))
    assert found.sends_at(NOW) == NOW
    throttles.load([throttle(PAIR, rate=Rate(1, 60.0))], NOW)
    found.sends_at(NOW)
    found.sent(7, NOW)
    assert found.sends_at(NOW) == NOW + MINUTE


def test_a_slowed_tenant_waits_and_the_others_do_not(throttles):
    found = flow(throttles)
    throttles.load([throttle(Subject("out1", "google", 7), rate=Rate(1, 60.0))], NOW)
    found.sends_at(NOW)
    assert found.tenant_sends_at(7, NOW) == NOW
    found.sent(7, NOW)
    assert found.tenant_sends_at(7, NOW) == NOW + MINUTE
    assert found.tenant_sends_at(8, NOW) == NOW
    assert found.sends_at(NOW) == NOW


def test_a_flow_is_forgotten_only_when_it_owes_nothing(throttles):
    """Or a connection for each message would be a new flow each, and no rate would ever hold."""
    found = flow(throttles, limits(Rate(10, 1.0)))
    found.sends_at(NOW)
    found.sent(7, NOW)
    assert found.sends_at(NOW) == NOW, "a second's worth may go at once"
    assert not found.is_at_rest(NOW)
    assert found.is_at_rest(NOW + 100)


@pytest.mark.parametrize("what", ["lane", "connection", "tenant"])
def test_a_flow_in_use_is_not_forgotten(throttles, what):
    found = flow(throttles)
    assert found.is_at_rest(NOW)
    match what:
        case "lane":
            found.lanes += 1
        case "connection":
            found.connected(SITE, NOW)
        case _:
            throttles.load([throttle(Subject("out1", "google", 7), rate=Rate(1, 60.0))], NOW)
            found.sends_at(NOW)
            found.tenant_sends_at(7, NOW)
            found.sent(7, NOW)
    assert not found.is_at_rest(NOW)
    if what == "tenant":
        assert found.is_at_rest(NOW + MINUTE), "it is slow for good, but owes nothing"


def test_a_site_rests_longer_after_each_failure_in_a_row_and_at_most_a_minute(throttles):
    found, rests, at = flow(throttles), [], NOW
    for _ in range(9):
        found.failed(SITE, at)
        found.failed(SITE, at + 1)  # connections that fail together are one failure
        rests.append((found.connects_at(SITE, at) - at) // SECOND)
        at += rests[-1] * SECOND
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    found.failed(SITE, at)
    assert found.connects_at(OTHER, at) == at
    assert not found.is_at_rest(at), "it would be forgotten that it rests"
    found.worked(SITE)
    assert found.connects_at(SITE, at) == at
    found.failed(SITE, at)
    assert found.connects_at(SITE, at) == at + SECOND
    assert found.is_at_rest(at + SECOND)


def test_a_rest_is_over_when_the_clock_goes_back_by_hours(throttles):
    found, then = flow(throttles), NOW - 6 * HOUR
    found.failed(SITE, NOW)
    assert found.connects_at(SITE, NOW) == NOW + FIRST_REST
    assert not found.is_at_rest(NOW)
    assert found.connects_at(SITE, then) == then
    assert found.is_at_rest(then)
    found.failed(SITE, then)
    assert found.connects_at(SITE, then) == then + 2 * FIRST_REST
