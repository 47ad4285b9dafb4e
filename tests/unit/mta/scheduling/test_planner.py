"""From which address mail leaves, and what it waits for when it may leave from none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC

import pytest

from appliance.core import clock
from mta.directory import Directory, Pause
from mta.egress import EgressEntry, EgressPlan, EgressState, Member, Pool, TenantPools
from mta.message import Egress
from mta.scheduling.blocked import Blocked
from mta.scheduling.planner import PLENTY, Option, Planner
from mta.scheduling.unreachable import Unreachable
from mta.shaping.throttle import Subject
from mta.shaping.throttles import Throttles
from mta.spool.store import QueueKey
from mta.transport.base import MxHost, Site
from mta.transport.route import INBOUND_KEY
from mta.warmup.ledger import Ledger
from mta.warmup.model import OTHER, WarmupState
from tests.support import warmup
from tests.support.recipients import recipient
from tests.support.throttling import GOOGLE, NOW, book, throttle
from tests.support.throttling import SITE as NAMELESS

KEY = QueueKey(7, "transactional", "example.net")
HOST = MxHost(name="mx.google.example", preference=1, addresses=("192.0.2.25",))
SITE = Site(key="mx.google.example:25", hosts=(HOST,), port=25)


def egress(name, number=1, *, ipv6=""):
    return Egress(
        name=name,
        address=f"198.51.100.{number}" if number else "",
        helo=name,
        ipv6=bool(ipv6),
        address6=ipv6,
    )


class World:
    """A planner, and what it asks."""

    def __init__(self, *names, **pools):
        self.full = set()
        members = {
            name: tuple(Member(egress=one) for one in names_of) for name, names_of in pools.items()
        }
        self.directory = Directory(
            generation=1,
            egress=EgressPlan(
                entries={name: EgressEntry(egress=egress(name)) for name in names},
                pools={name: Pool(name=name, members=them) for name, them in members.items()},
            ),
        )
        self.throttles = Throttles(book)
        self.unreachable = Unreachable()
        self.ledger = Ledger(
            store=warmup.MemoryStore(),
            plans=lambda: self.directory.warmup,
            steady=lambda: NOW,
            zone=UTC,
            portion=20,
            processes=1,
            names=warmup.NAMES,
        )
        self.planner = Planner(
            directory=lambda: self.directory,
            throttles=self.throttles,
            ledger=self.ledger,
            unreachable=self.unreachable,
            lane_is_full=lambda name, site, _key: (name, site) in self.full,
        )

    def change(self, **changes):
        self.directory = replace(self.directory, **changes)

    def change_plan(self, **changes):
        self.change(egress=replace(self.directory.egress, **changes))

    def entry(self, name, **changes):
        entries = dict(self.directory.egress.entries)
        entries[name] = replace(entries[name], **changes)
        self.change_plan(entries=entries)

    def pool(self, name, **changes):
        pools = dict(self.directory.egress.pools)
        pools[name] = replace(pools[name], **changes)
        self.change_plan(pools=pools)

    def warm_up(self, *names, provider="google", **given):
        plans = {
            (name, provider): warmup.plan(egress=name, provider=provider, **given) for name in names
        }
        self.change(warmup={**self.directory.warmup, **plans})

    def suspend(self, name, *more, seconds=600, zone="google"):
        until = NOW + seconds * clock.SECOND
        row = throttle(Subject(name, zone, *more), suspended_until=until)
        self.throttles.load([row], NOW)

    def place(self, key=KEY, site=SITE, zone=GOOGLE, who=None, at=NOW):
        return self.planner.place(who or recipient(), key, site, zone, at)

    def names(self, count=20, **asked):
        found = [self.place(**asked) for _ in range(count)]
        return Counter(one.egress.name for one in found)


# -- from which address ---------------------------------------------------------


def test_without_pools_all_addresses_share_the_mail():
    assert World("a", "b").names() == {"a": 10, "b": 10}


def test_a_pool_shares_it_by_weight():
    world = World("a", "b", "c", main=("a", "b"))
    world.pool("main", members=(Member(egress="a", weight=3), Member(egress="b")))
    world.change_plan(default_pool="main")
    assert world.names() == {"a": 15, "b": 5}


def test_the_pool_is_the_message_s_own_else_the_tenant_s_for_its_class_else_the_default():
    world = World("a", "b", "c", one=("a",), two=("b",), three=("c",))
    world.change_plan(default_pool="one", tenants={7: TenantPools(bulk="two")})
    assert set(world.names(key=KEY)) == {"a"}
    assert set(world.names(key=KEY._replace(traffic_class="bulk"))) == {"b"}
    assert set(world.names(key=KEY._replace(pool="three"))) == {"c"}
    assert set(world.names(key=KEY._replace(pool="gone"))) == {"a"}


@pytest.mark.parametrize("state", [EgressState.DISABLED, EgressState.DRAINING])
def test_what_is_not_enabled_takes_nothing_new(state):
    world = World("a", "b")
    world.place()
    world.entry("a", state=state)
    assert world.names() == {"b": 20}


def test_two_pools_with_the_same_addresses_keep_their_own_shares():
    world = World("a", "b", one=("a", "b"), two=("a", "b"))
    for name, weight in (("one", 3), ("two", 1)):
        world.pool(name, members=(Member(egress="a", weight=weight), Member(egress="b")))
    found = {name: Counter() for name in ("one", "two")}
    for turn in range(40):
        name = ("one", "two")[turn % 2]
        found[name] += world.names(1, key=KEY._replace(pool=name))
    assert found == {"one": {"a": 15, "b": 5}, "two": {"a": 10, "b": 10}}


def test_a_retry_leaves_from_the_address_that_got_the_answer():
    world = World("a", "b", main=("a",), spare=("b",))
    world.pool("main", fallback="spare")
    world.change_plan(default_pool="main")
    assert world.names(who=recipient(last_egress="b")) == {"b": 20}, "though it is the fallback's"
    world.suspend("b")
    assert world.names(who=recipient(last_egress="b")) == {"a": 20}
    assert world.names(who=recipient(last_egress="gone")) == {"a": 20}


def test_an_address_is_chosen_by_the_families_that_the_hosts_have():
    world = World("four", "six")
    world.entry("six", egress=egress("six", 0, ipv6="2001:db8::1"))
    assert set(world.names()) == {"four"}
    only6 = replace(SITE, hosts=(replace(HOST, addresses=("2001:db8::25",)),))
    assert set(world.names(site=only6)) == {"six"}
    both = replace(SITE, hosts=(HOST, *only6.hosts))
    assert set(world.names(site=both)) == {"four", "six"}


def test_hosts_that_no_address_reaches_are_tried_all_the_same_for_the_transport_says_why():
    only6 = replace(SITE, hosts=(replace(HOST, addresses=("2001:db8::25",)),))
    assert World("four").place(site=only6).egress.name == "four"


def test_our_own_inbound_listener_is_neither_throttled_nor_warmed_up_for():
    world = World("a")
    world.warm_up("a", limit=0, provider=OTHER)
    world.unreachable.failed("a", SITE, "no", NOW)
    found = world.place(site=replace(SITE, key=INBOUND_KEY), zone=NAMELESS)
    assert found == Option(egress("a"), PLENTY)


# -- another address -------------------------------------------------------------


def test_where_an_answer_asks_for_another_address_each_is_tried_once():
    world, tried = World("a", "b", "c"), []
    who = recipient(last_egress="a")
    while world.planner.avoid(who, tried[-1] if tried else "a"):
        tried = tried or ["a"]
        name = world.place(who=who).egress.name
        assert name not in tried
        tried.append(name)
        who = recipient(last_egress=name)
    assert sorted(tried) == ["a", "b", "c"]


def test_with_one_address_only_there_is_no_other_to_try():
    assert not World("a").planner.avoid(recipient(), "a")


def test_when_all_others_are_closed_it_is_the_avoided_one_after_all():
    world = World("a", "b")
    assert world.planner.avoid(recipient(), "a")
    world.suspend("b")
    assert world.place().egress.name == "a"
    assert not world.planner.avoid(recipient(), "a"), "or it would be tried every few seconds"


# -- warmup ----------------------------------------------------------------------


def test_addresses_that_warm_up_come_first_and_what_they_have_no_room_for_goes_to_warm_ones():
    world = World("warm", "cold")
    world.warm_up("cold", limit=3)
    for _ in range(3):
        found = world.place()
        assert (found.egress.name, found.warms) == ("cold", "google")
        world.ledger.promise("cold", "google", 1)
    assert world.names() == {"warm": 20}


def test_then_to_the_fallback_pool_and_then_it_waits_and_says_so():
    world = World("cold", "spare", main=("cold",), rest=("spare",))
    world.pool("main", fallback="rest")
    world.change_plan(default_pool="main")
    world.warm_up("cold", limit=0)
    assert world.names() == {"spare": 20}
    world.entry("spare", state=EgressState.DISABLED)
    found = world.place()
    assert found.place == ("warmup", "main", "google", "transactional")
    assert found.why.startswith("warmup: 203.0.113.7 has used 0 of 0 for Google today")
    assert found.until > NOW


@pytest.mark.parametrize(
    ("plans", "warms"),
    [
        ({"google": WarmupState.WARMING}, "google"),
        ({"google": WarmupState.WARM, OTHER: WarmupState.WARMING}, ""),
        ({OTHER: WarmupState.WARMING}, OTHER),
        ({"yahoo": WarmupState.WARMING}, ""),
    ],
)
def test_mail_counts_for_the_warmup_of_its_provider_else_for_that_of_all_others(plans, warms):
    world = World("a")
    for provider, state in plans.items():
        world.warm_up("a", provider=provider, state=state)
    assert world.place().warms == warms
    assert world.planner.warms("a", SITE, GOOGLE) == warms


def test_the_smarthost_is_no_receiver_that_an_address_could_be_strange_to():
    world = World("a")
    world.warm_up("a", limit=0, provider=OTHER)
    smarthost = replace(SITE, is_smarthost=True)
    assert world.place(site=smarthost, zone=NAMELESS).warms == ""
    assert world.planner.warms("a", smarthost, NAMELESS) == ""


# -- what keeps mail back --------------------------------------------------------


def test_a_suspended_zone_is_one_place_for_all_who_wait_for_it():
    world = World("a")
    world.suspend("a")
    places = {
        world.place(key=QueueKey(tenant, "bulk", domain)).place
        for tenant in (7, 8)
        for domain in ("example.net", "example.org")
    }
    assert places == {("zone", "", "google")}
    assert "Google suspended egress a until" in world.place().why


@pytest.mark.parametrize(
    ("subject", "whose"), [((7,), ("7",)), ((0, "example.net"), ("", "example.net"))]
)
def test_a_suspended_tenant_or_domain_keeps_nobody_else_back(subject, whose):
    """And has one place, for however many domains or tenants."""
    world = World("a")
    world.suspend("a", *subject)
    assert world.place().place == ("zone", "", "google", *whose)
    assert isinstance(world.place(key=QueueKey(8, "bulk", "example.org")), Option)


def test_mail_waits_for_the_address_that_may_go_first():
    world = World("a", "b", "c")
    for name, seconds in (("a", 600), ("b", 60), ("c", 3600)):
        world.suspend(name, seconds=seconds)
    assert world.place().until == NOW + 60 * clock.SECOND


def test_a_site_that_does_not_answer_is_a_place_of_its_own_and_lets_one_find_out():
    world = World("a")
    world.unreachable.failed("a", SITE, "451 4.4.1 refused", NOW)
    found = world.place()
    assert found.place == ("site", "", SITE.key)
    assert "mx.google.example has taken no connection" in found.why
    assert world.place(at=found.until) == Option(egress("a"), 1)


def test_a_full_lane_is_what_its_pool_waits_for_at_that_site():
    world = World("a", "b")
    world.full = {("a", SITE.key)}
    assert world.names() == {"b": 20}
    world.full.add(("b", SITE.key))
    found = world.place()
    assert (found.place, found.until) == (("lane", "", SITE.key, "7", "transactional"), 0)
    assert found.why == "behind other mail that is ready for mx.google.example"


def test_a_pause_keeps_an_address_from_a_provider_and_others_go():
    world = World("a", "b")
    world.change(pauses=(Pause(id=3, egress="a", provider="google", by="ann", reason="x"),))
    assert world.names() == {"b": 20}
    assert set(world.names(zone=NAMELESS)) == {"a", "b"}
    world.entry("b", state=EgressState.DISABLED)
    assert world.place() == Blocked(("paused", "3"), 0, "google from a is paused by ann: x")


def test_no_address_at_all_is_said_with_what_to_do():
    world = World("a", own=("a",))
    world.pool("own", tenant_id=8)
    found = world.place()
    assert found.place == ("closed", "pool", "")
    assert found.why == "no egress address of this box may send: see `pillarbox egress list`"
    world.change_plan(default_pool="own")
    world.entry("a", state=EgressState.DISABLED)
    assert "of pool own may" in world.place(key=KEY._replace(tenant_id=8)).why


def test_room_is_what_all_addresses_could_take_now():
    world = World("a", "b")
    assert world.planner.room(KEY, SITE, GOOGLE, NOW) == 2 * PLENTY
    world.warm_up("a", "b", limit=8)
    assert world.planner.room(KEY, SITE, GOOGLE, NOW) == 16
    world.ledger.promise("a", "google", 8)
    world.ledger.promise("b", "google", 8)
    found = world.planner.room(KEY, SITE, GOOGLE, NOW)
    assert found.place == world.planner.warmup_place(KEY, GOOGLE)


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"state": EgressState.DRAINING}, True),  # finishes what is in its lanes
        ({"state": EgressState.DISABLED}, False),
        ({"egress": egress("a", 2)}, False),  # another address now
    ],
)
def test_what_stands_in_the_lanes_of_an_address_leaves_from_it_while_it_is_what_it_was(
    change, usable
):
    world = World("a")
    world.entry("a", **change)
    assert world.planner.is_usable(egress("a"), NOW) == usable


def test_a_paused_address_is_not_usable_nor_is_one_that_is_gone():
    world = World("a")
    world.change(pauses=(Pause(id=1, egress="a"),))
    assert not world.planner.is_usable(egress("a"), NOW)
    assert not world.planner.is_usable(egress("b"), NOW)
    assert world.planner.room(KEY, SITE, GOOGLE, NOW).place == ("paused", "1")
