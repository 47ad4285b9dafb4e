"""PROXY protocol, versions 1 and 2: the client's address as a listed proxy reports it.

`parse()` is pure. `read_header()` takes exactly the header off a socket whose transport does not
read yet, so that what follows (a TLS handshake, an early command) stays for its owner. A connection
from a listed proxy must begin with a header; anything else raises ProxyError and is closed. Nobody
but a listed proxy is asked for one: from others a PROXY line is an unknown command.

The format is HAProxy's proxy-protocol.txt; TLVs are skipped, not read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mta.directory import Network

_V2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1: Final = b"PROXY "
_V1_MAX: Final = 107
_V2_HEAD: Final = 16
_V2_MAX: Final = _V2_HEAD + 2048  # addresses and the TLVs a proxy may add
_V2_ADDRESSES: Final = {
    0x11: (4, 12),
    0x21: (16, 36),
}  # TCP over IPv4, IPv6: address size, block size


class ProxyError(Exception):
    """What the proxy sent is no PROXY header."""


@dataclass(frozen=True, slots=True)
class Header:
    """A whole header: its length, and the client it names ("" when the proxy speaks for itself)."""

    length: int
    address: str
    port: int


def parse(data: bytes) -> Header | None:
    """Read the header at the start of the data; None while it is incomplete."""
    if data.startswith(_V2[: len(data)]):
        return _parse_v2(data)
    if data.startswith(_V1[: len(data)]):
        return _parse_v1(data)
    raise ProxyError("the connection does not begin with a PROXY header")


def _parse_v1(data: bytes) -> Header | None:
    line, end, _ = data[:_V1_MAX].partition(b"\r\n")
    if not end:
        if len(data) >= _V1_MAX:
            raise ProxyError("PROXY line without an end")
        return None
    words = line.decode("ascii", "replace").split(" ")
    length = len(line) + 2
    if words[1] == "UNKNOWN":
        return Header(length, "", 0)
    if words[1] not in ("TCP4", "TCP6") or len(words) != 6:
        raise ProxyError("PROXY line of an unknown form")
    try:
        address, port = ipaddress.ip_address(words[2]), int(words[4])
    except ValueError as error:
        raise ProxyError(f"PROXY line: {error}") from error
    if address.version != int(words[1][3]) or not 0 <= port <= 65535:
        raise ProxyError("PROXY line with a wrong address or port")
    return Header(length, str(address), port)


def _parse_v2(data: bytes) -> Header | None:
    if len(data) < _V2_HEAD:
        return None
    command, family, size = data[12], data[13], int.from_bytes(data[14:16], "big")
    length = _V2_HEAD + size
    if command not in (0x20, 0x21) or length > _V2_MAX:
        raise ProxyError("PROXY header of an unknown form")
    if len(data) < length:
        return None
    if command == 0x20 or family not in _V2_ADDRESSES:  # LOCAL: the proxy's own health check
        return Header(length, "", 0)
    octets, block = _V2_ADDRESSES[family]
    if size < block:
        raise ProxyError("PROXY header is cut short")
    address = ipaddress.ip_address(data[_V2_HEAD : _V2_HEAD + octets])
    port = int.from_bytes(data[_V2_HEAD + 2 * octets : _V2_HEAD + 2 * octets + 2], "big")
    return Header(length, str(address), port)


def is_listed(address: str, proxies: tuple[Network, ...]) -> bool:
    """Whether a connection from the address must begin with a header."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a unix socket
        return False
    return any(ip in network for network in proxies)


async def read_header(fileno: int) -> Header:
    """Take the header off the socket, and not one octet more."""
    with socket.socket(fileno=os.dup(fileno)) as sock:
        seen = b""
        while True:
            await _readable(sock)
            try:
                peeked = sock.recv(_V2_MAX, socket.MSG_PEEK)
            except BlockingIOError:
                continue
            if not peeked:
                raise ProxyError("the proxy hung up before its header was complete")
            header = parse(seen + peeked)
            take = len(peeked) if header is None else header.length - len(seen)
            seen += sock.recv(take)
            if header is not None:
                return header


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    loop.add_reader(sock, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_reader(sock)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
