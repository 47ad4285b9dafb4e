"""Sends through one next hop, with TLS and a login.

`required` (STARTTLS) and `implicit` demand a certificate that is valid for the host's name, from an
authority the machine trusts; `opportunistic` and `none` do not. A password never crosses the line
without TLS unless `tls = "none"` says so. What goes wrong before MAIL is a fault of the set-up, not of
any message: it is always temporary, so that a wrong password bounces nothing.

`BySite` is the transport the scheduler gets: it takes the one the site asks for.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from mta.reply import Reply
from mta.transport.base import ConnectFailed
from mta.transport.direct import DirectTransport, Opener, lenient_context
from mta.transport.hosts import HostMemory
from mta.transport.smtp_conversation import Login, Target, TlsMode

if TYPE_CHECKING:
    from appliance.core.settings import Delivery
    from mta.message import Egress
    from mta.transport.base import Connection, Site, Transport


class SmarthostTransport:
    """A Transport (base.py) to the configured smarthost."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        hosts: HostMemory | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`context` replaces the machine's trusted authorities (laboratory)."""
        smarthost = delivery.smarthost
        self._opener = Opener(delivery, hosts or HostMemory())
        self._tls = TlsMode(smarthost.tls)
        self._context = context or _context(self._tls)
        self._login = (
            Login(username=smarthost.username, password=smarthost.password)
            if smarthost.username
            else None
        )

    async def open(self, egress: Egress, site: Site) -> Connection:
        """A connection to the smarthost, secured and logged in. Raises ConnectFailed, temporary."""
        named = [(host.name, address) for host in site.hosts for address in host.addresses]
        pattern = Target(
            host="",
            address="",
            port=site.port,
            source=egress.address,
            helo=egress.helo,
            tls=self._tls,
            context=self._context,
            login=self._login,
        )
        try:
            return await self._opener.open(egress, named, pattern)
        except ConnectFailed as failed:
            raise _temporary(failed) from failed


class BySite:
    """Smarthost for the smarthost's site, direct for all others (the box's own inbound too)."""

    def __init__(self, direct: Transport, smarthost: Transport) -> None:
        self._direct, self._smarthost = direct, smarthost

    async def open(self, egress: Egress, site: Site) -> Connection:
        """Open by the transport that the site asks for."""
        chosen = self._smarthost if site.is_smarthost else self._direct
        return await chosen.open(egress, site)


def transport_for(delivery: Delivery) -> Transport:
    """The transport that the settings ask for."""
    hosts = HostMemory()
    direct = DirectTransport(delivery, hosts=hosts)
    if not delivery.smarthost.host:
        return direct
    return BySite(direct, SmarthostTransport(delivery, hosts=hosts))


def _context(mode: TlsMode) -> ssl.SSLContext:
    match mode:
        case TlsMode.REQUIRED | TlsMode.IMPLICIT:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            return context
        case TlsMode.NONE | TlsMode.OPPORTUNISTIC:
            return lenient_context()


def _temporary(failed: ConnectFailed) -> ConnectFailed:
    if not failed.reply.is_permanent:
        return failed
    status = "4" + failed.reply.status[1:]
    reply = Reply(451, status, f"the smarthost refused us: {failed.reply.line()}")
    return ConnectFailed(
        reply=reply,
        scope=failed.scope,
        phase=failed.phase,
        host=failed.host,
        address=failed.address,
        steps=failed.steps,
    )
