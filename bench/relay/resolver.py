"""Resolver: the name server of a relay, in a process of its own: ten thousand domains, and a zone.

    d17.a.test        MX 10 mx.d17.a.test, a host of its own for each domain
    mx.d17.a.test     A 127.0.0.1
    *.test, else      do not exist, or have no such record: told with an SOA
    all others        as the laboratory's DNS server answers from the zone

It stands for a caching resolver beside the relay: what is asked for the first time is answered after
`delay` seconds, which is the way to the world, and from then on at once. An answer about *.test costs
some 10 us, a tenth of what dnspython takes to make one, so that the relays are measured and not this.
UDP only. Ends with its standard input: when its parent closes it, or dies.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from appliance.lab.dns_server import LabDns
from relay.base import WORLD, BenchError

if TYPE_CHECKING:
    from appliance.lab.dns_server import Zone

_WORLD: Final = b"\x04" + WORLD.encode() + b"\x00"
_A, _SOA, _MX = b"\x00\x01", b"\x00\x06", b"\x00\x0f"
_IN: Final = b"\x00\x01"
_TTL: Final = (3600).to_bytes(4, "big")
_HERE: Final = b"\xc0\x0c"  # a pointer to the name of the question
_FOUND, _ABSENT = b"\x85\x80", b"\x85\x83"  # NOERROR and NXDOMAIN, authoritative
_NO_NAMES: Final = b"\x00\x00" + (3600).to_bytes(4, "big") * 5  # an SOA without names
_AT_ONCE: Final = 200


def start(zone: Zone, place: tuple[str, int], delay: float) -> subprocess.Popen[bytes]:
    """Serve there; close its standard input to end it. Raises BenchError when it cannot listen."""
    process = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = {"zone": zone, "place": place, "delay": delay}
    process.stdin.write(json.dumps(told).encode() + b"\n")
    process.stdin.flush()
    if process.stdout.readline() != b"serves\n":
        stop(process)
        raise BenchError(f"no DNS on {place[0]}:{place[1]}")
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait()


def reply_to(query: bytes) -> bytes | None:
    """The answer to a question about *.test; None for any other."""
    end = query.find(b"\x00", 12)
    name, kind = query[12 : end + 1].lower(), query[end + 1 : end + 3]
    if end < 0 or not name.endswith(_WORLD):
        return None
    if name[1:2] == b"d" and kind == _MX:
        return _answer(query, end, _MX, b"\x00\x0a\x02mx" + _HERE)
    if name[:3] == b"\x02mx" and kind == _A:
        return _answer(query, end, _A, b"\x7f\x00\x00\x01")
    code = _FOUND if name[1:2] == b"d" or name[:3] == b"\x02mx" else _ABSENT
    top = (0xC000 + end - len(_WORLD) + 1).to_bytes(2, "big")
    soa = top + _SOA + _IN + _TTL + len(_NO_NAMES).to_bytes(2, "big") + _NO_NAMES
    return _head(query, code, b"\x00\x00\x00\x01") + query[12 : end + 5] + soa


def _answer(query: bytes, end: int, kind: bytes, data: bytes) -> bytes:
    record = _HERE + kind + _IN + _TTL + len(data).to_bytes(2, "big") + data
    return _head(query, _FOUND, b"\x00\x01\x00\x00") + query[12 : end + 5] + record


def _head(query: bytes, code: bytes, counts: bytes) -> bytes:
    """One question, and so many answers and authorities; nothing more."""
    return query[:2] + code + b"\x00\x01" + counts + b"\x00\x00"


class _Server:
    """One socket; answers that have to wait do so in line, because all wait as long."""

    def __init__(self, lab: LabDns, place: tuple[str, int], delay: float) -> None:
        self._lab, self._delay = lab, delay
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(place)
        self._socket.setblocking(False)
        self._known: set[bytes] = set()
        self._due: deque[tuple[float, bytes, tuple[str, int]]] = deque()

    def serve(self) -> None:
        """Until standard input ends."""
        while True:
            wait = self._due[0][0] - time.monotonic() if self._due else None
            readable, _, _ = select.select(
                [self._socket, sys.stdin], [], [], None if wait is None else max(0.0, wait)
            )
            if sys.stdin in readable:
                return
            self._read()
            while self._due and self._due[0][0] <= time.monotonic():
                _, reply, asker = self._due.popleft()
                self._socket.sendto(reply, asker)

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                query, asker = self._socket.recvfrom(4096)
            except BlockingIOError:
                return
            reply = reply_to(query)
            if reply is None:
                told = self._lab.reply_to(query, tcp=False)
                if told is not None:
                    self._socket.sendto(told, asker)
            elif self._is_known(query):
                self._socket.sendto(reply, asker)
            else:
                self._due.append((time.monotonic() + self._delay, reply, asker))

    def _is_known(self, query: bytes) -> bool:
        question = query[12 : query.index(b"\x00", 12) + 3].lower()
        if question in self._known:
            return True
        self._known.add(question)
        return not self._delay


if __name__ == "__main__":
    asked = json.loads(sys.stdin.readline())
    server = _Server(LabDns(asked["zone"]), (asked["place"][0], asked["place"][1]), asked["delay"])
    print("serves", flush=True)
    server.serve()
