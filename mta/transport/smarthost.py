"""Sends through one next hop, with TLS and a login.

`required` (STARTTLS) and `implicit` demand a certificate that is valid for the host's name, from an
authority the machine trusts; `opportunistic` and `none` do not. A password never crosses the line
without TLS unless `tls = "none"` says so. What goes wrong before MAIL is a fault of the set-up, not of
any message: it is always temporary, so that a wrong password bounces nothing.

The word behind the cipher in an attempt says whether the certificate was judged.

`BySite` is the transport the scheduler gets: it takes the one the site asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core.tls import verifying_context
from mta.reply import Reply
from mta.transport.base import ConnectFailed
from mta.transport.direct import DirectTransport, Opener
from mta.transport.hosts import HostMemory
from mta.transport.smtp_conversation import Login, Target, TlsMode
from mta.transport.tls_context import lenient_context
from mta.transport.tls_policy import Approach, Trust

if TYPE_CHECKING:
    import ssl

    from appliance.core.settings import Delivery
    from mta.message import Egress
    from mta.shaping.model import Limits
    from mta.transport.base import Connection, Site, Transport
    from mta.transport.tls_policy import Seen, TlsTools


class SmarthostTransport:
    """A Transport (base.py) to the configured smarthost."""

    def __init__(
        self,
        delivery: Delivery,
        *,
        hosts: HostMemory | None = None,
        context: ssl.SSLContext | None = None,
        seen: Seen | None = None,
    ) -> None:
        """`context` replaces the machine's trusted authorities (laboratory)."""
        smarthost = delivery.smarthost
        self._approach = Approach(seen) if seen is not None else Approach()
        self._opener = Opener(delivery, hosts or HostMemory())
        self._tls = TlsMode(smarthost.tls)
        is_strict = self._tls in (TlsMode.REQUIRED, TlsMode.IMPLICIT)
        self._trust = Trust.AUTHORITIES if is_strict else Trust.NOBODY
        self._context = context or (verifying_context() if is_strict else lenient_context())
        self._login = (
            Login(username=smarthost.username, password=smarthost.password)
            if smarthost.username
            else None
        )

    async def open(
        self, egress: Egress, site: Site, *, limits: Limits | None = None, domain: str = ""
    ) -> Connection:
        """A connection to the smarthost, secured and logged in. Raises ConnectFailed, temporary.

        Of `limits` the TLS need does not count: `delivery.smarthost.tls` says what is demanded.
        """
        named = [(host.name, address) for host in site.hosts for address in host.addresses]
        pattern = Target(
            host="",
            address="",
            port=site.port,
            source="",
            helo=egress.helo,
            tls=self._tls,
            context=self._context,
            login=self._login,
            judge=lambda _: self._trust,
        )
        try:
            return await self._opener.open(egress, named, pattern, self._approach, limits)
        except ConnectFailed as failed:
            raise _temporary(failed) from failed


class BySite:
    """Smarthost for the smarthost's site, direct for all others (the box's own inbound too)."""

    def __init__(self, direct: Transport, smarthost: Transport) -> None:
        self._direct, self._smarthost = direct, smarthost

    async def open(
        self, egress: Egress, site: Site, *, limits: Limits | None = None, domain: str = ""
    ) -> Connection:
        """Open by the transport that the site asks for."""
        chosen = self._smarthost if site.is_smarthost else self._direct
        return await chosen.open(egress, site, limits=limits, domain=domain)


def transport_for(delivery: Delivery, tls: TlsTools | None = None) -> Transport:
    """The transport that the settings ask for."""
    hosts = HostMemory()
    direct = DirectTransport(delivery, hosts=hosts, tls=tls)
    if not delivery.smarthost.host:
        return direct
    seen = tls.seen if tls is not None else None
    return BySite(direct, SmarthostTransport(delivery, hosts=hosts, seen=seen))


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
