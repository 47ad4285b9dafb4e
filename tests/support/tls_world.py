"""A small world for TLS out: a DNS zone, a web host with policies, receivers with certificates."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from appliance.core import clock
from appliance.core.dns import Resolver
from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from appliance.lab.script import Script, Starttls
from mta.shaping.model import Limits, TlsNeed
from mta.transport.direct import DirectTransport
from mta.transport.https import HttpsClient
from mta.transport.mta_sts import StsPolicies
from mta.transport.route import DirectRouter
from mta.transport.secured import SecuredRouter
from mta.transport.tls_memory import TlsMemory
from mta.transport.tls_policy import TlsTools
from mta.transport.tls_results import TlsResults
from tests.support.authority import Signed, known_root, trusting
from tests.support.delivery import EGRESS, delivery, dns_settings, envelope
from tests.support.web_host import WebHost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mta.message import Attempt
    from mta.transport.base import Site
    from mta.transport.mx_cache import StsCache

PATIENCE = {
    "connect_timeout": 20.0,
    "greeting_timeout": 20.0,
    "command_timeout": 20.0,
    "data_timeout": 20.0,
    "dot_timeout": 20.0,
    "session_timeout": 60.0,
}
POLICY = "version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: {max_age}\n"


def limits(**changes: Any) -> Limits:
    """What shaping says of a provider."""
    values: dict[str, Any] = {
        "connections": 10,
        "zone_connections": 0,
        "messages_per_connection": 100,
        "connection_rate": None,
        "message_rate": None,
        "recipients_per_message": 100,
        "tls": TlsNeed.OPPORTUNISTIC,
    }
    return Limits(**(values | changes))


class TlsWorld:
    """good.test with one host, mx.good.test, on loopback."""

    def __init__(self, dns: LabDns, web: WebHost, mx: Receiver) -> None:
        self.dns, self.web, self.mx = dns, web, mx
        self.results = TlsResults()
        self.memory = TlsMemory()
        self.now: Callable[[], int] = clock.now_ms

    def publish(
        self, mode: str, mx: str = "mx.good.test", *, sts_id: str = "1", **more: Any
    ) -> None:
        """An MTA-STS policy of good.test."""
        self.dns.zone["_mta-sts.good.test"] = {"TXT": [f"v=STSv1; id={sts_id};"]}
        self.dns.zone["mta-sts.good.test"] = {"A": ["127.0.0.1"]}
        self.web.body = POLICY.format(mode=mode, mx=mx, max_age=more.get("max_age", 604_800))

    def publish_tlsa(self, *records: object) -> None:
        """TLSA records of mx.good.test, in a signed zone."""
        self.dns.signed.add("good.test")
        name = f"_{self.mx.port}._tcp.mx.good.test"
        self.dns.zone[name] = {"TLSA": [str(record) for record in records]}

    def policies(self, cache: StsCache | None = None, **options: Any) -> StsPolicies:
        """A keeper of policies that asks this world."""
        resolver = Resolver(dns_settings(self.dns, timeout=3.0), now=self.now)
        client = HttpsClient(resolver, allow_private=True, context=trusting(), port=self.web.port)
        options.setdefault("now", self.now)
        return StsPolicies(client, self.results, cache=cache, **options)

    def router(self, policies: StsPolicies | None = None) -> SecuredRouter:
        """As the box routes."""
        direct = DirectRouter(
            Resolver(dns_settings(self.dns, timeout=3.0), now=self.now),
            delivery(remote_port=self.mx.port),
            own_names=frozenset,
            results=self.results,
            now=self.now,
        )
        policies = policies or self.policies()
        return SecuredRouter(direct, self.results, policies=policies, now=self.now)

    def transport(self) -> DirectTransport:
        """As the box sends."""
        tools = TlsTools(memory=self.memory, results=self.results, authorities=trusting())
        return DirectTransport(delivery(**PATIENCE), dice=random.Random(1), tls=tools)

    async def send(self, site: Site | None = None, *, need: Limits | None = None) -> Attempt:
        """One message to good.test. Raises RouteError or ConnectFailed."""
        site = site or await self.router().site_of("good.test")
        connection = await self.transport().open(EGRESS, site, limits=need, domain="good.test")
        try:
            return await connection.send(envelope("jane@good.test"))
        finally:
            await connection.close()

    def counted(self) -> list[tuple[str, str, str, int]]:
        """What was counted since the last look: policy, domain, failure, how often."""
        return sorted(
            (t.result.policy.type, t.result.policy.domain, t.result.failure or "", t.count)
            for t in self.results.drain()
        )


@asynccontextmanager
async def tls_world(
    certificate: Signed | None = None, *, starttls: Starttls = Starttls.GOOD
) -> AsyncIterator[TlsWorld]:
    """`certificate` is that of mx.good.test; without one nobody vouches for it."""
    zone = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
    context = certificate.context() if certificate is not None else None
    script = Script(starttls=starttls, name="mx.good.test")
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(LabDns(zone))
        web_context = known_root().issue("mta-sts.good.test").context()
        web = await stack.enter_async_context(WebHost(web_context))
        mx = await stack.enter_async_context(Receiver(script, context=context))
        yield TlsWorld(dns, web, mx)
