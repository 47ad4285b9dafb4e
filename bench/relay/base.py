"""Base: what a relay is to the harness, and the few things that all of them need.

A relay is started once, listens on 127.0.0.1:port, delivers everything for dst.example and for the ten
thousand domains below .test (resolver.py) to 127.0.0.1:sink_port, and is stopped at the end whatever
happened.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

SENDER: Final = "sender@src.example"
RECIPIENT: Final = "rcpt@dst.example"
SENDING_DOMAIN: Final = "src.example"
WORLD: Final = "test"
_START_SECONDS: Final = 30.0
_LOWEST_PORT: Final = 20_000


class BenchError(Exception):
    """The measurement cannot go on; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where applications hand in over STARTTLS, and who they say they are ("": they need not say)."""

    port: int
    people: tuple[tuple[str, str, str], ...] = (("", "", SENDER),)  # user name, password, sender


class Relay(Protocol):
    """A relay under test."""

    name: str
    port: int
    sink_port: int
    door: Door
    aftercare: float  # seconds after the last delivery in which it may still have work to do
    dns: Mapping[str, str]  # TXT records of its DKIM keys

    def start(self) -> None:
        """Until it greets."""

    def stop(self) -> None:
        """And everything that it started."""

    def roots(self) -> tuple[int, ...]:
        """Processes whose trees are all that the relay is."""

    def parts(self) -> dict[str, int]:
        """Its long-lived parts by name: trees whose CPU is told apart."""

    def waiting(self) -> int:
        """Messages that it still holds, as far as that can be seen from outside."""


def program(name: str) -> str:
    """The path of a program, /usr/sbin included. Raises BenchError."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        raise BenchError(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of loopback that nobody has, below those the kernel gives to outgoing connections.

    So it is still free when, between two runs, nobody listens on it for a while.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(_LOWEST_PORT, max(lowest, _LOWEST_PORT + 1000)), 200):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise BenchError("no free port on loopback")


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None, log: Path) -> None:
    """Until something greets there. Raises BenchError when the process ends or takes too long."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise BenchError(f"it ended with code {process.returncode}:\n{tail(log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            if sock.recv(1):
                return
        time.sleep(0.05)
    raise BenchError(f"nothing greets on 127.0.0.1:{port} after {_START_SECONDS} s:\n{tail(log)}")


def tail(log: Path, size: int = 3000) -> str:
    """The end of a log."""
    try:
        return log.read_bytes()[-size:].decode("utf-8", "replace")
    except OSError:
        return ""
