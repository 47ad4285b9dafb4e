"""The same hosts under different policies for TLS: lanes of their own, one zone, the newest records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.scheduling.lanes import Lanes
from mta.scheduling.regulator import Regulator
from mta.scheduling.window import Window
from mta.shaping.book import parse_book
from mta.shaping.throttles import Throttles
from mta.transport.base import MxHost, Site, TlsDemand
from mta.transport.dane import Tlsa
from tests.support.way import EGRESS, FAST

KEY = "mx.good.test:25"


@pytest.fixture
def regulator() -> Regulator:
    book = parse_book(FAST, "test")
    return Regulator(book=lambda: book, throttles=Throttles(lambda: book), ledger=None)  # type: ignore[arg-type]


def site(demand: str = "", *, dane: tuple[Tlsa, ...] | None = None, address: str = "::1") -> Site:
    host = MxHost(name="mx.good.test", preference=10, addresses=(address,), dane=dane)
    tls = TlsDemand.VERIFIED if demand == "|sts" else TlsDemand.OPPORTUNISTIC
    return Site(key=KEY + demand, hosts=(host,), port=25, tls=tls)


def lanes(regulator: Regulator) -> Lanes:
    return Lanes(regulator, Window(max_recipients=100, max_bytes=1 << 20), lambda _: 1)


def test_what_one_answer_slows_is_slow_for_all_that_goes_to_those_hosts(
    regulator: Regulator,
) -> None:
    made = lanes(regulator)
    flows = {id(made.of(EGRESS, site(demand)).flow) for demand in ("", "|sts", "|dane", "|report")}
    assert len(flows) == 1
    assert len(made) == 4
    assert regulator.zone_of(site("|sts")).key == KEY


@pytest.mark.parametrize("demand", ["", "|sts", "|dane|sts", "|report"])
def test_a_site_has_one_name_for_people_and_pauses_whatever_its_policy(demand: str) -> None:
    assert site(demand).name == "mx.good.test"


def test_a_lane_that_lives_on_opens_by_the_newest_records(regulator: Regulator) -> None:
    made = lanes(regulator)
    old = site("|dane", dane=(Tlsa(3, 1, 1, b"o" * 32),))
    new = site("|dane", dane=(Tlsa(3, 1, 1, b"n" * 32),), address="::2")
    lane = made.of(EGRESS, old)
    assert made.of(EGRESS, new) is lane
    assert lane.site is new


def test_a_policy_is_told_in_words() -> None:
    assert site().policy == ""
    assert site("|dane", dane=()).policy == "DANE"
    assert site("|sts").policy == "MTA-STS"
    assert (
        replace(site("|sts", dane=()), tls=TlsDemand.TESTING).policy == "DANE and MTA-STS (testing)"
    )
