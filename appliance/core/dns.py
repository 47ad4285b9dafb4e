"""The resolver: typed DNS answers from a bounded cache that respects their TTL.

A dnspython query costs 205 us of CPU, more than the rest of the way to a receiver together: what is
cached is never asked again, questions that are under way are shared by all who ask them, and an
answer in the cache costs a dictionary look-up.

Promises: names are absolute (no search list); every look-up ends within `dns.timeout`; a name that
does not exist, a name without such records and a server that cannot say are three different errors.
Failures are kept for FAILURE_TTL seconds (RFC 9520), absences for what the zone's SOA says (RFC 2308).
`is_secure` says that DNSSEC vouches for an answer: its AD bit, believed only from a name server on
loopback or one that `dns.trusted` lists, because the bit itself is protected by nothing (RFC 6840
section 5.7 has it asked for with AD in the question, which makes no answer larger).
Never raises anything else for what a server answers or fails to answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import dns.reversename
import dns.ttl

from appliance.core import clock, tasks
from appliance.core.errors import ConfigError

if TYPE_CHECKING:
    from appliance.core.settings import Dns

FAILURE_TTL: Final = 5
MAX_NEGATIVE_TTL: Final = 3600
_MAX_ENTRIES: Final = 20_000  # about 10 MB; the router and cache.db stand before it
_MAX_QUERIES: Final = 200  # under way at once: each is a socket
_MAX_ALIASES: Final = 8  # CNAMEs followed across answers
_TRY_TIMEOUT: Final = 3.0  # one server, before the next is asked
_UDP_PAYLOAD: Final = 1232  # DNS flag day 2020: no fragments

Now = Callable[[], int]


class DnsError(Exception):
    """A look-up without an answer; the text is for people, `expires_at` (ms) for caches."""

    def __init__(self, text: str, expires_at: int, *, is_secure: bool = False) -> None:
        super().__init__(text)
        self.expires_at, self.is_secure = expires_at, is_secure


class NoSuchNameError(DnsError):
    """NXDOMAIN: the name does not exist."""


class NoRecordError(DnsError):
    """The name exists and has no record of this type."""


class DnsTemporaryError(DnsError):
    """Nobody could say: time-out, SERVFAIL, REFUSED, or an answer that cannot be read."""


@dataclass(frozen=True, slots=True)
class MxRecord:
    """One MX record; `exchange` without its final dot, "" for the null MX (RFC 7505)."""

    preference: int
    exchange: str


@dataclass(frozen=True, slots=True)
class MxAnswer:
    """The MX records of a name."""

    records: tuple[MxRecord, ...]
    expires_at: int
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """One TLSA record (RFC 6698): usage, selector, matching type and what is matched."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TlsaAnswer:
    """The TLSA records of a name."""

    records: tuple[TlsaRecord, ...]
    expires_at: int
    is_secure: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Addresses, texts or names, in the order they came, and when (ms) they must be asked again."""

    values: tuple[str, ...]
    expires_at: int
    is_secure: bool = False


class _Kind(StrEnum):
    FOUND = "found"
    NO_NAME = "no name"
    NO_RECORD = "no record"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: _Kind
    expires_at: int
    asked_at: int
    values: tuple[str, ...] = ()
    records: tuple[MxRecord, ...] = ()
    tlsa: tuple[TlsaRecord, ...] = ()
    why: str = ""
    is_secure: bool = False


_Question = tuple[str, str]


class Resolver:
    """Asks the configured name servers; one per process."""

    def __init__(
        self,
        settings: Dns,
        *,
        now: Now = clock.now_ms,
        max_entries: int = _MAX_ENTRIES,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`count` hears what came of each question that was put to a server."""
        self._settings = settings
        self._now, self._count = now, count
        self._max_entries = max_entries
        self._stub = _stub(settings)
        self._believed = frozenset(map(_canonical, settings.trusted))
        self._cache: OrderedDict[_Question, _Entry] = OrderedDict()
        self._asking: dict[_Question, asyncio.Task[_Entry]] = {}
        self._slots = asyncio.Semaphore(_MAX_QUERIES)

    @property
    def servers(self) -> tuple[str, ...]:
        """The addresses of the name servers that are asked."""
        return tuple(_canonical(str(getattr(s, "address", s))) for s in self._stub.nameservers)

    def believes(self, server: str) -> bool:
        """Whether the word of a name server (its address) on DNSSEC is taken."""
        return server in self._believed or _is_loopback(server)

    async def mx(self, name: str) -> MxAnswer:
        """The MX records of a name; CNAMEs are followed."""
        entry = await self._look_up(name, "MX")
        return MxAnswer(entry.records, entry.expires_at, entry.is_secure)

    async def tlsa(self, name: str) -> TlsaAnswer:
        """The TLSA records of a name such as _25._tcp.mx.example.net."""
        entry = await self._look_up(name, "TLSA")
        return TlsaAnswer(entry.tlsa, entry.expires_at, entry.is_secure)

    async def addresses(self, name: str, *, ipv6: bool) -> Answer:
        """The A records of a name, or with `ipv6` its AAAA records."""
        return await self._answer(name, "AAAA" if ipv6 else "A")

    async def txt(self, name: str) -> Answer:
        """The TXT records of a name, the strings of each joined."""
        return await self._answer(name, "TXT")

    async def cname(self, name: str) -> Answer:
        """What the name is an alias of."""
        return await self._answer(name, "CNAME")

    async def ptr(self, address: str) -> Answer:
        """The names of an IP address."""
        return await self._answer(dns.reversename.from_address(address).to_text(), "PTR")

    async def _answer(self, name: str, rdtype: str) -> Answer:
        entry = await self._look_up(name, rdtype)
        return Answer(entry.values, entry.expires_at, entry.is_secure)

    async def _look_up(self, name: str, rdtype: str) -> _Entry:
        question = (name.rstrip(".").lower(), rdtype)
        entry = self._cached(question)
        if entry is None:
            entry = await self._shared(question)
        if entry.kind is not _Kind.FOUND:
            raise _error(entry, question)
        return entry

    def _cached(self, question: _Question) -> _Entry | None:
        entry = self._cache.get(question)
        # What was asked at a time yet to come was asked before the clock stepped back.
        if entry is None or not entry.asked_at <= self._now() < entry.expires_at:
            return None
        self._cache.move_to_end(question)
        return entry

    async def _shared(self, question: _Question) -> _Entry:
        """One query for all who ask at once; who stops waiting does not stop it."""
        task = self._asking.get(question)
        if task is None:
            task = tasks.spawn(self._ask(question), name=f"dns {question[1]} {question[0]}")
            self._asking[question] = task
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return await asyncio.shield(task)

    async def _ask(self, question: _Question) -> _Entry:
        async with self._slots:
            entry = await self._query(*question)
        self._count(entry.kind)
        self._cache[question] = entry
        self._cache.move_to_end(question)
        while len(self._cache) > self._max_entries:
            self._cache.popitem(last=False)
        return entry

    async def _query(self, name: str, rdtype: str) -> _Entry:
        """Ask, and go on where an answer ends in a CNAME whose target it does not hold."""
        ttl, is_secure = dns.ttl.MAX_TTL, True
        try:
            qname = dns.name.from_text(name + ".")
            for _ in range(_MAX_ALIASES):
                answer = await self._stub.resolve(qname, rdtype, raise_on_no_answer=False)
                ttl = min(ttl, answer.chaining_result.minimum_ttl)
                is_secure = is_secure and self._vouches(answer)
                if answer.rrset is not None or answer.canonical_name == qname:
                    return self._entry_of(answer, ttl, is_secure=is_secure)
                qname = answer.canonical_name
        except dns.resolver.NXDOMAIN as error:
            return self._absent(_Kind.NO_NAME, _negative_ttl(error))
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel) as error:
            return self._keep(_Kind.NO_NAME, FAILURE_TTL, why=f"not a domain name: {error}")
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return self._keep(_Kind.FAILED, FAILURE_TTL, why=_words(error))
        return self._keep(_Kind.FAILED, FAILURE_TTL, why="the aliases (CNAME) do not end")

    def _vouches(self, answer: dns.resolver.Answer) -> bool:
        """Whether DNSSEC was checked by somebody whom we believe over a line that we believe."""
        if not answer.response.flags & dns.flags.AD:
            return False
        return self.believes(_canonical(answer.nameserver or ""))

    def _entry_of(self, answer: dns.resolver.Answer, ttl: int, *, is_secure: bool) -> _Entry:
        if answer.rrset is None:
            return self._absent(_Kind.NO_RECORD, ttl, is_secure=is_secure)
        seconds = max(self._settings.min_ttl, min(ttl, self._settings.max_ttl))
        if answer.rdtype == dns.rdatatype.MX:
            records = tuple(MxRecord(r.preference, _plain(r.exchange)) for r in answer.rrset)
            return self._keep(_Kind.FOUND, seconds, records=records, is_secure=is_secure)
        if answer.rdtype == dns.rdatatype.TLSA:
            tlsa = tuple(TlsaRecord(r.usage, r.selector, r.mtype, r.cert) for r in answer.rrset)
            return self._keep(_Kind.FOUND, seconds, tlsa=tlsa, is_secure=is_secure)
        read = _READERS[answer.rdtype]
        values = tuple(read(r) for r in answer.rrset)
        return self._keep(_Kind.FOUND, seconds, values=values, is_secure=is_secure)

    def _absent(self, kind: _Kind, ttl: int, *, is_secure: bool = False) -> _Entry:
        if (
            ttl > self._settings.max_ttl
        ):  # no SOA came along: RFC 2308 section 5 says not to keep it
            ttl = 0
        seconds = max(self._settings.min_ttl, min(ttl, MAX_NEGATIVE_TTL))
        return self._keep(kind, seconds, is_secure=is_secure)

    def _keep(self, kind: _Kind, seconds: int, **found: Any) -> _Entry:
        now = self._now()
        return _Entry(kind, now + seconds * clock.SECOND, now, **found)


def _error(entry: _Entry, question: _Question) -> DnsError:
    name, rdtype = question
    match entry.kind:
        case _Kind.NO_NAME:
            text = entry.why or f"the name {name} does not exist"
            return NoSuchNameError(text, entry.expires_at)
        case _Kind.NO_RECORD:
            text = f"{name} has no {rdtype} record"
            return NoRecordError(text, entry.expires_at, is_secure=entry.is_secure)
        case _Kind.FAILED | _Kind.FOUND:
            text = f"DNS could not answer {rdtype} {name}: {entry.why}"
            return DnsTemporaryError(text, entry.expires_at)


def _stub(settings: Dns) -> dns.asyncresolver.Resolver:
    try:
        stub = dns.asyncresolver.Resolver(configure=not settings.nameservers)
    except dns.resolver.NoResolverConfiguration as error:
        raise ConfigError(
            "there is no name server in /etc/resolv.conf: set dns.nameservers"
        ) from error
    if settings.nameservers:
        stub.nameservers = [nameserver(text) for text in settings.nameservers]
    stub.lifetime = settings.timeout
    stub.timeout = min(_TRY_TIMEOUT, settings.timeout)
    stub.use_edns(0, 0, _UDP_PAYLOAD)
    stub.set_flags(dns.flags.RD | dns.flags.AD)
    stub.search = []
    return stub


def nameserver(text: str) -> dns.nameserver.Do53Nameserver:
    """A server written "address", "address:port" or "[address]:port". Raises ConfigError."""
    address, port = text, "53"
    if text.startswith("[") and "]" in text:
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":") or "53"
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    try:
        dns.reversename.from_address(address)  # refuses what is not an IP address
        return dns.nameserver.Do53Nameserver(address, int(port))
    except (dns.exception.DNSException, ValueError) as error:
        raise ConfigError(
            f'dns.nameservers: {text!r} is not an address: write "192.0.2.53" or "192.0.2.53:5353"'
        ) from error


def _canonical(address: str) -> str:
    """An IP address in one spelling; anything else as it is, to match nothing."""
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


# dnspython's records are untyped: what is read of each type stands here and nowhere else.
_READERS: Final[dict[int, Callable[[Any], str]]] = {
    dns.rdatatype.A: lambda record: str(record.address),
    dns.rdatatype.AAAA: lambda record: str(record.address),
    dns.rdatatype.TXT: lambda record: b"".join(record.strings).decode("utf-8", "replace"),
    dns.rdatatype.CNAME: lambda record: _plain(record.target),
    dns.rdatatype.PTR: lambda record: _plain(record.target),
}


def _negative_ttl(error: dns.resolver.NXDOMAIN) -> int:
    """How long the zone lets its absence be kept (RFC 2308); a very large number without SOA."""
    responses: dict[object, dns.message.QueryMessage] = error.kwargs["responses"]
    return min((r.resolve_chaining().minimum_ttl for r in responses.values()), default=0)


def _words(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no name server answered in time"
    if isinstance(error, dns.resolver.NoNameservers):
        tries: list[tuple[Any, ...]] = error.kwargs.get("errors", [])
        said = sorted({str(entry[3]) or type(entry[3]).__name__ for entry in tries})
        return "the name servers said " + ", ".join(said) if said else "there is no name server"
    return str(error) or type(error).__name__
