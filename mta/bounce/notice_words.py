"""The words of our reports: what happened, what the other side said, what to do.

Plain English for people who never heard of SMTP, then the exact answer for those who did. Lines
stay under 78 characters. Pure text in, pure text out; nothing here decides anything.
"""

from __future__ import annotations

import textwrap
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Final

from mta.bounce.model import Action
from mta.outcome.category import SENTENCES, Category

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mta.bounce.notice import ReportedRecipient
    from mta.message import Message

SUMMARY_SUBJECT: Final = "Some of your messages could not be delivered"

_WIDTH: Final = 72
_MAX_REPLY: Final = 1000
_GRAVITY: Final = (Action.FAILED, Action.DELAYED, Action.RELAYED, Action.EXPANDED, Action.DELIVERED)

_SUBJECTS: Final = {
    Action.FAILED: "Your message could not be delivered",
    Action.DELAYED: "Your message is delayed",
    Action.DELIVERED: "Your message was delivered",
    Action.RELAYED: "Your message was passed on",
    Action.EXPANDED: "Your message was passed on to a list",
}

_OPENINGS: Final = {
    Action.FAILED: "Your message could not be delivered to everyone. It will not be tried again.",
    Action.DELAYED: "Your message has not been delivered to everyone yet. It is still being "
    "tried; you need not send it again.",
    Action.DELIVERED: "You asked to be told: your message was delivered.",
    Action.RELAYED: "You asked to be told: your message was passed on to a mail system that does "
    "not report any further.",
    Action.EXPANDED: "You asked to be told: your message was passed on to the members of a list.",
}

_HAPPENED: Final = {
    Action.DELIVERED: "Delivered.",
    Action.RELAYED: "Passed on to a mail system that does not report any further.",
    Action.EXPANDED: "Passed on to the members of a list.",
}

_ADVICE: Final = {
    Category.USER_UNKNOWN: "Check the address for typing errors, or ask the recipient for the right one.",
    Category.DOMAIN_UNKNOWN: "Check the part after the @ for typing errors.",
    Category.MAILBOX_FULL: "Reach the recipient in another way, or send it again in some days.",
    Category.MAILBOX_DISABLED: "Reach the recipient in another way.",
    Category.TOO_LARGE: "Send a smaller message, or a link in place of the attachment.",
    Category.CONTENT: "Send it again without the attachment or wording that was refused.",
    Category.SPAM: "Ask your postmaster to look at the answer below.",
    Category.BLOCKED: "Ask your postmaster to look at the answer below.",
    Category.POLICY: "Ask the recipient, or your postmaster, to look at the answer below.",
    Category.AUTHENTICATION: "Ask your postmaster to check SPF, DKIM and DMARC of your domain.",
    Category.RELAY_DENIED: "Check the part after the @; if it is right, the recipient's domain is "
    "set up wrongly: tell its postmaster.",
    Category.EXPIRED: "Send it again later, or reach the recipient in another way.",
}
_ADVICE_IN_GENERAL: Final = "Send it again later; if that does not help, ask your postmaster."


def gravest(recipients: Sequence[ReportedRecipient]) -> Action:
    """The action that the report is about."""
    actions = {recipient.action for recipient in recipients}
    return next(action for action in _GRAVITY if action in actions)


def subject(recipients: Sequence[ReportedRecipient]) -> str:
    """The Subject of a report."""
    return _SUBJECTS[gravest(recipients)]


def report(message: Message, recipients: Sequence[ReportedRecipient], hostname: str) -> str:
    """The first part of a report."""
    blocks = [
        f"This is the mail system at {hostname}.",
        _wrap(_OPENINGS[gravest(recipients)]),
        _about(message),
        *map(_one, recipients),
        f"For help, write to postmaster@{hostname} and include this report.",
    ]
    return "\n\n".join(blocks) + "\n"


def summary(count: int, since: datetime, hostname: str) -> str:
    """The text that stands for reports which were not sent."""
    notices = "1 failure notice was" if count == 1 else f"{count} failure notices were"
    blocks = [
        f"This is the mail system at {hostname}.",
        _wrap(
            f"Many messages of yours could not be delivered. Since {since:%Y-%m-%d %H:%M} UTC "
            f"{notices} not sent one by one, so that they do not flood your mailbox."
        ),
        _wrap(
            "Every one of these failures is in the event log, with the recipient and the other "
            "side's answer; your postmaster can look them up by your address."
        ),
        f"For help, write to postmaster@{hostname}.",
    ]
    return "\n\n".join(blocks) + "\n"


def _about(message: Message) -> str:
    lines = [("Subject", _readable(message.subject)), ("Message-ID", _plain(message.message_id))]
    return "\n".join(f"    {name + ':':<12}{value[:200]}" for name, value in lines if value)


def _one(recipient: ReportedRecipient) -> str:
    lines = [f"<{_plain(recipient.address)}>", *_indented("", _happened(recipient))]
    if recipient.reply.code:
        said = f"{_plain(recipient.remote_mta)} answered: " if recipient.remote_mta else "Details: "
        lines += _indented(said, _plain(recipient.reply.line()[:_MAX_REPLY]))
    if recipient.action is Action.FAILED:
        lines += _indented("What to do: ", _ADVICE.get(_category(recipient), _ADVICE_IN_GENERAL))
    return "\n".join(lines)


def _category(recipient: ReportedRecipient) -> Category:
    return Category.EXPIRED if recipient.expired else recipient.category


def _happened(recipient: ReportedRecipient) -> str:
    good = _HAPPENED.get(recipient.action)
    if good is not None:
        return good
    why = recipient.reason or SENTENCES[recipient.category]
    if recipient.expired:
        return f"{SENTENCES[Category.EXPIRED]} The last reason: {why}"
    return why


def _wrap(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH))


def _indented(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        label + text,
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="      " if label else "    ",
        break_on_hyphens=False,
    )


def _readable(value: str) -> str:
    """A header value with its encoded words (RFC 2047) undone, where they are sound."""
    try:
        return _plain(str(make_header(decode_header(value))))
    except (LookupError, ValueError, MessageError):
        return _plain(value)


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
