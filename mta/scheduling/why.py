"""Why: what kind of thing keeps a recipient waiting, in a fixed vocabulary; pure.

Told from what is known at no cost: its state, the place where the scheduler keeps it back this moment,
and the words of its last attempt, which mean what they meant when they were heard (mta/outcome). Words
for people stand beside it and stay as they are; a word here is never renamed, the console and the API
are built on them.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from mta.outcome.category import Category
from mta.outcome.classify import classify
from mta.reply import Reply
from mta.scheduling.blocked import LANE, PACE, PAUSED, SITE, WARMUP, ZONE
from mta.status import EventKind, Status

if TYPE_CHECKING:
    from mta.message import Recipient
    from mta.scheduling.blocked import Blocked

_REPLY: Final = re.compile(r"([245][0-9]{2}) (.*)", re.DOTALL)
_REMEMBERED: Final = 4096
"""Answers whose meaning is kept: what waits is counted again and again, with the same words."""


class Why(StrEnum):
    """What a recipient waits for."""

    LEAVING = "leaving"
    OUR_LIMIT = "our_limit"
    WARMUP = "warmup"
    SLOWED = "slowed"
    SUSPENDED = "suspended"
    GREYLISTED = "greylisted"
    MAILBOX_FULL = "mailbox_full"
    CANNOT_CONNECT = "cannot_connect"
    CANNOT_LOOK_UP = "cannot_look_up"
    NO_TLS = "no_tls"
    REFUSED = "refused"
    TROUBLE = "trouble"
    SCHEDULED = "scheduled"
    HELD = "held"
    SURGE = "surge"
    PAUSED = "paused"
    STOPPED = "stopped"
    TENANT_SUSPENDED = "tenant_suspended"
    NO_ADDRESS = "no_address"
    NOT_LOOKED_AT = "not_looked_at"


TITLES: Final[dict[Why, str]] = {
    Why.LEAVING: "Leaving now",
    Why.OUR_LIMIT: "Rate limit of ours",
    Why.WARMUP: "Waits for warmup",
    Why.SLOWED: "Slowed by the remote",
    Why.SUSPENDED: "Suspended",
    Why.GREYLISTED: "Greylisted",
    Why.MAILBOX_FULL: "Mailbox full",
    Why.CANNOT_CONNECT: "Cannot connect",
    Why.CANNOT_LOOK_UP: "Cannot look up",
    Why.NO_TLS: "No TLS",
    Why.REFUSED: "Refused for now",
    Why.TROUBLE: "Trouble at the remote",
    Why.SCHEDULED: "Scheduled",
    Why.HELD: "Held by a person",
    Why.SURGE: "Held after a surge",
    Why.PAUSED: "Paused by a person",
    Why.STOPPED: "Sending is stopped",
    Why.TENANT_SUSPENDED: "Tenant suspended",
    Why.NO_ADDRESS: "No address may send",
    Why.NOT_LOOKED_AT: "Not looked at",
}
"""One to four words, as on a badge."""

SENTENCES: Final[dict[Why, str]] = {
    Why.LEAVING: "It is due, nothing keeps it back: it leaves as soon as a connection is free.",
    Why.OUR_LIMIT: "Other mail to the same hosts is before it: our limits of connections and pace set its speed.",
    Why.WARMUP: "The address that is to send it is warming up and has sent what it may for now.",
    Why.SLOWED: "The receiver wants less mail at once, so it goes slowly.",
    Why.SUSPENDED: "The receiver's answers stopped us for a while: nothing is tried there until that is over.",
    Why.GREYLISTED: "The receiver asks for a second attempt later (greylisting).",
    Why.MAILBOX_FULL: "The recipient's mailbox is full.",
    Why.CANNOT_CONNECT: "No host of the receiver takes a connection, or keeps it.",
    Why.CANNOT_LOOK_UP: "The receiver's domain or hosts could not be looked up.",
    Why.NO_TLS: "No encrypted connection as required could be made.",
    Why.REFUSED: "The receiver refused it for now; its words say why.",
    Why.TROUBLE: "Something failed at the receiver or on the way there; the words say what.",
    Why.SCHEDULED: "Its sender asked for a later time.",
    Why.HELD: "A person holds it back until somebody releases it.",
    Why.SURGE: "Its login sent far above its usual rate: it waits until somebody releases it.",
    Why.PAUSED: "A person has paused this mail.",
    Why.STOPPED: "A person has stopped all sending with the kill switch.",
    Why.TENANT_SUSPENDED: "Its tenant is suspended.",
    Why.NO_ADDRESS: "No egress address that may send it is enabled.",
    Why.NOT_LOOKED_AT: "Small destinations among very many: their reasons were not looked at one by one.",
}

_AT_PLACE: Final = {
    PAUSED: Why.PAUSED,
    LANE: Why.OUR_LIMIT,
    WARMUP: Why.WARMUP,
    ZONE: Why.SUSPENDED,
    SITE: Why.CANNOT_CONNECT,
    PACE: Why.SLOWED,
}
_CLOSED: Final = {"all": Why.STOPPED, "tenant": Why.TENANT_SUSPENDED, "pool": Why.NO_ADDRESS}

MEANING: Final[dict[Category, Why]] = {
    Category.USER_UNKNOWN: Why.REFUSED,
    Category.MAILBOX_FULL: Why.MAILBOX_FULL,
    Category.MAILBOX_DISABLED: Why.REFUSED,
    Category.DOMAIN_UNKNOWN: Why.CANNOT_LOOK_UP,
    Category.BLOCKED: Why.REFUSED,
    Category.SPAM: Why.REFUSED,
    Category.POLICY: Why.REFUSED,
    Category.AUTHENTICATION: Why.REFUSED,
    Category.RATE_LIMITED: Why.SLOWED,
    Category.GREYLISTED: Why.GREYLISTED,
    Category.TOO_LARGE: Why.REFUSED,
    Category.CONTENT: Why.REFUSED,
    Category.DNS: Why.CANNOT_LOOK_UP,
    Category.NETWORK: Why.CANNOT_CONNECT,
    Category.PROTOCOL: Why.TROUBLE,
    Category.TLS: Why.NO_TLS,
    Category.SYSTEM: Why.TROUBLE,
    Category.RELAY_DENIED: Why.REFUSED,
    Category.EXPIRED: Why.REFUSED,
    Category.OTHER: Why.REFUSED,
}
"""What an answer that lets mail wait is shown as."""


def why_of(recipient: Recipient, blocked: Blocked | None, now: int) -> Why:
    """The kind for a waiting or held recipient; `blocked`: what keeps it back this moment."""
    if recipient.status is Status.HELD:
        is_persons = recipient.reason.startswith(f"{EventKind.HELD} by ")
        return Why.HELD if is_persons else Why.SURGE
    if blocked is not None:
        return _of_place(blocked)
    if recipient.due_at <= now:
        return Why.LEAVING
    words = words_of(recipient)
    if words:
        return _of_words(words, recipient.last_host)
    return Why.TROUBLE if recipient.attempts else Why.SCHEDULED


def words_of(recipient: Recipient) -> str:
    """What was said at the last attempt: the remote's words, or ours where nobody answered."""
    return recipient.reason if _REPLY.match(recipient.reason) else ""


def _of_place(blocked: Blocked) -> Why:
    kind = blocked.place[0]
    return _AT_PLACE[kind] if kind in _AT_PLACE else _CLOSED[blocked.place[1]]


@lru_cache(_REMEMBERED)
def _of_words(words: str, host: str) -> Why:
    match = _REPLY.match(words)
    if match is None:
        return Why.TROUBLE
    reply = Reply.from_text(int(match[1]), match[2])
    return MEANING[classify(reply, phase=None, provider=host).category]
