"""States of a recipient and the events that tell of it; which moves are legal.

Every accepted recipient ends in exactly one of the final states. `sending` is never written: it
lives in the memory of the process that owns the shard, so that after a crash everything without a
durable outcome is simply queued again (docs/states.md draws this; a test compares the two).
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a recipient stands; the durable ones are written in the spool as these words."""

    QUEUED = "queued"  # accepted, waits for its first attempt (or for Send-At)
    DEFERRED = "deferred"  # tried at least once, waits for the next attempt
    HELD = "held"  # kept back by a person or a limit until released
    SENDING = "sending"  # an attempt runs now; only in memory
    DELIVERED = "delivered"  # the receiver answered 2yz to the message
    BOUNCED = "bounced"  # refused for good
    EXPIRED = "expired"  # tried for the whole queue life
    SUPPRESSED = "suppressed"  # on a suppression list; never tried
    CANCELLED = "cancelled"  # taken back by a person before it was delivered
    CORRUPT = "corrupt"  # its bytes could not be read back; kept for a person to look at

    @property
    def is_final(self) -> bool:
        """True when nothing will be tried any more."""
        return self in FINAL

    @property
    def is_waiting(self) -> bool:
        """True when the scheduler may pick it up once it is due."""
        return self in (Status.QUEUED, Status.DEFERRED)


FINAL = frozenset(
    {
        Status.DELIVERED,
        Status.BOUNCED,
        Status.EXPIRED,
        Status.SUPPRESSED,
        Status.CANCELLED,
        Status.CORRUPT,
    }
)

_WAITING_MOVES = frozenset(
    {
        Status.DELIVERED,
        Status.DEFERRED,
        Status.BOUNCED,
        Status.EXPIRED,
        Status.SUPPRESSED,
        Status.HELD,
        Status.CANCELLED,
        Status.CORRUPT,
    }
)

MOVES: dict[Status, frozenset[Status]] = {
    Status.QUEUED: _WAITING_MOVES,
    Status.DEFERRED: _WAITING_MOVES,
    Status.HELD: frozenset({Status.QUEUED, Status.CANCELLED, Status.EXPIRED, Status.CORRUPT}),
    **{final: frozenset() for final in FINAL},
}
"""Durable moves. `sending` is left out: the outcome of an attempt moves from queued or deferred."""


def may_move(old: Status, new: Status) -> bool:
    """Whether the durable move is legal."""
    return new in MOVES.get(old, frozenset())


class EventKind(StrEnum):
    """What happened to a recipient. Late news are flags on a recipient that is already final."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    CORRUPT = "corrupt"
    HELD = "held"
    RELEASED = "released"
    RETRIED = "retried"  # a person asked for the next attempt now
    REROUTED = "rerouted"  # a person chose another egress pool
    BOUNCED_LATE = "bounced_late"  # a bounce came back after the receiver had said 250
    DELAYED_LATE = "delayed_late"  # the receiver reports that it is still trying
    COMPLAINED = "complained"  # a feedback loop reported the message as unwanted
    UNSUBSCRIBED = "unsubscribed"


class TrafficClass(StrEnum):
    """Transactional goes before bulk; neither starves the other."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"


class Scope(StrEnum):
    """Who a failure is about; decides what is tried next and what slows down."""

    SESSION = "session"  # this connection: network, TLS, 421
    HOST = "host"  # this MX host: try the next one
    MESSAGE = "message"  # this message, to whomever it goes
    RECIPIENT = "recipient"  # this address only


class Phase(StrEnum):
    """The step of the conversation an answer belongs to."""

    ROUTE = "route"  # before a connection: DNS, policy
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"  # the answer after the final dot
