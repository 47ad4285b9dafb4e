"""What to ask a blocklist, what its answers mean, and which egress may be drained."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.blocklists import Blocklist, Family, ListState, Target, Verdict, shipped_lists
from appliance.blocklists.rules import (
    TEST_ENTRIES,
    Heard,
    is_drained_by_us,
    is_public,
    judge,
    judge_probe,
    meaning,
    question,
    targets_of,
    why_not_drain,
)
from mta.egress import EgressEntry, EgressPlan, EgressState, Member, Pool
from mta.message import Egress

ZEN = next(entry for entry in shipped_lists() if entry.zone == "zen.spamhaus.org")
ANY = Blocklist(
    name="any",
    zone="any.test",
    families=(Family.IPV4,),
    drain=False,
    lookup="https://any.test/",
    runbook=("wait",),
    codes={"127.0.0.*": "something", "127.0.0.9": "something else"},
    refused={"127.0.0.200": "too many questions"},
)


def test_an_address_is_asked_for_backwards():
    assert question("203.0.113.5", "zen.spamhaus.org") == "5.113.0.203.zen.spamhaus.org"


def test_an_ipv6_address_is_asked_for_nibble_by_nibble():
    """The example of RFC 5782 section 2.4."""
    asked = question("2001:db8:1:2:3:4:567:89ab", "ugly.example.com")
    nibbles = "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2"
    assert asked == f"{nibbles}.ugly.example.com"


@given(st.ip_addresses())
def test_every_address_has_a_name_that_dns_takes(address):
    asked = question(str(address), "bl.ipv6.spameatingmonkey.net")
    assert len(asked) < 254
    assert asked.count(".") == (31 if address.version == 6 else 3) + 4


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ((), Verdict.CLEAR),
        (("127.0.0.2",), Verdict.LISTED),
        (("127.0.0.10",), Verdict.LISTED),
        (("127.0.0.3", "127.0.0.4"), Verdict.LISTED),
        # Never a listing: refusals, the address that nobody may list, codes without a meaning, and
        # what a resolver that rewrites answers puts there.
        (("127.255.255.252",), Verdict.UNKNOWN),
        (("127.255.255.254",), Verdict.UNKNOWN),
        (("127.255.255.255",), Verdict.UNKNOWN),
        (("127.255.255.7",), Verdict.UNKNOWN),
        (("127.0.0.2", "127.255.255.254"), Verdict.UNKNOWN),
        (("127.0.0.1",), Verdict.UNKNOWN),
        (("127.0.0.99",), Verdict.UNKNOWN),
        (("198.51.100.1",), Verdict.UNKNOWN),
    ],
)
def test_only_a_code_with_a_meaning_is_a_listing(codes, verdict):
    found, why = judge(ZEN, Heard(codes=codes))
    assert found is verdict
    assert bool(why) is (verdict is Verdict.UNKNOWN)


def test_a_refusal_is_told_in_the_words_of_the_file():
    _, why = judge(ZEN, Heard(codes=("127.255.255.254",)))
    assert "public resolver" in why


def test_a_failure_of_dns_says_nothing_of_the_address():
    assert judge(ZEN, Heard(trouble="time-out")) == (Verdict.UNKNOWN, "time-out")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("127.0.0.7", "something"),
        ("127.0.0.9", "something else"),
        ("127.0.0.1", ""),
        ("127.0.1.2", ""),
        ("127.255.255.254", ""),
    ],
)
def test_a_star_stands_for_the_codes_without_a_line_of_their_own(code, words):
    assert ANY.meaning_of(code) == words


def test_codes_of_one_meaning_are_told_once():
    assert meaning(ANY, ("127.0.0.2", "127.0.0.3", "127.0.0.9", "10.0.0.1")) == (
        "something; something else"
    )


def probe(entry, *answers):
    tests = [test for family in entry.families for test in TEST_ENTRIES[family]]
    heard = [one if isinstance(one, Heard) else Heard(codes=one) for one in answers]
    return judge_probe(entry, list(zip(tests, heard, strict=True)))


YES, NO, DEAD = ("127.0.0.2",), (), Heard(trouble="SERVFAIL")


@pytest.mark.parametrize(
    ("answers", "state", "why"),
    [
        ((YES, NO), ListState.USABLE, ""),
        ((("127.0.0.10",), NO), ListState.USABLE, ""),
        ((NO, NO), ListState.UNUSABLE, "does not list 127.0.0.2"),
        ((YES, YES), ListState.UNUSABLE, "lists everything"),
        ((("198.51.100.1",), NO), ListState.UNUSABLE, "does not list"),
        ((("127.255.255.254",), NO), ListState.UNUSABLE, "127.255.255.254"),
        ((("127.255.255.254",),) * 2, ListState.UNUSABLE, "does not answer us"),
        ((("127.0.0.200",), NO), ListState.UNUSABLE, "too many questions"),
        ((DEAD, DEAD), ListState.UNREACHABLE, "SERVFAIL"),
        ((YES, DEAD), ListState.UNREACHABLE, "SERVFAIL"),
        ((DEAD, YES), ListState.UNUSABLE, "lists everything"),
    ],
)
def test_a_list_is_believed_only_after_its_test_entries(answers, state, why):
    found = probe(ANY, *answers)
    assert found.state is state
    assert why in found.why
    assert bool(found.why) is (state is not ListState.USABLE)


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ((YES, NO, YES, NO), ListState.USABLE),
        ((YES, NO, NO, NO), ListState.USABLE),  # not every list has the entry for IPv6
        ((YES, NO, YES, YES), ListState.UNUSABLE),
        ((NO, NO, NO, NO), ListState.UNUSABLE),
    ],
)
def test_a_list_of_both_families_is_tested_in_both(answers, state):
    assert probe(ZEN, *answers).state is state


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("2620:fe::fe", True),
        ("10.0.0.1", False),
        ("127.0.0.2", False),
        ("192.0.2.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("224.0.1.1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::1", False),
    ],
)
def test_only_public_addresses_can_be_listed(address, public):
    assert is_public(address) is public


def entry(name, state=EgressState.ENABLED, why="", address="", address6=""):
    egress = Egress(name=name, address=address, address6=address6, helo="x.test", ipv6=False)
    return EgressEntry(egress=egress, state=state, why=why)


def plan(*entries, pools=()):
    made = {
        name: Pool(name=name, members=tuple(Member(egress=one) for one in members))
        for name, members in pools
    }
    return EgressPlan(entries={one.egress.name: one for one in entries}, pools=made)


def test_both_addresses_of_every_egress_are_looked_up_but_private_ones():
    found = plan(
        entry("b", address="9.9.9.9", address6="2620:fe::fe"),
        entry("a", EgressState.DISABLED, address="9.9.9.10"),
        entry("c", address="10.0.0.1"),
        entry("default"),
    )
    wanted = [("a", "9.9.9.10"), ("b", "9.9.9.9"), ("b", "2620:fe::fe")]
    assert targets_of(found) == tuple(Target(egress=e, address=a) for e, a in wanted)
    assert Target(egress="c", address="10.0.0.1") in targets_of(found, private_too=True)


DRAINED = EgressState.DRAINING


@pytest.mark.parametrize(
    ("entries", "pools", "why"),
    [
        ((entry("a"),), (), "of the box"),
        ((entry("a"), entry("b", DRAINED)), (), "of the box"),
        ((entry("a"), entry("b", EgressState.DISABLED)), (), "of the box"),
        ((entry("a"), entry("b")), (), ""),
        ((entry("a"), entry("b")), (("news", "a"),), "of pool news"),
        ((entry("a"), entry("b")), (("news", "ab"),), ""),
        ((entry("a"), entry("b", DRAINED), entry("c")), (("news", "ab"),), "of pool news"),
        ((entry("a"), entry("b")), (("news", "b"),), ""),
        ((entry("a"), entry("b")), (("news", "ax"),), "of pool news"),  # x is gone
        ((entry("a"), entry("b")), (("one", "ab"), ("two", "a")), "of pool two"),
    ],
)
def test_the_last_enabled_address_of_box_or_pool_goes_on(entries, pools, why):
    found = why_not_drain(plan(*entries, pools=pools), "a")
    assert found.endswith(why)
    assert bool(found) is bool(why)


def test_the_last_address_that_is_nobodys_own_goes_on():
    """Mail that names no pool leaves from the addresses that no tenant has for itself."""
    own = Pool(name="acmes", tenant_id=7, members=(Member(egress="b"),))
    entries = {name: entry(name) for name in "abc"}
    two = EgressPlan(entries={name: entries[name] for name in "ab"}, pools={"acmes": own})
    assert why_not_drain(two, "a").endswith("that no tenant has for itself")
    assert not why_not_drain(EgressPlan(entries=entries, pools={"acmes": own}), "a")


@pytest.mark.parametrize(
    ("state", "why", "ours"),
    [
        (DRAINED, "listed on zen.spamhaus.org", True),
        (DRAINED, "moving to another rack", False),
        (EgressState.DISABLED, "listed on zen.spamhaus.org", False),
        (EgressState.ENABLED, "", False),
    ],
)
def test_only_what_drains_for_a_listing_is_ours_to_enable(state, why, ours):
    assert is_drained_by_us(entry("a", state, why)) is ours
    assert not is_drained_by_us(None)
