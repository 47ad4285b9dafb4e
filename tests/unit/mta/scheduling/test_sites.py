"""Sites: what is known of a domain holds until DNS or the directory says otherwise."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from appliance.core import clock
from mta.scheduling import sites as module
from mta.scheduling.parcel import Parcel
from mta.scheduling.sites import AT_ONCE, Sites
from mta.status import TrafficClass
from mta.transport.base import Site
from tests.support.recipients import message, recipient
from tests.support.way import Routes, site_on, until


def parcel(tenant_id: int = 7, kind: TrafficClass = TrafficClass.BULK) -> Parcel:
    return Parcel(message(tenant_id=tenant_id, traffic_class=kind), [recipient()], None)


class Asked:
    """Sites over routes that count questions."""

    def __init__(self) -> None:
        self.routes = Routes(25)
        self.answered = 0
        self.sites = Sites(self.routes, self._answer)

    async def _answer(self, *_: object) -> None:
        self.answered += 1

    async def ask(self, domain: str) -> None:
        before = self.answered
        self.sites.ask(domain, parcel())
        await until(lambda: self.answered > before)


async def test_a_site_from_dns_is_forgotten_when_ipv6_comes_into_use_and_not_before() -> None:
    asked = Asked()
    asked.routes.special["good.test"] = replace(site_on(25), expires_at=clock.now_ms() + 60_000)
    await asked.ask("good.test")
    asked.sites.directory_changed(ipv6=False)
    assert asked.sites.known("good.test") is not None
    asked.sites.directory_changed(ipv6=True)
    assert asked.sites.known("good.test") is None
    await asked.ask("good.test")
    for ipv6 in (True, False):
        asked.sites.directory_changed(ipv6=ipv6)
        assert asked.sites.known("good.test") is not None


async def test_a_site_that_was_found_before_the_clock_stepped_back_is_asked_for_anew() -> None:
    asked, ahead = Asked(), clock.now_ms() + clock.HOUR
    site = replace(site_on(25), asked_at=ahead, expires_at=ahead + clock.MINUTE)
    asked.routes.special["good.test"] = site
    await asked.ask("good.test")
    assert asked.sites.known("good.test") is None
    assert asked.sites.last_known("good.test") is site


@pytest.mark.parametrize("ipv6", [True, False])
async def test_a_site_that_somebody_wrote_down_holds_until_the_directory_changes(
    ipv6: bool,
) -> None:
    asked = Asked()
    await asked.ask("relay.test")
    assert asked.sites.known("relay.test") is not None
    asked.sites.directory_changed(ipv6=ipv6)
    assert asked.sites.known("relay.test") is None


class SlowRoutes(Routes):
    """Answers one look-up when it is told to."""

    async def site_of(self, domain: str) -> Site:
        self.asked.append(domain)
        self.gate = self.gate if hasattr(self, "gate") else asyncio.Semaphore(0)
        await self.gate.acquire()
        return site_on(self.port)


def crowded() -> Asked:
    """As many domains are asked for as may be at once, and as many wait."""
    asked = Asked()
    asked.routes = SlowRoutes(25)
    asked.sites = Sites(asked.routes, asked._answer)
    for number in range(2 * AT_ONCE):
        asked.sites.ask(f"bulk{number}.test", parcel())
    return asked


async def test_a_receipt_to_a_new_domain_passes_the_domains_of_bulk_that_wait() -> None:
    asked = crowded()
    asked.sites.ask("receipt.test", parcel(8, TrafficClass.TRANSACTIONAL))
    await until(lambda: len(asked.routes.asked) == AT_ONCE)
    asked.routes.gate.release()
    await until(lambda: len(asked.routes.asked) == AT_ONCE + 1)
    assert asked.routes.asked[-1] == "receipt.test"
    for _ in range(2 * AT_ONCE):
        asked.routes.gate.release()
    await until(lambda: asked.answered == 2 * AT_ONCE + 1)
    assert len(set(asked.routes.asked)) == len(asked.routes.asked) == 2 * AT_ONCE + 1


async def test_a_receipt_to_a_domain_that_waits_already_moves_it_forward() -> None:
    asked = crowded()
    last = f"bulk{2 * AT_ONCE - 1}.test"
    asked.sites.ask(last, parcel(8, TrafficClass.TRANSACTIONAL))
    await until(lambda: len(asked.routes.asked) == AT_ONCE)
    asked.routes.gate.release()
    await until(lambda: len(asked.routes.asked) == AT_ONCE + 1)
    assert asked.routes.asked[-1] == last
    for _ in range(2 * AT_ONCE):
        asked.routes.gate.release()
    await until(lambda: asked.answered == 2 * AT_ONCE)
    assert asked.routes.asked.count(last) == 1


async def test_what_was_asked_for_longest_ago_is_forgotten_first(monkeypatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    asked = Asked()
    for domain in ("a.test", "b.test", "a.test", "c.test"):
        await asked.ask(domain)
    assert asked.sites.known("b.test") is None
    assert asked.sites.known("a.test") is not None
