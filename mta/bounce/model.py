"""What a notice says, as values: the one shape that every reader returns.

A notice is anything that comes back to a return path or a feedback address. Its kind is that of the
gravest news in it; each recipient has an action of its own, which is what the caller acts on.
Nothing here is trusted by itself: only a signed return path ties a notice to a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mta.reply import Reply


class NoticeKind(StrEnum):
    """What came back."""

    BOUNCE = "bounce"  # at least one recipient failed for good
    DELAYED = "delayed"  # the receiver is still trying
    DELIVERED = "delivered"  # it reached the mailbox
    RELAYED = "relayed"  # it went where no more notices come from, or to the members of a list
    AUTOREPLY = "autoreply"  # a vacation notice or other answer of a machine; changes nothing
    COMPLAINT = "complaint"  # a feedback loop reports it
    UNKNOWN = "unknown"  # not readable; kept for a person and for later rules


class Action(StrEnum):
    """What happened to one recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRecipient:
    """One recipient a notice speaks of. Addresses as given; `original` is the one we wrote to."""

    final_recipient: str
    original_recipient: str = ""
    action: Action
    reply: Reply
    remote_mta: str = ""  # host that said so, "" when the reporting host itself did

    @property
    def address(self) -> str:
        """The address we are likely to know it by."""
        return self.original_recipient or self.final_recipient


_NEUTRAL = frozenset({"not-spam", "auth-failure", "dmarc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A feedback report (RFC 5965)."""

    type: str  # "abuse", "fraud", "opt-out", "not-spam", ... in lower case
    recipients: tuple[str, ...]  # as far as they were not redacted
    original_mail_from: str = ""  # may be one of our return paths
    reported_domain: str = ""
    source_ip: str = ""
    user_agent: str = ""

    @property
    def is_unwanted(self) -> bool:
        """Somebody does not want this mail: suppress. False for "not spam" and authentication reports."""
        return self.type not in _NEUTRAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice as it was read."""

    kind: NoticeKind
    recipients: tuple[NoticeRecipient, ...] = ()
    original_message_id: str = ""  # of the returned message, with its angle brackets
    envelope_id: str = ""  # the ENVID we gave (RFC 3461)
    reporting_mta: str = ""
    feedback: Feedback | None = None
