"""What scheduling needs of a transport: find the site of a domain, open a connection, send.

Two small protocols, so that a provider's API (Gmail, Graph) later stands beside SMTP without the
scheduler knowing. Transports never write to the store and never decide what an answer means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mta.message import Attempt, Egress, Envelope, Step
    from mta.reply import Reply
    from mta.shaping.model import Limits
    from mta.status import Phase, Scope
    from mta.transport.dane import Tlsa


class TlsDemand(StrEnum):
    """What the receiver's published policy (MTA-STS) asks of TLS with its hosts."""

    OPPORTUNISTIC = "opportunistic"  # nothing is published
    TESTING = "testing"  # told to the receiver, never enforced
    VERIFIED = "verified"  # a valid certificate for the host's name, or no mail
    WAIVED = "waived"  # whatever is published: a report on TLS must arrive where TLS is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class MxHost:
    """One host to try, with its addresses in the order to try them.

    `dane`: the TLSA records that DNSSEC vouches for, which go before every other policy; () when none
    of them can be used (encrypted, the certificate not judged: RFC 7672 section 2.2), None without.
    """

    name: str
    preference: int
    addresses: tuple[str, ...]
    dane: tuple[Tlsa, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The set of MX hosts a domain resolves to. Domains with the same hosts share one site.

    `key` is made of the host names (or names the smarthost, or the box's own inbound listener), so
    that thousands of domains at one provider share its connections and limits. What is demanded of
    TLS is a part of it, behind a bar ("mx.example.net:25|sts"): a connection that was opened for a
    domain without a policy must never carry mail for one that has a policy.
    """

    key: str
    hosts: tuple[MxHost, ...]
    port: int
    is_smarthost: bool = False
    asked_at: int = 0  # ms: when DNS was asked
    expires_at: int = 0  # ms: when it must be asked again; 0: it was not asked
    tls: TlsDemand = TlsDemand.OPPORTUNISTIC
    sts_id: str = ""  # what the domain's _mta-sts record names, for who applies the policy

    def holds(self, now: int) -> bool:
        """Whether DNS need not be asked again; after the clock has stepped back it must be."""
        return not self.expires_at or self.asked_at <= now < self.expires_at

    @property
    def policy(self) -> str:
        """What is published of TLS with these hosts, in words; "" for nothing."""
        words = ["DANE"] if any(host.dane is not None for host in self.hosts) else []
        match self.tls:
            case TlsDemand.VERIFIED:
                words.append("MTA-STS")
            case TlsDemand.TESTING:
                words.append("MTA-STS (testing)")
            case TlsDemand.OPPORTUNISTIC | TlsDemand.WAIVED:
                pass
        return " and ".join(words)

    @property
    def hosts_key(self) -> str:
        """The key without the demand: all lanes to the same hosts."""
        return self.key.partition("|")[0]

    @property
    def name(self) -> str:
        """What people call it: the names of its hosts."""
        return self.hosts_key.rpartition(":")[0] or self.hosts_key


class RouteError(Exception):
    """The destination cannot be reached as DNS has it now; `reply` says why, for good or not."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.line())
        self.reply = reply


class Router(Protocol):
    """Finds the site of a recipient domain."""

    async def site_of(self, domain: str) -> Site:
        """Raises RouteError: permanent (null MX, NXDOMAIN, ourselves) or temporary (DNS failure)."""


class ConnectFailed(Exception):  # noqa: N818 - an outcome of an attempt, not a fault of ours
    """No host of the site took a connection; the steps tell what was tried."""

    def __init__(
        self,
        *,
        reply: Reply,
        scope: Scope,
        phase: Phase,
        host: str,
        address: str,
        steps: tuple[Step, ...],
    ) -> None:
        super().__init__(reply.line())
        self.reply, self.scope, self.phase = reply, scope, phase
        self.host, self.address, self.steps = host, address, steps


class Connection(Protocol):
    """One open session with a receiver, kept for several transactions."""

    @property
    def usable(self) -> bool:
        """False once the receiver hung up, said 421, or the limit of messages was reached."""

    async def send(self, envelope: Envelope) -> Attempt:
        """Run one transaction. Never raises for what the receiver does: that is in the results."""

    async def close(self) -> None:
        """Say QUIT if that can be done quickly, and close."""


class Transport(Protocol):
    """Opens connections to the hosts of a site from an egress address."""

    async def open(
        self, egress: Egress, site: Site, *, limits: Limits | None = None, domain: str = ""
    ) -> Connection:
        """Try the hosts in order. Raises ConnectFailed when none can be used.

        `limits`: time-outs, TLS and messages of the receiver's provider, else the box's own. `domain`:
        the recipient's for whom the connection is made, to whom TLS reports are due.
        """
