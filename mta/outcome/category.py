"""Category: the fixed vocabulary of what an answer means, with a sentence for people each.

Synchronous answers and notices that come back use the same words; the console, webhooks, metrics
and suppression reasons are built on them, so a word is never renamed.
"""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """What a failure is about."""

    USER_UNKNOWN = "user_unknown"
    MAILBOX_FULL = "mailbox_full"
    MAILBOX_DISABLED = "mailbox_disabled"
    DOMAIN_UNKNOWN = "domain_unknown"
    BLOCKED = "blocked"
    SPAM = "spam"
    POLICY = "policy"
    AUTHENTICATION = "authentication"
    RATE_LIMITED = "rate_limited"
    GREYLISTED = "greylisted"
    TOO_LARGE = "too_large"
    CONTENT = "content"
    DNS = "dns"
    NETWORK = "network"
    PROTOCOL = "protocol"
    TLS = "tls"
    SYSTEM = "system"
    RELAY_DENIED = "relay_denied"
    EXPIRED = "expired"
    OTHER = "other"


SENTENCES: dict[Category, str] = {
    Category.USER_UNKNOWN: "The address does not exist at the receiver.",
    Category.MAILBOX_FULL: "The recipient's mailbox is full.",
    Category.MAILBOX_DISABLED: "The recipient's mailbox is switched off.",
    Category.DOMAIN_UNKNOWN: "The domain of the address does not exist or takes no mail.",
    Category.BLOCKED: "The receiver blocks our sending address.",
    Category.SPAM: "The receiver takes the message for spam.",
    Category.POLICY: "The receiver refuses the message by a rule of its own.",
    Category.AUTHENTICATION: "The receiver could not tell that the message really is from its sender.",
    Category.RATE_LIMITED: "The receiver wants less mail at once.",
    Category.GREYLISTED: "The receiver asks for a second attempt later (greylisting).",
    Category.TOO_LARGE: "The message is larger than the receiver takes.",
    Category.CONTENT: "The receiver refuses what is in the message.",
    Category.DNS: "The receiver's domain could not be looked up.",
    Category.NETWORK: "The receiver could not be reached.",
    Category.PROTOCOL: "The receiver did not understand or accept a command.",
    Category.TLS: "No encrypted connection as required could be made.",
    Category.SYSTEM: "The receiver has trouble of its own.",
    Category.RELAY_DENIED: "The receiving host says that it is not responsible for this domain.",
    Category.EXPIRED: "It was tried for as long as allowed, without success.",
    Category.OTHER: "The receiver refused it; its words are below.",
}
