"""Which pool a message uses, and where it goes when that one cannot send."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.egress import EgressEntry, EgressPlan, EgressState, Member, Pool, TenantPools
from mta.message import Egress
from mta.status import TrafficClass

BULK, TRANSACTIONAL = TrafficClass.BULK, TrafficClass.TRANSACTIONAL
BOTH = Egress(name="both", address="192.0.2.1", helo="a.example", ipv6=True, address6="2001:db8::1")


def entry(name: str) -> EgressEntry:
    return EgressEntry(egress=replace(BOTH, name=name))


def pool(name: str, *egresses: str, tenant_id: int = 0, fallback: str = "") -> Pool:
    members = tuple(Member(egress=egress) for egress in egresses)
    return Pool(name=name, tenant_id=tenant_id, members=members, fallback=fallback)


def plan(*pools: Pool, default: str = "", **tenants: TenantPools) -> EgressPlan:
    return EgressPlan(
        entries={name: entry(name) for name in ("out1", "out2", "out3")},
        pools={one.name: one for one in pools},
        default_pool=default,
        tenants={int(number.removeprefix("t")): choice for number, choice in tenants.items()},
    )


SHARED, OWN, OTHERS = pool("shared", "out1"), pool("own", "out2", tenant_id=7), pool("x", "out3")
OTHERS = replace(OTHERS, tenant_id=8)


def test_what_is_asked_for_wins_over_the_tenants_choice_and_the_default():
    made = plan(SHARED, OWN, pool("d"), default="d", t7=TenantPools(any_class="own"))
    assert made.pool_for("shared", 7, BULK).name == "shared"
    assert made.pool_for("", 7, BULK).name == "own"
    assert made.pool_for("", 9, BULK).name == "d"


@pytest.mark.parametrize(
    ("traffic_class", "choice", "expected"),
    [
        (BULK, TenantPools(any_class="a", bulk="b", transactional="t"), "b"),
        (TRANSACTIONAL, TenantPools(any_class="a", bulk="b", transactional="t"), "t"),
        (BULK, TenantPools(any_class="a", transactional="t"), "a"),
        (TRANSACTIONAL, TenantPools(any_class="a", bulk="b"), "a"),
        (TRANSACTIONAL, TenantPools(bulk="b"), ""),
    ],
)
def test_a_class_may_have_a_pool_of_its_own(traffic_class, choice, expected):
    assert choice.of(traffic_class) == expected


@pytest.mark.parametrize("wanted", ["gone", "x"])
def test_a_pool_that_is_gone_or_anothers_is_passed_over(wanted):
    made = plan(SHARED, OTHERS, default="shared")
    assert made.pool_for(wanted, 7, BULK) == SHARED
    assert plan(OTHERS, default="gone", t7=TenantPools(any_class="x")).pool_for(
        wanted, 7, BULK
    ).members == (Member(egress="out1"), Member(egress="out2"))


def test_without_a_pool_mail_leaves_from_every_address_that_is_no_tenants_own():
    everything = plan(SHARED, OWN).pool_for("", 9, TRANSACTIONAL)
    assert [(member.egress, member.weight) for member in everything.members] == [
        ("out1", 1),
        ("out3", 1),
    ]
    assert everything.name == ""


def test_fallbacks_follow_each_other_once():
    one, two, three = (
        pool("1", fallback="2"),
        pool("2", fallback="3"),
        pool("3", fallback="1"),
    )
    made = plan(one, two, three)
    assert list(made.chain(two, 7)) == [two, three, one]
    assert list(made.chain(SHARED, 7)) == [SHARED]


def test_a_chain_ends_at_what_is_gone_or_another_tenants():
    gone, foreign = pool("1", fallback="gone"), pool("2", fallback="x")
    made = plan(gone, foreign, OTHERS)
    assert list(made.chain(gone, 7)) == [gone]
    assert list(made.chain(foreign, 7)) == [foreign]
    assert list(made.chain(foreign, 8)) == [foreign, OTHERS]


def test_the_source_is_of_the_receivers_family():
    assert BOTH.source_for("198.51.100.1") == "192.0.2.1"
    assert BOTH.source_for("2001:db8:1::1") == "2001:db8::1"
    assert replace(BOTH, address="", address6="").source_for("198.51.100.1") == ""


def test_an_egress_reaches_the_families_it_has():
    assert BOTH.ipv4
    assert not replace(BOTH, address="").ipv4
    assert replace(BOTH, address="", address6="").ipv4  # the machine chooses


@pytest.mark.parametrize(
    ("ipv6", "state", "expected"),
    [
        (True, EgressState.ENABLED, True),
        (True, EgressState.DRAINING, True),  # it still sends what is in its lanes
        (True, EgressState.DISABLED, False),
        (False, EgressState.ENABLED, False),
    ],
)
def test_mail_can_leave_over_ipv6_while_an_address_that_sends_has_it(ipv6, state, expected):
    only4 = Egress(name="only4", address="192.0.2.2", helo="b.example", ipv6=False)
    one = EgressEntry(egress=replace(BOTH, ipv6=ipv6), state=state)
    entries = {"only4": EgressEntry(egress=only4), "both": one}
    assert EgressPlan(entries=entries).has_ipv6 is expected
