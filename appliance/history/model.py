"""Values of the event log: what the outbox hands over, what a search asks and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.core.ids import to_text
from mta.message import Step
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from mta.status import TrafficClass


class Flag(IntFlag):
    """Late news of a recipient; they leave its status as it is, so that counts stay even."""

    BOUNCED_LATE = 1
    DELAYED_LATE = 2
    COMPLAINED = 4
    UNSUBSCRIBED = 8


NO_FLAGS = Flag(0)

FLAG_OF: dict[EventKind, Flag] = {
    EventKind.BOUNCED_LATE: Flag.BOUNCED_LATE,
    EventKind.DELAYED_LATE: Flag.DELAYED_LATE,
    EventKind.COMPLAINED: Flag.COMPLAINED,
    EventKind.UNSUBSCRIBED: Flag.UNSUBSCRIBED,
}

STATUS_OF: dict[EventKind, Status] = {
    EventKind.DEFERRED: Status.DEFERRED,
    EventKind.DELIVERED: Status.DELIVERED,
    EventKind.BOUNCED: Status.BOUNCED,
    EventKind.EXPIRED: Status.EXPIRED,
    EventKind.SUPPRESSED: Status.SUPPRESSED,
    EventKind.CANCELLED: Status.CANCELLED,
    EventKind.CORRUPT: Status.CORRUPT,
    EventKind.HELD: Status.HELD,
    EventKind.RELEASED: Status.QUEUED,
    EventKind.RETRIED: Status.QUEUED,
}
"""Where an event leaves its recipient; `accepted` names the status of each, late news change none."""


class OutboxRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event as the shard's owner hands it over; `n` -1: about every recipient."""

    seq: int
    message_id: int
    n: int
    kind: str
    at: int
    data: bytes


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the log reads in an event's data; the rest is kept as it came. Only `tenant` is a must."""

    tenant: int
    to: str = ""
    reply: str = ""
    reason: str = ""
    attempt: int = 0  # 0: nothing was tried
    provider: str = ""
    host: str = ""
    egress: str = ""
    tls: str = ""
    category: str = ""
    scope: str = ""
    hard: bool = False
    credential: int = 0
    traffic_class: str = msgspec.field(default="", name="class")
    sender: str = ""
    header_from: str = msgspec.field(default="", name="from")
    message_id: str = ""
    subject: str = ""
    size: int = 0
    tags: tuple[str, ...] = ()
    recipients: tuple[tuple[int, str, str, str], ...] = ()  # n, address, domain, status
    notice: str = ""  # which notice brought the news


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event on its way into the log. A struct, because 2 us a dataclass would show at this place."""

    shard: int
    seq: int
    message_id: int
    n: int
    kind: EventKind
    at: int
    data: bytes
    facts: Facts

    @property
    def id(self) -> str:
        """The event's name for ever: message, recipient, number; also its key in the log."""
        return event_id(self.message_id, self.n, self.seq)


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """An event that was set aside, with why."""

    shard: int
    row: OutboxRow
    problem: str


def event_id(message_id: int, n: int, seq: int) -> str:
    """The name of an event; of one about every recipient, n is left out."""
    return f"{to_text(message_id)}.{n}.{seq}" if n >= 0 else f"{to_text(message_id)}.{seq}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a batch."""

    kept: int = 0
    repeated: int = 0  # were in the log already
    too_old: int = 0  # about messages whose day is no longer kept
    rejected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What to search for; what is left empty does not matter. Times are ms, until is exclusive."""

    address: str = ""  # exact, or a prefix followed by *; case does not matter
    domain: str = ""
    message: str = ""  # our id, or the Message-ID header with or without brackets
    sender: str = ""  # the address in From
    tag: str = ""
    credential: int = 0
    traffic_class: str = ""
    sender_domain: str = ""  # of the address in From
    subject: str = ""  # words, all of which are in it; the case of a to z does not matter
    status: Status | None = None
    category: str = ""  # what a failure was about (mta/outcome/category.py); with a status
    flags: Flag = NO_FLAGS  # any of these
    since: int = 0
    until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recipient as the log knows it."""

    message_id: int
    n: int
    tenant_id: int
    credential_id: int
    address: str
    domain: str
    sender: str
    header_from: str
    message_id_header: str
    subject: str
    tags: tuple[str, ...]
    traffic_class: TrafficClass
    size: int
    accepted_at: int
    status: Status
    status_at: int
    attempts: int
    reply: str
    host: str
    egress: str
    tls: str
    category: str
    flags: Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Recipients, newest first. `cursor` leads to the next page, "" when this is the last.

    `looked`: the search has no index and stopped when it had looked at so many; the cursor goes on.
    """

    rows: tuple[Found, ...]
    cursor: str
    looked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event as the log shows it. `data` is what the event's writer said, decoded."""

    message_id: int
    n: int
    seq: int
    kind: EventKind
    at: int
    data: dict[str, Any]
    position: int = 0  # its place in the stream, as cursors count; 0 when read outside of it

    @property
    def id(self) -> str:
        """The event's name for ever."""
        return event_id(self.message_id, self.n, self.seq)

    @property
    def tenant_id(self) -> int:
        """Whose message it is about."""
        return int(self.data["tenant"])

    @property
    def steps(self) -> tuple[Step, ...]:
        """The conversation of the attempt, empty when nothing was tried."""
        return tuple(Step(*step) for step in self.data.get("steps", ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """Which events to follow; what is left empty does not matter."""

    kinds: frozenset[EventKind] = frozenset()
    message: str = ""  # our id
    address: str = ""
    domain: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in the order in which the log took them in. `cursor` goes on behind them.

    `more` is False when the reader has caught up; the cursor serves all the same, for what comes.
    """

    events: tuple[EventRecord, ...]
    cursor: str
    more: bool


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event as those that count see it: with what never changes of its recipient.

    Not with how the recipient stands now: whoever counts later must count the same.
    """

    taken_at: int  # when the log took it in
    message_id: int
    n: int
    kind: EventKind
    at: int
    facts: Facts
    header_from: str
    traffic_class: str
    tags: tuple[str, ...]
    accepted_at: int
    delivery: Facts | None  # of late news: the delivery they are about
    is_known: bool  # False: the log does not have the recipient
    is_repeated: bool  # an acceptance or an end that was told before (a spool from a backup)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldPage:
    """What is to be counted, in the order in which the log took it in."""

    told: tuple[Told, ...]
    cursor: str
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHistory:
    """A message with all that happened to it."""

    message_id: int
    tenant_id: int
    credential_id: int
    source: str
    client: str
    sender: str
    header_from: str
    message_id_header: str
    subject: str
    tags: tuple[str, ...]
    metadata: str  # JSON text as given
    traffic_class: TrafficClass
    size: int
    accepted_at: int
    signing_domain: str
    selectors: tuple[str, ...]
    recipients: tuple[Found, ...]
    events: tuple[EventRecord, ...]
    is_cut: bool  # there are more recipients or events than are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The recipient that a notice is about."""

    message_id: int
    n: int
    tenant_id: int
