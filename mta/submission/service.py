"""Service: what all connections of one listener share, and the policy that a connection asks.

The protocol knows SMTP and nothing of tenants; a `Handler` (mta/submission/session.py for
applications, another for the inbound listener) knows who may do what. Each connection gets a
handler of its own. A hook refuses by raising Refused; replies of 421 and 521 close the connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mta.directory import Network
    from mta.message import Client, RecipientRequest
    from mta.reply import Reply
    from mta.submission.commands import MailCommand
    from mta.submission.room import Room
    from mta.submission.sessions import Sessions


class TlsMode(StrEnum):
    """How a listener uses TLS; the words of `listeners.*.tls`."""

    NONE = "none"
    STARTTLS = "starttls"  # offered; AUTH only under TLS
    IMPLICIT = "implicit"  # from the first octet


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may do (MTA-3)."""

    max_message_bytes: int
    max_recipients: int
    max_messages: int
    max_commands_per_minute: int
    idle_timeout: float
    session_timeout: float
    min_rate: float = (
        1000.0  # octets a second that a message comes with, after the first idle_timeout
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A message as it was received, with its envelope."""

    mail: MailCommand
    recipients: tuple[RecipientRequest, ...]
    data: bytes  # CRLF line ends, dots unstuffed


class Peer(Protocol):
    """The connection, as its handler sees it."""

    address: str  # of the client; the one the proxy named, if it came through one
    tls: str  # "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in the clear
    normalise_line_ends: bool  # the handler may switch it on, once it knows who sends

    @property
    def is_authenticated(self) -> bool:
        """True once on_auth has accepted a login."""

    def client(self) -> Client:
        """Who is on the other end, as Received tells it."""


class Observer(Protocol):
    """Told what happens on a listener (metrics)."""

    def connected(self) -> None:
        """A client connected."""

    def handshake(self, result: str) -> None:
        """A TLS handshake ended: the version, or "failed"."""

    def refused(self, reply: Reply) -> None:
        """A session, command or message was refused."""


class _Nobody:
    def connected(self) -> None: ...

    def handshake(self, result: str) -> None: ...

    def refused(self, reply: Reply) -> None: ...


class Handler(Protocol):
    """The policy of one connection."""

    def on_connect(self) -> None:
        """Before the greeting."""

    async def on_auth(self, username: str, password: str) -> None:
        """Check a login."""

    def on_mail(self, mail: MailCommand) -> None:
        """Look at a sender."""

    def on_rcpt(self, recipient: RecipientRequest) -> RecipientRequest:
        """Look at a recipient; what is returned is what the transaction holds."""

    async def on_data(self, transaction: Transaction) -> Reply:
        """Take a whole message. Runs to its end even when the client has gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One listener's settings; its fixed replies are made once."""

    hostname: str
    make_handler: Callable[[Peer], Handler]
    limits: Limits
    sessions: Sessions
    room: Room
    tls: TlsMode = TlsMode.STARTTLS
    tls_context: ssl.SSLContext | None = None
    offers_auth: bool = True
    normalise_line_ends: bool = False
    proxies: tuple[Network, ...] = ()
    observer: Observer = field(default_factory=_Nobody)
    greeting: bytes = field(init=False)
    ehlo_clear: bytes = field(init=False)
    ehlo_secure: bytes = field(init=False)

    def __post_init__(self) -> None:
        if self.tls is not TlsMode.NONE and self.tls_context is None:
            raise ValueError(f"a listener with tls = {self.tls} needs a certificate")
        greeting = f"220 {self.hostname} ESMTP Pillarbox\r\n".encode("ascii")
        object.__setattr__(self, "greeting", greeting)
        object.__setattr__(self, "ehlo_clear", self._ehlo(is_secure=False))
        object.__setattr__(self, "ehlo_secure", self._ehlo(is_secure=True))

    def _ehlo(self, *, is_secure: bool) -> bytes:
        words = [self.hostname, f"SIZE {self.limits.max_message_bytes}"]
        words += ["8BITMIME", "SMTPUTF8", "PIPELINING", "DSN"]
        if self.tls is TlsMode.STARTTLS and not is_secure:
            words.append("STARTTLS")
        if self.offers_auth and is_secure:
            words.append("AUTH PLAIN LOGIN")
        lines = [f"250-{word}\r\n" for word in words]
        return "".join([*lines, "250 ENHANCEDSTATUSCODES\r\n"]).encode("ascii")
