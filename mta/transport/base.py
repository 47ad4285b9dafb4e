"""What scheduling needs of a transport: find the site of a domain, open a connection, send.

Two small protocols, so that a provider's API (Gmail, Graph) later stands beside SMTP without the
scheduler knowing. Transports never write to the store and never decide what an answer means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mta.message import Attempt, Egress, Envelope, Step
    from mta.reply import Reply
    from mta.status import Phase, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class MxHost:
    """One host to try, with its addresses in the order to try them."""

    name: str
    preference: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The set of MX hosts a domain resolves to. Domains with the same hosts share one site.

    `key` is made of the host names (or names the smarthost, or the box's own inbound listener), so
    that thousands of domains at one provider share its connections and limits.
    """

    key: str
    hosts: tuple[MxHost, ...]
    port: int
    is_smarthost: bool = False
    expires_at: int = 0  # ms: when DNS must be asked again


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

    async def open(self, egress: Egress, site: Site) -> Connection:
        """Try the hosts in order. Raises ConnectFailed when none can be used."""
