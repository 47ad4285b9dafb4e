"""MTA-18: from a recipient's domain to a site, over a real DNS server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core.dns import Resolver
from appliance.core.settings import Smarthost
from appliance.lab.dns_server import Fault, LabDns
from mta.transport.base import RouteError, Router
from mta.transport.mx_cache import MxCache
from mta.transport.route import DirectRouter, SmarthostRouter, router_for
from tests.support.delivery import delivery, dns_settings
from tests.support.fake_clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ZONE = {
    "good.test": {"MX": ["10 mx1.good.test.", "20 mx2.good.test."]},
    "twin.test": {"MX": ["5 mx2.good.test.", "5 mx1.good.test."]},
    "mx1.good.test": {"A": ["127.0.0.2"], "AAAA": ["2001:db8::2"]},
    "mx2.good.test": {"A": ["127.0.0.3"]},
    "bare.test": {"A": ["127.0.0.4"]},
    "empty.test": {"TXT": ["nothing here"]},
    "null.test": {"MX": ["0 ."]},
    "alias.test": {"CNAME": ["good.test."]},
    "xn--bcher-kva.test": {"MX": ["10 mx1.good.test."]},
    "self.test": {"MX": ["10 box.example.", "20 mx1.good.test."]},
    "literal.test": {"MX": ["10 192.0.2.1."]},
    "lost.test": {"MX": ["10 nowhere.good.test."]},
    "half.test": {"MX": ["10 mx1.good.test.", "20 sick.good.test."]},
    "sick.test": {"MX": ["10 sick.good.test."]},
    "sick.good.test": {"A": ["127.0.0.5"]},
    "crowd.test": {"MX": [f"{n} h{n}.crowd.test." for n in range(30)]},
    "*.crowd.test": {"A": ["127.0.0.6"]},
    "relay.test": {"A": ["127.0.0.7"]},
    "down.test": {"MX": ["10 mx1.good.test."]},
}
FAULTS = {"sick.good.test": Fault.SERVFAIL, "down.test": Fault.SILENCE}


@pytest.fixture
async def dns() -> AsyncIterator[LabDns]:
    async with LabDns(ZONE, faults=FAULTS) as server:
        yield server


def router(
    dns: LabDns, *, now: Any = None, cache: MxCache | None = None, **changes: Any
) -> DirectRouter:
    clock = now or FakeClock()
    resolver = Resolver(dns_settings(dns, timeout=2.0), now=clock)
    own = {"box.example"}
    return DirectRouter(
        resolver, delivery(**changes), own_names=lambda: own, cache=cache, now=clock
    )


async def hosts(router: Router, domain: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(h.name, h.addresses) for h in (await router.site_of(domain)).hosts]


async def refusal(router: Router, domain: str) -> str:
    with pytest.raises(RouteError) as caught:
        await router.site_of(domain)
    return f"{caught.value.reply.code} {caught.value.reply.enhanced}"


async def test_mx_hosts_are_found_in_order_with_their_addresses(dns: LabDns) -> None:
    expected = [("mx1.good.test", ("127.0.0.2",)), ("mx2.good.test", ("127.0.0.3",))]
    for domain in ("good.test", "GOOD.test", "alias.test"):
        assert await hosts(router(dns), domain) == expected
    assert ("mx1.good.test", "AAAA") not in dns.asked  # nobody sends over IPv6


async def test_with_ipv6_aaaa_are_asked_too(dns: LabDns) -> None:
    found = await hosts(router(dns, ipv6=True), "good.test")
    assert found[0] == ("mx1.good.test", ("2001:db8::2", "127.0.0.2"))


async def test_domains_of_one_provider_share_their_site(dns: LabDns) -> None:
    here = router(dns)
    assert (await here.site_of("good.test")).key == (await here.site_of("twin.test")).key


async def test_a_domain_without_mx_is_its_own_host(dns: LabDns) -> None:
    assert await hosts(router(dns), "bare.test") == [("bare.test", ("127.0.0.4",))]


async def test_an_international_domain_is_asked_as_a_label(dns: LabDns) -> None:
    assert (await hosts(router(dns), "bücher.test"))[0][0] == "mx1.good.test"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("nowhere.test", "550 5.1.2"),
        ("empty.test", "550 5.1.2"),
        ("null.test", "556 5.1.10"),
        ("self.test", "550 5.4.6"),
        ("literal.test", "550 5.4.4"),
        ("lost.test", "550 5.4.4"),
        ("sick.test", "451 4.4.3"),
        ("down.test", "451 4.4.3"),
        ("not a domain..", "550 5.1.2"),
        ("[not an address]", "550 5.1.2"),
    ],
)
async def test_a_domain_that_cannot_be_reached_says_why(
    dns: LabDns, domain: str, expected: str
) -> None:
    assert await refusal(router(dns), domain) == expected


@pytest.mark.parametrize("domain", ["good.test", "bare.test", "[127.0.0.1]", "[IPv6:::1]"])
async def test_private_addresses_are_refused_after_resolution(dns: LabDns, domain: str) -> None:
    assert await refusal(router(dns, allow_private_addresses=False), domain) == "550 5.4.4"


async def test_an_address_literal_is_its_own_host(dns: LabDns) -> None:
    assert await hosts(router(dns), "[127.0.0.1]") == [("127.0.0.1", ("127.0.0.1",))]
    assert await hosts(router(dns), "[IPv6:::1]") == [("::1", ("::1",))]
    assert not dns.asked


async def test_the_number_of_hosts_is_bounded_before_their_addresses_are_asked(
    dns: LabDns,
) -> None:
    assert len(await hosts(router(dns), "crowd.test")) == 10
    assert sum(count for (_, rdtype), count in dns.asked.items() if rdtype == "A") == 10


async def test_a_host_that_cannot_be_asked_does_not_stop_the_others(dns: LabDns) -> None:
    clock = FakeClock()
    here = router(dns, now=clock)
    assert await hosts(here, "half.test") == [("mx1.good.test", ("127.0.0.2",))]
    dns.faults.clear()
    clock.advance(6)  # such an answer is kept for a moment only
    assert len(await hosts(here, "half.test")) == 2


async def test_a_known_domain_is_not_asked_again_until_it_expires(dns: LabDns) -> None:
    clock = FakeClock()
    here = router(dns, now=clock)
    site = await here.site_of("good.test")
    assert site.expires_at == clock.now + 300_000
    before = dns.asked.total()
    clock.advance(299)
    await here.site_of("good.test")
    assert dns.asked.total() == before
    clock.advance(1)
    await here.site_of("good.test")
    assert dns.asked.total() > before


async def test_what_was_asked_before_the_clock_stepped_back_is_asked_anew(
    dns: LabDns, tmp_path: Path
) -> None:
    clock = FakeClock()
    with MxCache(tmp_path / "cache.db", now=clock, flush_every=0.01) as cache:
        here = router(dns, now=clock, cache=cache)
        assert (await here.site_of("good.test")).holds(clock.now)
        assert await refusal(here, "null.test") == "556 5.1.10"
        clock.advance(-3600)
        before = dns.asked.copy()
        site = await here.site_of("good.test")
        assert (site.asked_at, site.expires_at) == (clock.now, clock.now + 300_000)
        assert await refusal(here, "null.test") == "556 5.1.10"
        assert all(
            dns.asked[name, "MX"] > before[name, "MX"] for name in ("good.test", "null.test")
        )


async def test_all_who_ask_at_once_share_one_look_up(dns: LabDns) -> None:
    here = router(dns)
    await asyncio.gather(*(here.site_of("good.test") for _ in range(20)))
    assert dns.asked["good.test", "MX"] == 1


async def test_what_is_known_survives_a_restart(dns: LabDns, tmp_path: Path) -> None:
    clock = FakeClock()
    with MxCache(tmp_path / "cache.db", now=clock, flush_every=0.01) as cache:
        first = await router(dns, now=clock, cache=cache).site_of("good.test")
        assert await refusal(router(dns, now=clock, cache=cache), "null.test") == "556 5.1.10"
    dns.asked.clear()
    with MxCache(tmp_path / "cache.db", now=clock, flush_every=0.01) as cache:
        here = router(dns, now=clock, cache=cache)
        assert await here.site_of("good.test") == first
        assert await refusal(here, "null.test") == "556 5.1.10"
        assert not dns.asked
        # With IPv6 switched on meanwhile, what is kept lacks half of the addresses.
        await router(dns, now=clock, cache=cache, ipv6=True).site_of("good.test")
        assert dns.asked["mx1.good.test", "AAAA"] == 1


async def test_our_own_bounce_domains_go_to_the_inbound_listener_without_dns(dns: LabDns) -> None:
    resolver = Resolver(dns_settings(dns))
    bounce_domains = {"bounces.good.test"}
    for smarthost in (Smarthost(), Smarthost(host="relay.test", port=587)):
        here = router_for(
            resolver,
            delivery(smarthost=smarthost),
            own_names=set,
            bounce_domains=lambda: bounce_domains,
            inbound=("127.0.0.1", 2525),
        )
        site = await here.site_of("Bounces.Good.Test")
        assert (site.key, site.port, site.hosts[0].addresses) == ("inbound", 2525, ("127.0.0.1",))
        assert not dns.asked
    bounce_domains.clear()  # the directory moved on
    assert (await here.site_of("bounces.good.test")).is_smarthost


async def test_a_smarthost_takes_every_domain(dns: LabDns) -> None:
    smarthost = Smarthost(host="relay.test", port=587)
    here = SmarthostRouter(Resolver(dns_settings(dns)), delivery(smarthost=smarthost))
    site = await here.site_of("nowhere.test")
    assert (site.key, site.port, site.is_smarthost) == ("smarthost:relay.test:587", 587, True)
    assert [(h.name, h.addresses) for h in site.hosts] == [("relay.test", ("127.0.0.7",))]


async def test_a_smarthost_may_be_an_address(dns: LabDns) -> None:
    settings = delivery(smarthost=Smarthost(host="127.0.0.9"))
    here = SmarthostRouter(Resolver(dns_settings(dns)), settings)
    assert await hosts(here, "x.test") == [("127.0.0.9", ("127.0.0.9",))]


@pytest.mark.parametrize("host", ["nowhere.test", "sick.good.test"])
async def test_a_smarthost_that_cannot_be_found_is_a_temporary_failure(
    dns: LabDns, host: str
) -> None:
    settings = delivery(smarthost=Smarthost(host=host))
    here = SmarthostRouter(Resolver(dns_settings(dns)), settings)
    assert await refusal(here, "x.test") == "451 4.4.3"


async def test_a_name_that_becomes_our_own_is_noticed_at_once(dns: LabDns) -> None:
    own: set[str] = set()
    resolver = Resolver(dns_settings(dns))
    here = DirectRouter(resolver, delivery(), own_names=lambda: frozenset(own))
    assert len(await hosts(here, "good.test")) == 2
    own.add("mx1.good.test")
    assert await refusal(here, "good.test") == "550 5.4.6"
    own.clear()
    assert len(await hosts(here, "good.test")) == 2


async def test_aaaa_are_asked_for_as_soon_as_mail_can_leave_over_ipv6(
    dns: LabDns, tmp_path: Path
) -> None:
    clock, usable = FakeClock(), [False]
    with MxCache(tmp_path / "cache.db", now=clock) as cache:
        here = DirectRouter(
            Resolver(dns_settings(dns), now=clock),
            delivery(),
            own_names=frozenset,
            ipv6=lambda: usable[0],
            cache=cache,
            now=clock,
        )
        assert await hosts(here, "good.test") == [
            ("mx1.good.test", ("127.0.0.2",)),
            ("mx2.good.test", ("127.0.0.3",)),
        ]
        assert ("mx1.good.test", "AAAA") not in dns.asked
        usable[0] = True  # an address was added: what is cached does not say enough any more
        found = await hosts(here, "good.test")
        assert found[0] == ("mx1.good.test", ("2001:db8::2", "127.0.0.2"))
        usable[0] = False  # and it is gone: nothing is asked again, for who sends picks the family
        assert await hosts(here, "good.test") == found
        assert dns.asked["mx1.good.test", "AAAA"] == 1


async def test_of_the_smarthost_too_aaaa_are_asked_for_while_they_are_of_use(dns: LabDns) -> None:
    dns.zone["relay.test"]["AAAA"] = ["2001:db8::7"]
    settings = delivery(smarthost=Smarthost(host="relay.test"))
    usable = [False]
    here = SmarthostRouter(Resolver(dns_settings(dns)), settings, lambda: usable[0])
    assert await hosts(here, "any.test") == [("relay.test", ("127.0.0.7",))]
    usable[0] = True
    assert await hosts(here, "any.test") == [("relay.test", ("127.0.0.7", "2001:db8::7"))]
