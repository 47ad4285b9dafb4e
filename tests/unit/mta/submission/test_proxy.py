from __future__ import annotations

import ipaddress
import struct

import pytest

from mta.submission.proxy import Header, ProxyError, parse

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, payload: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(payload)) + payload


V4 = v2(0x21, 0x11, bytes([203, 0, 113, 9, 192, 0, 2, 1]) + struct.pack("!HH", 4711, 25))
V6 = v2(
    0x21,
    0x21,
    ipaddress.ip_address("2001:db8::9").packed
    + ipaddress.ip_address("2001:db8::1").packed
    + struct.pack("!HH", 4711, 25)
    + b"\x04\x00\x02xy",
)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 25\r\n", ("203.0.113.9", 4711)),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 4711 25\r\n", ("2001:db8::9", 4711)),
        (b"PROXY UNKNOWN\r\n", ("", 0)),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", ("", 0)),
        (V4, ("203.0.113.9", 4711)),
        (V6, ("2001:db8::9", 4711)),
        (v2(0x20, 0x00, b""), ("", 0)),
    ],
)
def test_a_header_is_read_whatever_follows(data: bytes, header: tuple[str, int]) -> None:
    assert parse(data + b"EHLO x\r\n") == Header(len(data), *header)
    for length in range(len(data)):
        assert parse(data[:length]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO x\r\n",
        b"PROXYTCP4",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n",
        b"PROXY TCP4 2001:db8::9 2001:db8::1 4711 25\r\n",
        b"PROXY TCP4 example.com 192.0.2.1 4711 25\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 70000 25\r\n",
        b"PROXY UDP4 203.0.113.9 192.0.2.1 4711 25\r\n",
        b"PROXY " + b"x" * 101,
        v2(0x11, 0x11, b"\0" * 12),
        v2(0x21, 0x11, b"\0" * 4),
        v2(0x21, 0x11, b"\0" * 4000),
    ],
)
def test_anything_else_is_an_error(data: bytes) -> None:
    with pytest.raises(ProxyError):
        parse(data)
