"""Asks DNS for everything a route needs: MX, addresses, TLSA (DANE), and whether there is an MTA-STS policy.

One `find` for a domain, its questions at once where they do not build on each other; what comes back is
one value that the router keeps (mx.py), so that a domain that is known costs a dictionary look-up. AAAA
are asked for only while mail can leave over IPv6, which `ipv6` says: egress addresses come and go.

TLSA is asked for only where DNSSEC vouches for the MX records and for the addresses of the host (RFC
7672 section 2.2): elsewhere it would prove nothing, and name servers that choke on it would do harm.
The base of the TLSA name is the MX host as the MX record names it; hosts behind a CNAME, which RFC 5321
forbids, are not looked for under their other name. That a policy does not exist is not asked again
before the MX records are. Never raises for what DNS says.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core import clock
from appliance.core.dns import DnsTemporaryError, NoRecordError, NoSuchNameError
from mta.transport import mx
from mta.transport.dane import Tlsa, usable
from mta.transport.mx import Mx, MxFacts
from mta.transport.sts_policy import id_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appliance.core.dns import Resolver
    from appliance.core.settings import Delivery

_STS_AGAIN: Final = 5 * clock.MINUTE
"""A name server that cannot answer _mta-sts is asked again after so long, not after seconds."""


class FactFinder:
    """Asks as the settings want it asked."""

    def __init__(
        self, resolver: Resolver, delivery: Delivery, ipv6: Callable[[], bool] | None = None
    ) -> None:
        self._resolver = resolver
        self._port = delivery.remote_port
        self._ipv6 = ipv6 or (lambda: delivery.ipv6)
        self._dane, self._sts = delivery.dane, delivery.mta_sts

    def would_ask(self, facts: MxFacts) -> bool:
        """Whether the facts answer all that would be asked today; more of them does no harm."""
        has_addresses = facts.ipv6 or not self._ipv6()
        return has_addresses and (facts.dane, facts.sts) == (self._dane, self._sts)

    async def find(self, name: str) -> MxFacts:
        """All that DNS says of a domain."""
        ipv6 = self._ipv6()
        hosts, policy = self._hosts(name, ipv6=ipv6), self._sts_id(name)
        facts, (sts_id, until) = await asyncio.gather(hosts, policy)
        if until is not None and facts.exists:
            facts = msgspec.structs.replace(facts, expires_at=min(facts.expires_at, until))
        return msgspec.structs.replace(
            facts, ipv6=ipv6, dane=self._dane, sts=self._sts, sts_id=sts_id
        )

    async def _hosts(self, name: str, *, ipv6: bool) -> MxFacts:
        """MX first; a domain without MX is its own host (RFC 5321 section 5.1)."""
        try:
            answer = await self._resolver.mx(name)
        except NoSuchNameError as error:
            return MxFacts(expires_at=error.expires_at, exists=False)
        except NoRecordError as error:
            here = (Mx(0, name),)
            facts = await self._of_hosts(
                here, error.expires_at, is_secure=error.is_secure, ipv6=ipv6
            )
            return msgspec.structs.replace(facts, implicit=True)
        except DnsTemporaryError as error:
            here = (Mx(0, name),)
            return MxFacts(expires_at=0, records=here, failed=(name,), failure=str(error))
        records = tuple(Mx(record.preference, record.exchange) for record in answer.records)
        return await self._of_hosts(
            records, answer.expires_at, is_secure=answer.is_secure, ipv6=ipv6
        )

    async def _of_hosts(
        self, records: tuple[Mx, ...], expires_at: int, *, is_secure: bool, ipv6: bool
    ) -> MxFacts:
        best = sorted(records, key=lambda record: (record.preference, record.host))
        names = (record.host for record in best if record.host and not mx.is_address(record.host))
        hosts = list(dict.fromkeys(names))[: mx.MAX_HOSTS]
        asked = await asyncio.gather(*(self._addresses(host, ipv6=ipv6) for host in hosts))
        found = dict(zip(hosts, asked, strict=True))
        vouched = (host for host, f in found.items() if is_secure and f.is_secure and f.values)
        tlsa = await self._tlsa_of(vouched) if self._dane else {}
        pieces: list[Found | _FoundTlsa] = [*found.values(), *tlsa.values()]
        return MxFacts(
            expires_at=min([expires_at, *(f.expires_at for f in pieces)]),
            records=tuple(best[: 2 * mx.MAX_HOSTS]),
            addresses={host: f.values for host, f in found.items()},
            failed=tuple(host for host, f in found.items() if f.why and not f.values),
            failure=next((f.why for f in pieces if f.why), ""),
            tlsa={host: f.records for host, f in tlsa.items() if not f.why},
            bogus=tuple(host for host, f in tlsa.items() if f.why),
        )

    async def _addresses(self, host: str, *, ipv6: bool) -> Found:
        families = (False, True) if ipv6 else (False,)
        found = await asyncio.gather(
            *(one_family(self._resolver, host, ipv6=v6) for v6 in families)
        )
        return found[0].joined(found[1]) if ipv6 else found[0]

    async def _tlsa_of(self, hosts: Iterable[str]) -> dict[str, _FoundTlsa]:
        """The TLSA records of those hosts that have some, or of whom nobody can say."""
        names = list(hosts)
        found = await asyncio.gather(*map(self._tlsa, names))
        return {host: f for host, f in zip(names, found, strict=True) if f is not None}

    async def _tlsa(self, host: str) -> _FoundTlsa | None:
        try:
            answer = await self._resolver.tlsa(f"_{self._port}._tcp.{host}")
        except (NoSuchNameError, NoRecordError):
            return None
        except DnsTemporaryError as error:
            return _FoundTlsa((), error.expires_at, str(error))
        if not answer.is_secure:
            return None
        records = usable(Tlsa(r.usage, r.selector, r.matching, r.data) for r in answer.records)
        return _FoundTlsa(records, answer.expires_at)

    async def _sts_id(self, name: str) -> tuple[str, int | None]:
        """What the _mta-sts record names, "" for none; and when that must be asked again."""
        if not self._sts:
            return "", None
        try:
            answer = await self._resolver.txt(f"_mta-sts.{name}")
        except (NoSuchNameError, NoRecordError):
            return "", None
        except DnsTemporaryError as error:
            return "", error.expires_at + _STS_AGAIN
        return id_in(answer.values), answer.expires_at


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a host, until when they hold, what could not be asked, whether DNSSEC vouches."""

    values: tuple[str, ...]
    expires_at: int
    why: str = ""
    is_secure: bool = False

    def joined(self, other: Found) -> Found:
        """Both families."""
        until = min(self.expires_at, other.expires_at)
        secure = self.is_secure and other.is_secure
        return Found(self.values + other.values, until, self.why or other.why, secure)


@dataclass(frozen=True, slots=True)
class _FoundTlsa:
    records: tuple[Tlsa, ...]
    expires_at: int
    why: str = ""


async def one_family(resolver: Resolver, host: str, *, ipv6: bool) -> Found:
    """The IPv4 or IPv6 addresses of a host."""
    try:
        answer = await resolver.addresses(host, ipv6=ipv6)
    except (NoSuchNameError, NoRecordError) as error:
        return Found((), error.expires_at, is_secure=error.is_secure)
    except DnsTemporaryError as error:
        return Found((), error.expires_at, str(error))
    return Found(answer.values, answer.expires_at, is_secure=answer.is_secure)
