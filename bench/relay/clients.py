"""Clients: what is sent in one run, and the program that sends it.

smtp-source, Postfix's own, wherever it can: one recipient, no TLS, no login. For all else generator.py,
the same for every relay.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.base import RECIPIENT, SENDER, program

if TYPE_CHECKING:
    from relay.base import Relay

Client = subprocess.Popen[bytes]
_GENERATOR: Final = Path(__file__).with_name("generator.py")


class Kind(StrEnum):
    """What kind of load; the words of reports."""

    PLAIN = "plain"  # one recipient domain, no TLS: smtp-source
    COLD = "cold"  # every message to another domain that nobody has asked DNS for
    WARM = "warm"  # every message to another domain, all of them known from a cold run
    TLS = "tls"  # STARTTLS with a full handshake, and AUTH
    RESUMED = "resumed"  # STARTTLS with the session of the handshake before, and AUTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in one run."""

    size: int
    sessions: int
    kept: bool  # False: a connection for each message
    messages: int
    kind: Kind = Kind.PLAIN
    names: str = (
        ""  # the recipient domains are d0.NAMES.test, d1.NAMES.test, ... for each message one
    )
    each: int = 0  # messages a connection, where neither one nor all: the generator's only

    @property
    def mode(self) -> str:
        """As the options name it, or what kind it is."""
        if self.kind is not Kind.PLAIN:
            return self.kind
        return "many" if self.kept else "one"

    @property
    def per_connection(self) -> int:
        """Messages that a connection carries."""
        return self.each or (self.messages if self.kept else 1)


def source(relay: Relay, load: Load) -> Client:
    """A started smtp-source."""
    command = [program("smtp-source"), "-s", str(load.sessions), "-m", str(load.messages)]
    command += ["-l", str(load.size), "-f", SENDER, "-t", RECIPIENT, "-M", "client.example"]
    if load.kept:
        command.append("-d")
    command.append(f"127.0.0.1:{relay.port}")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def generator(relay: Relay, load: Load) -> Client:
    """A generator that has everything ready, and begins at the next line on its standard input."""
    secured = load.kind in (Kind.TLS, Kind.RESUMED)
    plan = {
        "port": relay.door.port if secured else relay.port,
        "sessions": load.sessions,
        "messages": load.messages,
        "size": load.size,
        "each": load.per_connection,
        "recipient": RECIPIENT,
        "names": load.names,
        "domains": load.messages,
        "people": relay.door.people if secured else [("", "", SENDER)],
        "tls": secured,
        "resumes": load.kind is Kind.RESUMED,
    }
    pipe = subprocess.PIPE
    command = [sys.executable, _GENERATOR]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(plan).encode() + b"\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


def begin(relay: Relay, load: Load, ready: Client | None) -> Client:
    """Let the client begin: one that was made ready, or smtp-source."""
    if ready is None:
        return source(relay, load)
    assert ready.stdin is not None
    ready.stdin.write(b"go\n")
    ready.stdin.close()
    return ready
