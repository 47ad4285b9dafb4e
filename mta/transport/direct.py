"""Opens connections to the hosts of a site: in MX order, the next one when one fails.

TLS is opportunistic (RFC 7435): used where it is offered, whatever the certificate says, TLS 1.2 or
newer; when the handshake fails, the same address is tried again in the clear on a new connection.
A host that takes no connection, greets with 4yz or 5yz, or refuses EHLO and HELO is left for the
next one. ConnectFailed carries every step of every host, and of the hosts' replies a temporary one if
any was: one host that says "no" for good never bounces what another may take later.

At most MAX_TRIES addresses are tried, within `delivery.session_timeout` in all.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mta.message import Step
from mta.reply import Reply
from mta.status import Phase, Scope
from mta.transport.base import ConnectFailed
from mta.transport.content import Framer
from mta.transport.hosts import HostMemory
from mta.transport.mx import in_order
from mta.transport.replies import Timeouts
from mta.transport.session import Session
from mta.transport.smtp_conversation import OpenFailed, Patience, Target, TlsMode, converse

if TYPE_CHECKING:
    from appliance.core.settings import Delivery
    from mta.message import Egress
    from mta.transport.base import Connection, Site

MAX_TRIES: Final = 10


class DirectTransport:
    """A Transport (base.py) to receivers' MX hosts; one per process."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        hosts: HostMemory | None = None,
        dice: random.Random | None = None,
    ) -> None:
        self._delivery = delivery
        self._dice = dice or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._opener = Opener(delivery, hosts or HostMemory())
        self._tls = TlsMode.OPPORTUNISTIC if delivery.starttls else TlsMode.NONE
        self._context = lenient_context()

    async def open(self, egress: Egress, site: Site) -> Connection:
        """A connection to the first host that takes one. Raises ConnectFailed."""
        hosts = in_order(site.hosts, self._dice)
        named = [(host.name, address) for host in hosts for address in host.addresses]
        pattern = Target(
            host="",
            address="",
            port=site.port,
            source=egress.address,
            helo=egress.helo,
            tls=self._tls,
            context=self._context,
        )
        return await self._opener.open(egress, named, pattern)


class Opener:
    """Tries addresses one after the other; what both transports share."""

    def __init__(self, delivery: Delivery, hosts: HostMemory) -> None:
        self._hosts = hosts
        self._framer = Framer()
        self._max_messages = delivery.messages_per_connection
        times = Timeouts(
            command=delivery.command_timeout,
            data=delivery.data_timeout,
            dot=delivery.dot_timeout,
            session=delivery.session_timeout,
        )
        self._patience = Patience(
            connect=delivery.connect_timeout,
            greeting=delivery.greeting_timeout,
            transaction=times,
        )

    async def open(
        self, egress: Egress, named: list[tuple[str, str]], pattern: Target
    ) -> Connection:
        """`pattern` becomes a target for each host name and address. Raises ConnectFailed."""
        reachable = [n for n in named if egress.ipv6 or ":" not in n[1]]
        failure = _Failures()
        try:
            async with asyncio.timeout(self._patience.transaction.session):
                for host, address in self._hosts.good_first(reachable, pattern.port)[:MAX_TRIES]:
                    target = replace(pattern, host=host, address=address)
                    session = await self._try(egress, target, failure)
                    if session is not None:
                        return session
                    if failure.is_ours:
                        break
        except TimeoutError:
            failure.note_time_out()
        raise failure.as_error()

    async def _try(self, egress: Egress, target: Target, failure: _Failures) -> Session | None:
        place = (target.address, target.port)
        try:
            try:
                session = await self._converse(egress, target)
            except OpenFailed as failed:
                if not failed.is_tls or target.tls is not TlsMode.OPPORTUNISTIC:
                    raise
                failure.note(target, failed)
                session = await self._converse(egress, replace(target, tls=TlsMode.NONE))
        except OpenFailed as failed:
            failure.note(target, failed)
            if not failed.is_ours:
                self._hosts.failed(place)
            return None
        self._hosts.worked(place)
        session.precede(failure.steps)
        return session

    async def _converse(self, egress: Egress, target: Target) -> Session:
        return Session(
            await converse(target, self._patience),
            place=(target.host, target.address, egress.name),
            times=self._patience.transaction,
            framer=self._framer,
            max_messages=self._max_messages,
        )


@dataclass(slots=True)
class _Failures:
    """What went wrong with the hosts so far."""

    steps: tuple[Step, ...] = ()
    reply: Reply | None = None
    phase: Phase = Phase.CONNECT
    host: str = ""
    address: str = ""
    is_ours: bool = False

    def note(self, target: Target, failed: OpenFailed) -> None:
        """Remember the steps, and the reply unless a temporary one would give way to a refusal."""
        self.steps += failed.steps
        self.is_ours = failed.is_ours
        if self.reply is None or failed.reply.is_transient or self.reply.is_permanent:
            self.reply, self.phase = failed.reply, failed.phase
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


def lenient_context() -> ssl.SSLContext:
    """Encrypts with whoever answers: against listeners on the line, not against impostors.

    Security level 1 admits 1024-bit keys, which many receivers still have: their mail would else go
    in the clear, which is worse.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DEFAULT@SECLEVEL=1")
    return context
