"""Blocklists asked over real DNS: who is listed, who is not, and when nobody can say."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from appliance.blocklists import ListState, Target, Verdict, look_up
from appliance.blocklists.look import MAX_AT_ONCE
from appliance.blocklists.rules import question
from appliance.core.dns import NoSuchNameError, Resolver
from appliance.lab.dns_server import Fault, LabDns
from tests.support.blocklists import blocklist, enlist, zone_of
from tests.support.delivery import dns_settings

ZEN, OTHER = blocklist("zen", ipv6=True), blocklist("other")
OUR4, OUR6 = Target(egress="out1", address="9.9.9.9"), Target(egress="out1", address="2620:fe::fe")


@pytest.fixture
async def dns():
    async with LabDns(zone_of(ZEN, OTHER)) as server:
        yield server


async def look(dns, *targets, lists=(ZEN, OTHER), **changes):
    found = await look_up(lists, targets, Resolver(dns_settings(dns, **changes)))
    return found, {(a.zone, a.target.address): a for a in found.answers}


async def test_listed_and_clear_are_told_apart_in_both_families(dns):
    enlist(dns, OUR4.address, "zen.test", "127.0.0.2", "127.0.0.4", text="see\tzen.test")
    enlist(dns, OUR6.address, "zen.test", "127.0.0.4")
    found, answers = await look(dns, OUR4, OUR6)
    assert {zone: probe.state for zone, probe in found.probes.items()} == {
        "zen.test": ListState.USABLE,
        "other.test": ListState.USABLE,
    }
    first = answers["zen.test", OUR4.address]
    assert (first.verdict, first.codes) == (Verdict.LISTED, ("127.0.0.2", "127.0.0.4"))
    assert first.text == "see zen.test"  # a terminal's control characters are gone
    second = answers["zen.test", OUR6.address]
    assert (second.verdict, second.codes, second.text) == (Verdict.LISTED, ("127.0.0.4",), "")
    assert answers["other.test", OUR4.address].verdict is Verdict.CLEAR
    assert ("other.test", OUR6.address) not in answers  # it knows no IPv6
    nibbles = "e.f." + "0.0." * 11 + "e.f.0.0.0.2.6.2.zen.test"
    assert dns.asked[nibbles, "A"] == 1


async def test_a_name_without_an_a_record_is_clear(dns):
    dns.zone[question(OUR4.address, "zen.test")] = {"TXT": ["not listed"]}
    _, answers = await look(dns, OUR4)
    assert answers["zen.test", OUR4.address].verdict is Verdict.CLEAR


async def test_a_list_that_refuses_us_lists_nobody(dns):
    """Spamhaus answers so to everything that comes through a public resolver."""
    for name in [name for name in dns.zone if name.endswith(".zen.test")]:
        del dns.zone[name]
    dns.zone["*.zen.test"] = {"A": ["127.255.255.254"]}
    found, answers = await look(dns, OUR4)
    assert found.probes["zen.test"].state is ListState.UNUSABLE
    assert "public resolver" in found.probes["zen.test"].why
    refused = answers["zen.test", OUR4.address]
    assert (refused.verdict, refused.why) == (Verdict.UNKNOWN, found.probes["zen.test"].why)
    assert dns.asked[question(OUR4.address, "zen.test"), "A"] == 0


async def test_a_list_that_begins_to_refuse_in_the_middle_lists_nobody(dns):
    enlist(dns, OUR4.address, "zen.test", "127.255.255.255")
    found, answers = await look(dns, OUR4)
    assert found.probes["zen.test"].state is ListState.USABLE
    assert answers["zen.test", OUR4.address].verdict is Verdict.UNKNOWN


async def test_a_dead_list_whose_zone_answers_everything_lists_nobody(dns):
    dns.zone["*.zen.test"] = {"A": ["127.0.0.2"]}
    found, answers = await look(dns, OUR4)
    assert found.probes["zen.test"].state is ListState.UNUSABLE
    assert "lists everything" in found.probes["zen.test"].why
    assert answers["zen.test", OUR4.address].verdict is Verdict.UNKNOWN
    assert answers["other.test", OUR4.address].verdict is Verdict.CLEAR


async def test_an_empty_list_is_not_believed(dns):
    del dns.zone[question("127.0.0.2", "other.test")]
    found, answers = await look(dns, OUR4)
    assert found.probes["other.test"].state is ListState.UNUSABLE
    assert answers["other.test", OUR4.address].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.REFUSED, Fault.SILENCE, Fault.GARBAGE])
async def test_a_failure_of_dns_is_neither_listed_nor_clear(dns, fault):
    dns.faults[enlist(dns, OUR4.address, "zen.test")] = fault
    found, answers = await look(dns, OUR4, timeout=1.0)
    assert found.probes["zen.test"].state is ListState.USABLE
    assert answers["zen.test", OUR4.address].verdict is Verdict.UNKNOWN
    assert answers["zen.test", OUR4.address].why


async def test_without_a_name_server_nobody_can_say():
    server = LabDns({})
    await server.start()
    address = server.address
    await server.stop()
    found, answers = await look(address, OUR4, OUR6, timeout=1.0)
    assert {probe.state for probe in found.probes.values()} == {ListState.UNREACHABLE}
    assert {answer.verdict for answer in answers.values()} == {Verdict.UNKNOWN}


async def test_a_text_that_cannot_be_had_leaves_the_listing(dns):
    class NoTexts(Resolver):
        async def txt(self, name):
            raise NoSuchNameError(name, 0)

    enlist(dns, OUR4.address, "zen.test", text="words")
    found = await look_up([ZEN], [OUR4], NoTexts(dns_settings(dns)))
    assert [(one.verdict, one.text) for one in found.answers] == [(Verdict.LISTED, "")]


async def test_every_answer_is_told_as_it_comes():
    told = []
    found = await look_up([ZEN, OTHER], [OUR4, OUR6], _Slow(), on_answer=told.append)
    assert Counter(told) == Counter(found.answers)
    assert len(told) == 3


class _Slow:
    """Lists nobody; counts how many wait at once."""

    def __init__(self):
        self.now = self.most = 0

    async def addresses(self, name, *, ipv6):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        raise NoSuchNameError(name, 0)

    async def txt(self, name):
        raise AssertionError("nobody is listed")


async def test_only_so_many_questions_are_under_way():
    slow = _Slow()
    await look_up([blocklist(f"l{n}") for n in range(40)], [OUR4], slow)
    assert slow.most == MAX_AT_ONCE
