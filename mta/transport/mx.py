"""What the DNS says of a domain, and the rules that make a site of it. Pure: no I/O, no clock.

    MxFacts   what was found: MX records, the addresses of each host, what could not be asked
    decide()  facts -> Site, or RouteError with the reply that says why

Rules: RFC 5321 section 5.1 (order, implicit MX, ourselves), RFC 7505 (null MX). An MX that is an IP
address instead of a name is left out. Addresses of loopback, private, link-local, multicast and
reserved networks are left out unless allowed; a domain that has only such addresses is refused for
good (5.4.4): "MX 127.0.0.1" is how people say that a domain takes no mail, and waiting four days
would not change it. When a host could not be looked up and no other is left, it is temporary. So it
is for a host whose TLSA records DNSSEC calls bogus: it may demand DANE, so it is left out (RFC 7672
section 2.1.2), and mail never falls back to less.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import TYPE_CHECKING, Final

import idna
from msgspec import Struct

from mta.reply import Reply
from mta.transport.base import MxHost, RouteError, Site
from mta.transport.dane import Tlsa  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterable, Sequence

MAX_HOSTS: Final = 10
MAX_ADDRESSES: Final = 4  # of one host
_MAX_KEY: Final = 200
# IANA gives out nothing else of IPv6; Python's is_global also says yes to ::/96, fec0::/10 and more.
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_PROTOCOL_ASSIGNMENTS: Final = ipaddress.IPv4Network("192.0.0.0/24")


class Mx(Struct, frozen=True, array_like=True):
    """One MX record; `host` "" is the null MX."""

    preference: int
    host: str


class MxFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What DNS says of a domain; kept on disk, so that a restart asks nothing again."""

    expires_at: int
    asked_at: int = 0
    exists: bool = True
    implicit: bool = False  # no MX record: the domain's own addresses are used
    records: tuple[Mx, ...] = ()
    addresses: dict[str, tuple[str, ...]] = {}
    failed: tuple[str, ...] = ()  # hosts whose addresses could not be asked
    failure: str = ""  # what the resolver said, in words
    ipv6: bool = False  # whether AAAA were asked for too
    dane: bool = False  # whether TLSA records were asked for
    sts: bool = False  # whether the _mta-sts record was asked for
    tlsa: dict[str, tuple[Tlsa, ...]] = {}  # of hosts that DNSSEC vouches for; () = unusable ones
    bogus: tuple[str, ...] = ()  # hosts whose TLSA records could not be asked
    sts_id: str = ""  # of the domain's _mta-sts record

    def holds(self, now: int) -> bool:
        """Not asked too long ago; nor at a time yet to come, before the clock stepped back."""
        return self.asked_at <= now < self.expires_at


def refused(code: int, enhanced: str, text: str) -> RouteError:
    """A RouteError with a reply of our own."""
    return RouteError(Reply(code, enhanced, text))


def a_label(domain: str) -> str:
    """The domain as DNS knows it: lower case, A-labels. Raises RouteError 5.1.2."""
    try:
        name = domain.lower().rstrip(".") if domain.isascii() else _encoded(domain)
    except idna.IDNAError as error:
        raise refused(550, "5.1.2", f"{domain!r} is not a domain name: {error}") from error
    labels = name.split(".")
    if len(name) > 253 or not all(0 < len(label) <= 63 for label in labels):
        raise refused(550, "5.1.2", f"{domain[:80]!r} is not a domain name")
    return name


def _encoded(domain: str) -> str:
    return idna.encode(domain.rstrip("."), uts46=True).decode("ascii").lower()


def usable_records(records: Iterable[Mx], own_names: Collection[str], domain: str) -> list[Mx]:
    """The hosts to try, best first. Raises RouteError for a null MX and for ourselves."""
    given = sorted(set(records), key=lambda mx: (mx.preference, mx.host))
    if given and all(not mx.host for mx in given):
        raise refused(556, "5.1.10", f"{domain} takes no mail (null MX)")
    named = [mx for mx in given if mx.host and not is_address(mx.host)]
    if given and not named:
        wrong = ", ".join(mx.host for mx in given if mx.host)
        raise refused(550, "5.4.4", f"the MX of {domain} is an address, not a host name: {wrong}")
    ours = min((mx.preference for mx in named if mx.host in own_names), default=None)
    if ours is not None:
        # RFC 5321 5.1: we are among the hosts, so only better ones than ourselves may be tried.
        named = [mx for mx in named if mx.preference < ours]
        if not named:
            raise refused(550, "5.4.6", f"the best MX of {domain} is this box: mail would loop")
    return named[:MAX_HOSTS]


def decide(
    domain: str, facts: MxFacts, *, own_names: Collection[str], port: int, allow_private: bool
) -> Site:
    """The site of a domain. Raises RouteError with the reason."""
    if not facts.exists:
        raise refused(550, "5.1.2", f"the domain {domain} does not exist")
    hosts = usable_records(facts.records, own_names, domain)
    if facts.implicit and not any(facts.addresses.values()) and not facts.failed:
        missing = "MX, A or AAAA" if facts.ipv6 else "MX or A"
        raise refused(550, "5.1.2", f"{domain} takes no mail: it has no {missing} record")
    found = tuple(
        MxHost(
            name=mx.host,
            preference=mx.preference,
            addresses=addresses,
            dane=facts.tlsa.get(mx.host),
        )
        for mx in hosts
        if (addresses := reachable(facts.addresses.get(mx.host, ()), allow_private=allow_private))
    )
    trusty = tuple(host for host in found if host.name not in facts.bogus)
    if not trusty:
        raise _bogus(domain, facts) if found else _unreachable(domain, hosts, facts)
    key = site_key([mx.host for mx in hosts], port)
    if any(host.dane is not None for host in trusty):
        key += "|dane"
    return Site(
        key=key,
        hosts=trusty,
        port=port,
        asked_at=facts.asked_at,
        expires_at=facts.expires_at,
        sts_id=facts.sts_id,
    )


def _bogus(domain: str, facts: MxFacts) -> RouteError:
    text = f"the mail hosts of {domain} may demand DANE, and their TLSA records cannot be had: "
    return refused(451, "4.7.5", text + (facts.failure or ", ".join(facts.bogus[:4])))


def _unreachable(domain: str, hosts: Sequence[Mx], facts: MxFacts) -> RouteError:
    if any(mx.host in facts.failed for mx in hosts):
        return refused(451, "4.4.3", facts.failure or f"DNS could not answer for {domain}")
    given = [address for mx in hosts for address in facts.addresses.get(mx.host, ())]
    if given:
        text = f"the mail hosts of {domain} have only private addresses ({', '.join(given[:4])})"
        return refused(550, "5.4.4", text + "; delivery.allow_private_addresses would allow them")
    names = ", ".join(mx.host for mx in hosts[:4])
    return refused(550, "5.4.4", f"the mail hosts of {domain} have no address: {names}")


def reachable(addresses: Sequence[str], *, allow_private: bool) -> tuple[str, ...]:
    """The addresses mail may go to, families in turn, at most MAX_ADDRESSES."""
    allowed = [a for a in addresses if allow_private or is_public(a)]
    v6 = [a for a in allowed if ":" in a]
    v4 = [a for a in allowed if ":" not in a]
    turns = [a for pair in zip(v6, v4, strict=False) for a in pair]
    rest = [a for a in allowed if a not in turns]
    return tuple((turns + rest)[:MAX_ADDRESSES])


def is_public(address: str) -> bool:
    """Whether an address is one of the open Internet; an embedded IPv4 address counts as itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        # ::ffff:127.0.0.1, 2002:7f00:1:: and 64:ff9b::127.0.0.1 all reach the IPv4 address inside.
        inner = ip.ipv4_mapped or ip.sixtofour or _nat64(ip)
        if inner is None:
            return ip in _GLOBAL_UNICAST and ip.is_global
        ip = inner
    return ip.is_global and not ip.is_multicast and ip not in _PROTOCOL_ASSIGNMENTS


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None


def is_address(name: str) -> bool:
    """Whether a host name is really an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def site_key(hosts: Iterable[str], port: int) -> str:
    """One key for all domains with the same hosts, whatever their order and preference."""
    names = sorted(set(hosts))
    text = ",".join(names)
    if len(text) > _MAX_KEY:
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        text = f"{names[0][:120]}+{len(names) - 1}~{digest}"
    return f"{text}:{port}"


def in_order(hosts: Sequence[MxHost], dice: random.Random) -> list[MxHost]:
    """By preference, at random inside one preference (RFC 5321 section 5.1)."""
    if len(hosts) < 2:
        return list(hosts)
    return sorted(hosts, key=lambda host: (host.preference, dice.random()))
