"""Opens connections to the hosts of a site: in MX order, the next one when one fails.

TLS (1.2 or newer) is opportunistic (RFC 7435) where nobody demands more: used where it is offered,
whatever the certificate says; when the handshake fails, the same address is tried again in the clear on
a new connection. What policies demand is in tls_policy.py. A host that takes no connection, greets with
4yz or 5yz, or refuses EHLO and HELO is left for the next one. ConnectFailed carries every step of every host, and of the hosts' replies a temporary one if
any was: one host that says "no" for good never bounces what another may take later.

Each connection is bound to the address that the egress has in the family of the host's; hosts of a
family that it lacks are left out. A source that this machine cannot bind is not tried again for the
other hosts: an egress with IPv6 falls back to IPv4.

At most MAX_TRIES addresses are tried, within `delivery.session_timeout` in all.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from mta.message import Step
from mta.reply import Reply
from mta.shaping.model import TlsNeed
from mta.status import Phase, Scope
from mta.transport.base import ConnectFailed
from mta.transport.content import Framer
from mta.transport.hosts import HostMemory
from mta.transport.mx import in_order
from mta.transport.replies import Timeouts
from mta.transport.route import INBOUND_KEY
from mta.transport.session import Session
from mta.transport.smtp_conversation import OpenFailed, Patience, Target, TlsMode, converse
from mta.transport.tls_policy import Approach, ByPolicy, TlsTools

if TYPE_CHECKING:
    from appliance.core.settings import Delivery
    from mta.message import Egress
    from mta.shaping.model import Limits
    from mta.transport.base import Connection, Site
    from mta.transport.smtp_conversation import Conversation

MAX_TRIES: Final = 10


class DirectTransport:
    """A Transport (base.py) to receivers' MX hosts; one per process."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        hosts: HostMemory | None = None,
        dice: random.Random | None = None,
        tls: TlsTools | None = None,
    ) -> None:
        self._dice = dice or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._opener = Opener(delivery, hosts or HostMemory())
        self._tls = tls or TlsTools(starttls=delivery.starttls)

    async def open(
        self, egress: Egress, site: Site, *, limits: Limits | None = None, domain: str = ""
    ) -> Connection:
        """A connection to the first host that takes one. Raises ConnectFailed."""
        hosts = in_order(site.hosts, self._dice)
        named = [(host.name, address) for host in hosts for address in host.addresses]
        pattern = Target(
            host="",
            address="",
            port=site.port,
            source="",
            helo=egress.helo,
            tls=TlsMode.NONE,  # the approach knows better
            context=None,
        )
        if site.key == INBOUND_KEY:  # our own listener on this machine, whatever its family
            egress = replace(egress, address="", address6="", ipv6=True)
        need = limits.tls if limits is not None else TlsNeed.OPPORTUNISTIC
        approach = ByPolicy(self._tls, site, need, domain)
        return await self._opener.open(egress, named, pattern, approach, limits)


class Opener:
    """Tries addresses one after the other; what both transports share."""

    def __init__(self, delivery: Delivery, hosts: HostMemory) -> None:
        self._hosts = hosts
        self._framer = Framer()
        self._delivery = delivery

    async def open(
        self,
        egress: Egress,
        named: list[tuple[str, str]],
        pattern: Target,
        approach: Approach,
        limits: Limits | None = None,
    ) -> Connection:
        """`pattern` becomes a target for each host name and address. Raises ConnectFailed."""
        terms = Terms.of(self._delivery, limits)
        reachable = [n for n in named if (egress.ipv6 if ":" in n[1] else egress.ipv4)]
        failure = _Failures()
        try:
            async with asyncio.timeout(terms.patience.transaction.session):
                for host, address in self._hosts.good_first(reachable, pattern.port)[:MAX_TRIES]:
                    source = egress.source_for(address)
                    if source in failure.unusable:
                        continue
                    target = replace(pattern, host=host, address=address, source=source)
                    session = await self._try(target, approach, terms, failure)
                    if session is not None:
                        return self._session(session, target, egress, terms, failure)
        except TimeoutError:
            failure.note_time_out()
        raise failure.as_error()

    async def _try(
        self, target: Target, approach: Approach, terms: Terms, failure: _Failures
    ) -> Conversation | None:
        """One address, on a new connection each time that only TLS fails."""
        place = (target.address, target.port)
        targets = approach.targets(target)
        for n, each in enumerate(targets, 1):
            try:
                conversation = await converse(each, terms.patience)
            except OpenFailed as failed:
                failure.note(each, failed)
                approach.failed(targets[:n], failed)
                if failed.failure is not None and n < len(targets):
                    continue
                if not failed.is_ours:
                    self._hosts.failed(place)
                return None
            self._hosts.worked(place)
            return approach.opened(targets[:n], conversation)
        return None

    def _session(
        self,
        conversation: Conversation,
        target: Target,
        egress: Egress,
        terms: Terms,
        failure: _Failures,
    ) -> Session:
        session = Session(
            conversation,
            place=(target.host, target.address, egress.name),
            times=terms.patience.transaction,
            framer=self._framer,
            max_messages=terms.max_messages,
        )
        session.precede(failure.steps)
        return session


@dataclass(frozen=True, slots=True)
class Terms:
    """How long each step may take, and how many messages a connection may carry."""

    patience: Patience
    max_messages: int

    @classmethod
    def of(cls, delivery: Delivery, limits: Limits | None) -> Terms:
        """The box's own, where the provider's limits say nothing."""

        def either(name: str) -> float:
            theirs: float | None = getattr(limits, name, None)
            ours: float = getattr(delivery, name)
            return ours if theirs is None else theirs

        times = Timeouts(
            command=either("command_timeout"),
            data=either("data_timeout"),
            dot=either("dot_timeout"),
            session=delivery.session_timeout,
        )
        patience = Patience(
            connect=either("connect_timeout"),
            greeting=either("greeting_timeout"),
            transaction=times,
        )
        messages = delivery.smarthost.messages_per_connection
        return cls(patience, messages if limits is None else limits.messages_per_connection)


@dataclass(slots=True)
class _Failures:
    """What went wrong with the hosts so far."""

    steps: tuple[Step, ...] = ()
    reply: Reply | None = None
    phase: Phase = Phase.CONNECT
    host: str = ""
    address: str = ""
    is_ours: bool = False
    unusable: set[str] = field(default_factory=set)  # sources that this machine cannot bind

    def note(self, target: Target, failed: OpenFailed) -> None:
        """Remember the steps, and the reply unless a temporary one would give way to a refusal."""
        self.steps += failed.steps
        if failed.is_ours:
            self.unusable.add(target.source)
        if self.reply is None or failed.reply.is_transient or self.reply.is_permanent:
            self.reply, self.phase = failed.reply, failed.phase
            self.is_ours = failed.is_ours
            self.host, self.address = target.host, target.address

    def note_time_out(self) -> None:
        """All hosts together took too long."""
        self.reply = Reply(451, "4.4.2", "the hosts of the site were too slow")
        self.steps += (Step(0, "CONNECT", "(the hosts of the site were too slow)"),)

    def as_error(self) -> ConnectFailed:
        """For the caller; without any address to try, that is what it says."""
        nowhere = Reply(451, "4.4.4", "no host of the site has an address this box can reach")
        return ConnectFailed(
            reply=self.reply or nowhere,
            scope=_scope(self.reply, is_ours=self.is_ours),
            phase=self.phase if self.reply is not None else Phase.ROUTE,
            host=self.host,
            address=self.address,
            steps=self.steps,
        )


def _scope(reply: Reply | None, *, is_ours: bool) -> Scope:
    """421 and faults of this box are about the session; all else is about the hosts."""
    return Scope.SESSION if is_ours or (reply is not None and reply.code == 421) else Scope.HOST
