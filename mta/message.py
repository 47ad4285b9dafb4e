"""The values that travel along the message way, one per stage.

    Submission -> Admitted -> Message + Recipients (spool) -> Envelope (transport) -> Attempt

Each is frozen and complete: a stage never gets a half-filled object. Times are integers,
milliseconds since the epoch in UTC (`appliance.core.clock`); addresses keep the case they came in,
domains are lower-case A-labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mta.directory import Credential, DkimKey, Tenant
    from mta.reply import Reply
    from mta.status import Phase, Scope, Status, TrafficClass


class Source(StrEnum):
    """By which door a message came in."""

    SMTP = "smtp"
    API = "api"
    NOTICE = "notice"  # the box's own: DSN, summary, forwarded postmaster mail
    TLS_REPORT = "tls_report"  # the box's own to a receiver; it arrives whatever TLS does

    @property
    def is_ours(self) -> bool:
        """Whether the box itself wrote it, or sends it on."""
        return self in (Source.NOTICE, Source.TLS_REPORT)


class ReturnPathMode(StrEnum):
    """One signed return path per recipient, or one per message (several recipients at once)."""

    RECIPIENT = "recipient"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who is on the other end of the submitting connection."""

    address: str
    port: int
    helo: str
    tls: str  # "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in the clear
    protocol: str  # SMTP, ESMTP, ESMTPS, ESMTPSA, ESMTPA, HTTP, LOCAL (RFC 3848)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRequest:
    """One RCPT TO, with its RFC 3461 parameters ("" where not given)."""

    address: str
    notify: str = ""  # comma separated, upper case: NEVER or SUCCESS,FAILURE,DELAY
    orcpt: str = ""  # "rfc822;user@example.com", as given


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a client handed over, before any rule has looked at it."""

    source: Source
    tenant: Tenant
    credential: Credential
    client: Client
    envelope_from: str  # "" for the null return path
    recipients: tuple[RecipientRequest, ...]
    data: bytes  # whole message: CRLF line ends, dots unstuffed
    received_at: int
    smtputf8: bool = False
    body_8bit: bool = False
    ret: str = ""  # FULL or HDRS (RFC 3461)
    envid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningPlan:
    """With which keys to sign, in this order; empty when the domain has none."""

    domain: str
    keys: tuple[DkimKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message in the spool. It is signed when it is sent: its content stays as it was accepted."""

    id: int
    tenant_id: int
    credential_id: int
    source: Source
    traffic_class: TrafficClass
    envelope_from: str
    header_from: str  # the address in From:
    message_id: str  # the Message-ID header, with its angle brackets
    subject: str
    size: int  # octets of the content, without a signature
    accepted_at: int
    client: str  # address the message came from
    tags: tuple[str, ...]
    metadata: str  # JSON text as given, "" if none
    smtputf8: bool
    body_8bit: bool
    ret: str
    envid: str
    dsn: bool  # whether the sender wants failure notices (credential)
    return_path_mode: ReturnPathMode
    bounce_domain: str
    signing_domain: str  # whose keys sign; "" when no domain had any as it was accepted


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient of a message, with where it stands."""

    message_id: int
    n: int  # 0-based position in the envelope
    tenant_id: int
    traffic_class: TrafficClass
    address: str
    domain: str
    status: Status
    due_at: int
    expires_at: int
    attempts: int = 0
    notify: str = ""
    orcpt: str = ""
    reason: str = ""  # why it waits or how it ended, in words
    last_host: str = ""
    last_egress: str = ""
    pool: str = ""  # egress pool asked for by header or credential; "" = the tenant's


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A submission that may be sent: what the committing thread stores."""

    message: Message
    recipients: tuple[Recipient, ...]
    content: bytes  # exactly as it will be sent, behind its signature
    selectors: tuple[str, ...]  # of the keys that sign as it is accepted
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """A source with its HELO name: an IPv4 address, an IPv6 address or both.

    Without any address the machine chooses, and `ipv6` says whether it may choose IPv6.
    """

    name: str
    address: str  # IPv4; "" with `address6` given: IPv6 only
    helo: str
    ipv6: bool  # whether receivers may be reached over IPv6 from here
    address6: str = ""

    @property
    def ipv4(self) -> bool:
        """Whether receivers may be reached over IPv4 from here."""
        return bool(self.address) or not self.address6

    def source_for(self, remote: str) -> str:
        """The address to bind for a connection to `remote`; "" lets the machine choose."""
        return self.address6 if ":" in remote else self.address


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeRecipient:
    """One recipient of a transaction."""

    n: int
    address: str
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One SMTP transaction: who, to whom, and the bytes (signature, content)."""

    message_id: int
    mail_from: str
    recipients: tuple[EnvelopeRecipient, ...]
    content: tuple[bytes, ...]  # pieces, in order; together the message as sent, dots unstuffed
    size: int
    smtputf8: bool
    body_8bit: bool
    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a conversation: when (ms after its start), what we said, what we heard."""

    at: int
    command: str
    reply: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientResult:
    """What the receiver said of one recipient."""

    n: int
    reply: Reply
    phase: Phase
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One transaction as it went: every recipient of the envelope has exactly one result."""

    results: tuple[RecipientResult, ...]
    host: str  # MX host name
    address: str  # its IP address
    egress: str
    tls: str  # "TLSv1.3 ...", "" in the clear
    steps: tuple[Step, ...]
    started_at: int
    ended_at: int
    dsn_passed: bool = False  # RET, ENVID, NOTIFY and ORCPT went to a next hop that offers DSN
    provider: str = ""  # named in config/shaping.toml; "" = none of them
    rcpt_sent: int = 0  # recipients whose RCPT went out: what a warmup counts
