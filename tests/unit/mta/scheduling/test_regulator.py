"""What holds for the receivers of a process: zones, flows, and what answers change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.message import Attempt, Egress, RecipientResult
from mta.reply import Reply
from mta.scheduling.lane import Lane
from mta.scheduling.regulator import Regulator
from mta.shaping.book import parse_book
from mta.shaping.throttle import ChangeKind
from mta.shaping.throttles import Throttles, Treat
from mta.status import Phase, Scope
from mta.transport.base import MxHost, Site
from mta.transport.route import INBOUND_KEY
from tests.support.recipients import message, recipient
from tests.support.throttling import NOW

FILE = """
[default]
connections = 4
messages_per_connection = 100
tls = "opportunistic"

[provider.google]
title = "Google"
mx = [".google.example"]
connections = 2
messages_per_connection = 10

[[rule]]
id = "too-fast"
provider = "google"
code = ["421"]
enhanced = ["4.7.28"]
text = ["unusual rate"]
then = [{ do = "slow", rate = "10/min", for = "30 min" }]
samples = ["421 4.7.28 an unusual rate of mail"]

[[rule]]
id = "full"
code = ["452"]
text = ["mailbox full"]
then = [{ do = "defer", for = "1 h" }]
samples = ["452 4.2.2 mailbox full"]

[[rule]]
id = "tls"
code = ["454"]
text = ["tls not available"]
then = [{ do = "plaintext", for = "1 h" }]
samples = ["454 4.7.0 tls not available"]
"""
EGRESS = Egress(name="out1", address="", helo="box.lab", ipv6=False)


def site(host="mx1.google.example", **changes):
    hosts = (MxHost(name=host, preference=1, addresses=("192.0.2.1",)),)
    return replace(Site(key=f"{host}:25", hosts=hosts, port=25), **changes)


class World:
    def __init__(self):
        self.book = parse_book(FILE, "test")
        self.changes, self.plaintext = [], []
        self.regulator = Regulator(
            book=lambda: self.book,
            throttles=Throttles(lambda: self.book),
            ledger=None,
            on_change=self.changes.append,
            on_plaintext=lambda host, ms: self.plaintext.append((host, ms)),
        )

    def lane(self, at=None):
        at = at or site()
        flow = self.regulator.flow(EGRESS.name, self.regulator.zone_of(at))
        return Lane(EGRESS, at, flow, lambda _: 1)

    def heard(self, *answers, phase=Phase.DOT):
        people = [recipient(1, n) for n in range(len(answers))]
        results = tuple(
            RecipientResult(n=n, reply=Reply.from_text(*said), phase=phase, scope=Scope.MESSAGE)
            for n, said in enumerate(answers)
        )
        attempt = Attempt(
            results=results,
            host="mx1.google.example",
            address="192.0.2.1",
            egress="out1",
            tls="",
            steps=(),
            started_at=NOW,
            ended_at=NOW,
        )
        return self.regulator.heard(self.lane(), message(), people, attempt, NOW)


@pytest.fixture
def world():
    return World()


def test_a_named_provider_is_one_zone_with_all_its_sites_and_others_are_each_their_own(world):
    zones = [
        world.regulator.zone_of(site(name)) for name in ("mx1.google.example", "mx2.google.example")
    ]
    assert {zone.key for zone in zones} == {"google"}
    other = world.regulator.zone_of(site("mx.example.net"))
    assert (other.key, other.provider.name) == ("mx.example.net:25", "")


@pytest.mark.parametrize(
    "at", [site(is_smarthost=True), site(key=INBOUND_KEY)], ids=["smarthost", "inbound"]
)
def test_hops_that_somebody_chose_are_under_no_receiver_s_rules(world, at):
    assert world.regulator.zone_of(at).provider is world.regulator.chosen


def test_new_rules_hold_for_what_flows_already(world):
    lane = world.lane()
    assert lane.zone.provider.limits.connections == 2
    world.book = parse_book(FILE.replace("connections = 2", "connections = 9"), "test")
    world.regulator.zone_of(site())
    assert lane.zone.provider.limits.connections == 9


def test_a_site_changes_its_zone_with_the_file(world):
    before = world.regulator.zone_of(site())
    world.book = parse_book(FILE.replace(".google.example", ".elsewhere.example"), "test")
    assert world.regulator.zone_of(site()).key == "mx1.google.example:25" != before.key


def test_answers_slow_the_address_and_the_change_is_told(world):
    world.heard((421, "4.7.28 we see an unusual rate of mail"))
    [change] = world.changes
    assert (change.kind, change.subject.egress, change.subject.zone) == (
        ChangeKind.SLOWED,
        "out1",
        "google",
    )


def test_an_answer_is_treated_as_its_rule_says_and_only_for_who_got_it(world):
    found = world.heard((250, "2.0.0 taken"), (452, "4.2.2 mailbox full"), (451, "4.3.0 later"))
    assert found[1].treat is Treat.DEFER
    assert found[1].wait == 3_600_000
    assert found[2].treat is None
    assert 0 not in found


def test_one_answer_to_a_whole_transaction_is_heard_once(world):
    world.heard(*[(421, "4.7.28 unusual rate")] * 5)
    assert len(world.changes) == 1


def test_a_host_whose_tls_is_broken_is_named_to_who_opens_connections(world):
    world.heard((454, "4.7.0 tls not available"), phase=Phase.STARTTLS)
    assert world.plaintext == [("mx1.google.example", 3_600_000)]


def test_a_flow_is_kept_while_it_has_lanes_or_owes_anything(world):
    lane = world.lane()
    flow = lane.flow
    flow.connected(lane.site, NOW)
    flow.lanes -= 1
    world.regulator.forget(flow, NOW)
    assert world.regulator.flows() == [flow]
    flow.disconnected(lane.site)
    world.regulator.tidy(NOW)
    assert world.regulator.flows() == []
    assert world.regulator.connections_of("out1", lane.zone) == 0
