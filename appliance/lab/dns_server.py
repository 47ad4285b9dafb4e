"""A small real DNS server for loopback, over UDP and TCP, that misbehaves on request.

    zone = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.2"]}}
    async with LabDns(zone) as server: ... server.address ("127.0.0.1:40053")

Names are exact, or `*.parent` for everything below a parent that is not named itself. CNAMEs are
followed inside the zone, absence is told with an SOA whose minimum is `negative_ttl`, and every
question is counted. A name in `faults` is answered as its fault says, whatever the zone holds. Answers
about names in and below `signed` say that DNSSEC vouches for them (AD), to those who ask.
Never meant for anything but laboratories and tests: it believes whatever it is asked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dns.message import Message

Zone = dict[str, dict[str, list[str]]]
_MAX_CHAIN: Final = 8
_MAX_UDP: Final = 512
_MAX_TCP: Final = 65_535
_MAX_BIND_ATTEMPTS: Final = 10


class Fault(StrEnum):
    """How a name's questions are answered wrongly."""

    SERVFAIL = "servfail"
    REFUSED = "refused"
    SILENCE = "silence"  # no answer at all: the client times out
    TRUNCATE = "truncate"  # UDP says "ask over TCP", TCP answers
    GARBAGE = "garbage"  # bytes that are no DNS message


class LabDns:
    """The server; change `zone` and `faults` while it runs."""

    def __init__(
        self,
        zone: Mapping[str, Mapping[str, Sequence[str]]],
        *,
        faults: Mapping[str, Fault] | None = None,
        signed: Collection[str] = (),
        ttl: int = 300,
        negative_ttl: int = 60,
    ) -> None:
        self.zone: Zone = {
            name.lower(): {t: list(values) for t, values in types.items()}
            for name, types in zone.items()
        }
        self.faults = dict(faults or {})
        self.signed = set(signed)
        self.ttl, self.negative_ttl = ttl, negative_ttl
        self.asked: Counter[tuple[str, str]] = Counter()
        self.port = 0
        self._host = ""
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """As `dns.nameservers` wants it."""
        return f"{self._host}:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 lets the system choose one that is free for both UDP and TCP."""
        for attempt in range(_MAX_BIND_ATTEMPTS):
            self._tcp = await asyncio.start_server(self._serve_tcp, host, port)
            self._host, self.port = host, self._tcp.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Udp(self), local_addr=(host, self.port)
                )
            except OSError:
                self._tcp.close()
                if port or attempt == _MAX_BIND_ATTEMPTS - 1:
                    raise
            else:
                return

    async def stop(self) -> None:
        """Close both sockets."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()
        await asyncio.sleep(0)  # lets the transports run their last call

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def reply_to(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """The answer to a question on the wire; None says nothing."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked[name, dns.rdatatype.to_text(question.rdtype)] += 1
        match self.faults.get(name):
            case Fault.SILENCE:
                return None
            case Fault.GARBAGE:
                return wire[:2] + b"\x00not a message"
            case Fault.TRUNCATE if not tcp:
                response = dns.message.make_response(query)
                response.flags |= dns.flags.TC
                return response.to_wire()
            case fault:
                return self._answer(query, name, fault, tcp=tcp)

    def _answer(self, query: Message, name: str, fault: Fault | None, *, tcp: bool) -> bytes:
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA | dns.flags.AA
        if fault is Fault.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif fault is Fault.REFUSED:
            response.set_rcode(dns.rcode.REFUSED)
        else:
            self._fill(response, name, dns.rdatatype.to_text(query.question[0].rdtype))
            names = [name, *(rrset.name.to_text(omit_final_dot=True) for rrset in response.answer)]
            if query.flags & dns.flags.AD and all(map(self._is_signed, names)):
                response.flags |= dns.flags.AD
        if tcp:
            return response.to_wire(max_size=_MAX_TCP)
        try:
            return response.to_wire(max_size=max(query.payload, _MAX_UDP))
        except dns.exception.TooBig:
            response = dns.message.make_response(query)
            response.flags |= dns.flags.TC
            return response.to_wire()

    def _fill(self, response: Message, name: str, rdtype: str) -> None:
        for _ in range(_MAX_CHAIN):
            types = self._types_of(name)
            if types is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                break
            wanted = rdtype if rdtype in types else "CNAME"
            if wanted not in types:
                break
            response.answer.append(_rrset(name, self.ttl, wanted, types[wanted]))
            if wanted == rdtype:
                return
            name = types["CNAME"][0].rstrip(".").lower()
        soa = f"ns.lab. hostmaster.lab. 1 3600 600 86400 {self.negative_ttl}"
        zone = name.rpartition(".")[2]
        response.authority.append(_rrset(zone, self.negative_ttl, "SOA", [soa]))

    def _is_signed(self, name: str) -> bool:
        return any(name == zone or name.endswith("." + zone) for zone in self.signed)

    def _types_of(self, name: str) -> dict[str, list[str]] | None:
        """The records of a name; {} when only names below it exist (RFC 8020)."""
        types = self.zone.get(name)
        if types is not None:
            return types
        if any(other.endswith("." + name) for other in self.zone if not other.startswith("*")):
            return {}
        _, _, parent = name.partition(".")
        while parent:
            if f"*.{parent}" in self.zone:
                return self.zone[f"*.{parent}"]
            _, _, parent = parent.partition(".")
        return None

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                reply = self.reply_to(await reader.readexactly(size), tcp=True)
                if reply is not None:
                    writer.write(len(reply).to_bytes(2, "big") + reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: LabDns) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # 3.11's is no subclass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.reply_to(data, tcp=False)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


def _rrset(name: str, ttl: int, rdtype: str, values: Sequence[str]) -> dns.rrset.RRset:
    owner = dns.name.from_text(name + ".")
    if rdtype == "TXT":
        values = [value if value.startswith('"') else _quoted(value) for value in values]
    return dns.rrset.from_text(owner, ttl, dns.rdataclass.IN, rdtype, *values)


def _quoted(text: str) -> str:
    """A TXT value as zone files write it: strings of at most 255 octets (a DKIM key is longer)."""
    pieces = [text[i : i + 255] for i in range(0, len(text), 255)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)
