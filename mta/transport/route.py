"""Finds the site of a recipient domain.

    InboundFirst      our own bounce and reply domains go to the box's own inbound listener
    DirectRouter      the receivers' MX hosts: memory, then `cache.db`, then DNS
    SecuredRouter     around it: what the receivers' policies demand of TLS (secured.py)
    WithReports       beside it: nothing is demanded for reports on TLS (RFC 8460 section 3)
    SmarthostRouter   one next hop for everything
    router_for()      the chain that the settings ask for

Promises: a domain that is cached costs a dictionary look-up; questions under way are shared; the
number of hosts and addresses is bounded before anything is asked. A failure of DNS is a temporary
RouteError (4.4.3) and never removes what is cached. The questions are in facts.py, the rules in mx.py.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core import clock, tasks
from mta.transport import mx
from mta.transport.base import MxHost, Site, TlsDemand
from mta.transport.facts import FactFinder, one_family
from mta.transport.secured import SecuredRouter
from mta.transport.tls_results import AppliedPolicy, Failure, PolicyType, TlsResults

if TYPE_CHECKING:
    from appliance.core.dns import Resolver
    from appliance.core.settings import Delivery
    from mta.transport.base import Router
    from mta.transport.mta_sts import StsPolicies
    from mta.transport.mx import MxFacts
    from mta.transport.mx_cache import MxCache

Names = Callable[[], Collection[str]]
Now = Callable[[], int]
_MAX_DOMAINS: Final = 20_000  # about 3 KB each; cache.db holds the rest
INBOUND_KEY: Final = "inbound"
SMARTHOST_KEY: Final = "smarthost"
OVERFLOW: Final = "*smarthost"
"""Instead of a domain: the smarthost, for what no warmup has room for (delivery.smarthost.use)."""
REPORT_TO: Final = "*report:"
"""Before a domain: its hosts without any demand on TLS, for a report that must arrive."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """A site, and what it was made with."""

    site: Site
    own_names: Collection[str]
    facts: MxFacts


class DirectRouter:
    """Receivers' MX hosts. `own_names` and `ipv6` are asked at each decision: they change while we run."""

    def __init__(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
        self,
        resolver: Resolver,
        delivery: Delivery,
        *,
        own_names: Names,
        ipv6: Callable[[], bool] | None = None,
        cache: MxCache | None = None,
        results: TlsResults | None = None,
        now: Now = clock.now_ms,
    ) -> None:
        self._finder = FactFinder(resolver, delivery, ipv6)
        self._delivery = delivery
        self._own_names = own_names
        self._cache = cache
        self._results = results or TlsResults()
        self._now = now
        self._known: OrderedDict[str, MxFacts] = OrderedDict()
        # Deciding anew costs 26 us for five hosts; it is asked for each recipient.
        self._decided: dict[str, _Decision] = {}
        self._asking: dict[str, asyncio.Task[MxFacts]] = {}

    async def site_of(self, domain: str) -> Site:
        """The MX hosts of the domain, an address literal as itself."""
        own_names = self._own_names()
        decided = self._decided.get(domain)
        if decided is not None and self._holds(decided, own_names):
            return decided.site
        if domain.startswith("["):
            return self._literal(domain)
        name = mx.a_label(domain)
        facts = self._remembered(name) or await self._shared(name)
        site = mx.decide(
            name,
            facts,
            own_names=own_names,
            port=self._delivery.remote_port,
            allow_private=self._delivery.allow_private_addresses,
        )
        if len(self._decided) >= _MAX_DOMAINS:
            self._decided.clear()
        self._decided[domain] = _Decision(site, frozenset(own_names), facts)
        return site

    def _holds(self, decided: _Decision, own_names: Collection[str]) -> bool:
        if not decided.facts.holds(self._now()) or decided.own_names != own_names:
            return False
        return self._finder.would_ask(decided.facts)

    def _literal(self, domain: str) -> Site:
        """user@[192.0.2.1] (RFC 5321 section 4.1.3): no DNS, same rules for the address."""
        address = domain.strip("[]")
        if address[:5].lower() == "ipv6:":
            address = address[5:]
        if not mx.is_address(address):
            raise mx.refused(550, "5.1.2", f"{domain[:80]} is not an address")
        if not mx.reachable((address,), allow_private=self._delivery.allow_private_addresses):
            raise mx.refused(550, "5.4.4", f"{domain[:80]} is a private address")
        hosts = (MxHost(name=address, preference=0, addresses=(address,)),)
        port = self._delivery.remote_port
        return Site(key=mx.site_key([address], port), hosts=hosts, port=port)

    def _remembered(self, name: str) -> MxFacts | None:
        facts = self._known.get(name)
        if facts is not None and self._may_use(facts):
            self._known.move_to_end(name)
            return facts
        facts = self._cache.get(name) if self._cache is not None else None
        if facts is None or not self._may_use(facts):
            return None
        self._remember(name, facts)
        return facts

    def _may_use(self, facts: MxFacts) -> bool:
        return facts.holds(self._now()) and self._finder.would_ask(facts)

    def _remember(self, name: str, facts: MxFacts) -> None:
        self._known[name] = facts
        self._known.move_to_end(name)
        while len(self._known) > _MAX_DOMAINS:
            self._known.popitem(last=False)

    async def _shared(self, name: str) -> MxFacts:
        task = self._asking.get(name)
        if task is None:
            task = tasks.spawn(self._find(name), name=f"route {name}")
            self._asking[name] = task
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(task)

    async def _find(self, name: str) -> MxFacts:
        facts = msgspec.structs.replace(await self._finder.find(name), asked_at=self._now())
        for host in facts.bogus:
            policy = AppliedPolicy(type=PolicyType.TLSA, domain=host)
            self._results.failed(policy, Failure.DNSSEC_INVALID, facts.failure, place=(host, ""))
        if any(facts.addresses.values()) or not facts.failed:
            self._remember(name, facts)
        if self._cache is not None and not facts.failed and not facts.bogus:
            self._cache.put(name, facts)
        return facts


class InboundFirst:
    """Hands recipients at our own bounce and reply domains to the inbound listener, without DNS."""

    def __init__(self, inner: Router, *, bounce_domains: Names, address: str, port: int) -> None:
        self._inner = inner
        self._domains = bounce_domains
        host = MxHost(name="localhost", preference=0, addresses=(address,))
        self._site = Site(key=INBOUND_KEY, hosts=(host,), port=port)

    async def site_of(self, domain: str) -> Site:
        """Our own listener for our own domains, else what the inner router finds."""
        if domain.lower().rstrip(".") in self._domains():
            return self._site
        return await self._inner.site_of(domain)


class SmarthostRouter:
    """One next hop, by name or address. Private addresses are allowed: somebody wrote them down."""

    def __init__(
        self, resolver: Resolver, delivery: Delivery, ipv6: Callable[[], bool] | None = None
    ) -> None:
        self._resolver = resolver
        self._delivery = delivery
        self._ipv6 = ipv6 or (lambda: delivery.ipv6)

    async def site_of(self, domain: str) -> Site:
        """The smarthost, whatever the domain. Its failures are temporary: no mail is at fault."""
        smarthost = self._delivery.smarthost
        addresses, expires_at = await self._addresses(smarthost.host)
        host = MxHost(name=smarthost.host, preference=0, addresses=addresses)
        return Site(
            key=f"{SMARTHOST_KEY}:{smarthost.host}:{smarthost.port}",
            hosts=(host,),
            port=smarthost.port,
            is_smarthost=True,
            expires_at=expires_at,
        )

    async def _addresses(self, host: str) -> tuple[tuple[str, ...], int]:
        if mx.is_address(host):
            return (host,), 0
        found = await one_family(self._resolver, host, ipv6=False)
        if self._ipv6():
            found = found.joined(await one_family(self._resolver, host, ipv6=True))
        if not found.values:
            why = found.why or f"{host} has no address"
            raise mx.refused(451, "4.4.3", f"the smarthost cannot be found: {why}")
        return found.values[: mx.MAX_ADDRESSES], found.expires_at


class WithReports:
    """What `secured` finds, but for reports on TLS the hosts that DNS names, and nothing demanded.

    RFC 8460 section 3: they are delivered despite any failure of TLS. They have lanes of their own.
    """

    def __init__(self, secured: Router, direct: Router) -> None:
        self._secured, self._direct = secured, direct

    async def site_of(self, domain: str) -> Site:
        """For a domain, or REPORT_TO and a domain. Raises RouteError."""
        if not domain.startswith(REPORT_TO):
            return await self._secured.site_of(domain)
        site = await self._direct.site_of(domain.removeprefix(REPORT_TO))
        hosts = tuple(replace(host, dane=None) for host in site.hosts)
        return replace(site, hosts=hosts, tls=TlsDemand.WAIVED, key=f"{site.hosts_key}|report")


class WithOverflow:
    """The receivers' MX hosts, and the smarthost when it is asked for by OVERFLOW."""

    def __init__(self, inner: Router, smarthost: Router) -> None:
        self._inner, self._smarthost = inner, smarthost

    async def site_of(self, domain: str) -> Site:
        """The smarthost for OVERFLOW, else what the inner router finds."""
        router = self._smarthost if domain == OVERFLOW else self._inner
        return await router.site_of(domain)


def router_for(  # noqa: PLR0913 - collaborators, by keyword, set once by the wiring
    resolver: Resolver,
    delivery: Delivery,
    *,
    own_names: Names,
    bounce_domains: Names,
    inbound: tuple[str, int],
    cache: MxCache | None = None,
    results: TlsResults | None = None,
    sts: StsPolicies | None = None,
    ipv6: Callable[[], bool] | None = None,
) -> Router:
    """The router that the settings ask for. Without `sts` nobody asks for MTA-STS policies.

    `ipv6`: whether mail can leave over IPv6 now; without it `delivery.ipv6` says so.
    """
    inner: Router
    smarthost = SmarthostRouter(resolver, delivery, ipv6)
    if delivery.smarthost.host and delivery.smarthost.use == "always":
        inner = smarthost
    else:
        results = results or TlsResults()
        direct = DirectRouter(
            resolver, delivery, own_names=own_names, cache=cache, results=results, ipv6=ipv6
        )
        inner = WithReports(SecuredRouter(direct, results, policies=sts), direct)
    if delivery.smarthost.host and delivery.smarthost.use == "overflow":
        inner = WithOverflow(inner, smarthost)
    address, port = inbound
    return InboundFirst(inner, bounce_domains=bounce_domains, address=address, port=port)
