"""Reading a delivery status notification (RFC 3464, RFC 6533), as the world writes them.

Strict where it decides who failed, tolerant in form: any letter case, folded lines, missing angle
brackets or address types, groups run together or torn apart by blank lines, status fields in a text
part, encoded status parts. Status part first; a text that holds status fields is believed only when
the caller knows that a mail system wrote it.

Returns None when there is no report. Never raises, never guesses a recipient from prose.

Bounds: 20,000 status fields, 1000 recipients, 100 fields of each. What lies beyond is not looked at.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from mta.bounce.diagnostic import reply_of
from mta.bounce.mime import Fields, parse_fields, split
from mta.bounce.model import Action, Notice, NoticeKind, NoticeRecipient
from mta.bounce.typed_address import address_of, from_xtext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mta.bounce.mime import Document, Part

MAX_RECIPIENTS: Final = 1000
MAX_FIELDS: Final = 100
"""So many fields of one recipient are kept; the first of each name always."""
MAX_FIELDS_IN_ALL: Final = 20 * MAX_RECIPIENTS

_STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RETURNED_TYPES: Final = frozenset(
    {
        "message/rfc822",
        "message/global",
        "message/rfc822-headers",
        "message/global-headers",
        "text/rfc822-headers",
        "text/rfc822",
    }
)
_TEXT_TYPES: Final = ("text/plain", "multipart/")  # a multipart that stayed whole had no boundaries

_ADDRESSES: Final = frozenset({"final-recipient", "original-recipient"})
_STARTS: Final = _ADDRESSES | {"action"}
_RECIPIENT_FIELDS: Final = _STARTS | {"status", "remote-mta", "diagnostic-code"}
_GROUP_END: Final = re.compile(rb"\n(?:[ \t]*\r?\n)+")
_STATUS_TEXT: Final = re.compile(rb"^(?:reporting-mta|final-recipient)[ \t]*:", re.I | re.M)

_STATUS: Final = re.compile(r"\b([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_ADDRESS: Final = re.compile(r"[^\s<>@,;:\"]{1,64}@[^\s<>@,;:\"]{1,255}")

_ACTIONS: Final = {
    "failed": Action.FAILED,
    "failure": Action.FAILED,
    "fail": Action.FAILED,
    "error": Action.FAILED,
    "expired": Action.FAILED,
    "undeliverable": Action.FAILED,  # Postfix's address probe
    "delayed": Action.DELAYED,
    "delay": Action.DELAYED,
    "delivered": Action.DELIVERED,
    "deliverable": Action.DELIVERED,  # Postfix's address probe
    "relayed": Action.RELAYED,
    "expanded": Action.EXPANDED,
}
_KIND_BY_GRAVITY: Final = (
    (Action.FAILED, NoticeKind.BOUNCE),
    (Action.DELAYED, NoticeKind.DELAYED),
    (Action.RELAYED, NoticeKind.RELAYED),
    (Action.EXPANDED, NoticeKind.RELAYED),
    (Action.DELIVERED, NoticeKind.DELIVERED),
)


def read_dsn(document: Document, *, trust_text: bool) -> Notice | None:
    """The report in a message, if there is one that names a recipient."""
    groups = _status_groups(document, trust_text=trust_text)
    returned = returned_fields(document)
    recipients = _recipients(groups, returned)
    if not recipients:
        return None
    message = Fields(tuple(item for group in groups for item in group.items))
    return Notice(
        kind=_kind(recipients),
        recipients=recipients,
        original_message_id=message_id_of(returned or message),
        envelope_id=from_xtext(message.get("original-envelope-id")),
        reporting_mta=_host(message.get("reporting-mta")),
    )


def returned_fields(document: Document) -> Fields:
    """The header of the message that came back; empty when it did not."""
    for part in document.parts:
        if part.content_type in _RETURNED_TYPES:
            fields = parse_fields(split(part.content().lstrip(b"\r\n"))[0])
            if fields:
                return fields
    return Fields(())


def message_id_of(fields: Fields) -> str:
    """The Message-ID with its angle brackets, "" when there is none."""
    match = re.search(r"<[^<>\s]{1,998}>", fields.get("message-id"))
    return match.group() if match else ""


def _status_groups(document: Document, *, trust_text: bool) -> list[Fields]:
    parts = [part for part in document.parts if part.content_type in _STATUS_TYPES]
    if parts:
        return _bounded(group for part in parts for group in _groups(part.content()))
    if not trust_text:
        return []
    return next(filter(None, map(_groups_in_text, document.parts)), [])


def _groups_in_text(part: Part) -> list[Fields]:
    if not part.content_type.startswith(_TEXT_TYPES):
        return []
    content = part.content()
    start = _STATUS_TEXT.search(content)
    return _bounded(_groups(content[start.start() :])) if start else []


def _groups(content: bytes) -> Iterator[Fields]:
    blocks = _GROUP_END.split(content.lstrip(), MAX_RECIPIENTS + 1)[: MAX_RECIPIENTS + 1]
    return (fields for block in blocks if (fields := parse_fields(block)))


def _bounded(groups: Iterable[Fields]) -> list[Fields]:
    """The groups until there are too many fields; nothing behind them is read."""
    kept: list[Fields] = []
    room = MAX_FIELDS_IN_ALL
    for group in groups:
        kept.append(Fields(group.items[:room]))
        room -= len(group.items)
        if room <= 0:
            break
    return kept


class _Described:
    """The fields of the recipient that is being read, and which names were among them."""

    __slots__ = ("items", "names")

    def __init__(self) -> None:
        self.items: list[tuple[str, str]] = []
        self.names: set[str] = set()

    @property
    def has_address(self) -> bool:
        return not _ADDRESSES.isdisjoint(self.names)

    def add(self, name: str, value: str) -> None:
        if name not in self.names or len(self.items) < MAX_FIELDS:
            self.names.add(name)
            self.items.append((name, value))


def _recipient_groups(groups: list[Fields]) -> Iterator[Fields]:
    """The fields of each recipient with an address, however blank lines were strewn.

    A new recipient starts where a group brings an address and we hold one already, and where a
    field repeats that may stand only once.
    """
    current = _Described()
    for group in groups:
        if current.has_address and any(name in _ADDRESSES for name, _ in group.items):
            yield Fields(tuple(current.items))
            current = _Described()
        for name, value in group.items:
            if name in _STARTS and name in current.names and current.has_address:
                yield Fields(tuple(current.items))
                current = _Described()
            if name in _RECIPIENT_FIELDS:
                current.add(name, value)
    if current.has_address:
        yield Fields(tuple(current.items))


def _recipients(groups: list[Fields], returned: Fields) -> tuple[NoticeRecipient, ...]:
    """Every recipient; a report of one that names only a pipe or file means the addressee."""
    found = [_recipient(group) for group in islice(_recipient_groups(groups), MAX_RECIPIENTS)]
    if len(found) == 1 and "@" not in found[0].address:
        return (replace(found[0], original_recipient=sole_addressee(returned)),)
    return tuple(found)


def sole_addressee(fields: Fields) -> str:
    """The one address a message was written to; "" when it was several or none."""
    addresses = _ADDRESS.findall(fields.get("to"))
    return addresses[0] if len(addresses) == 1 and "cc" not in fields else ""


def _recipient(fields: Fields) -> NoticeRecipient:
    final = address_of(fields.get("final-recipient"))
    original = address_of(fields.get("original-recipient"))
    status = _status(fields.get("status"))
    action = _action(fields.get("action"), status)
    return NoticeRecipient(
        final_recipient=final or original,
        original_recipient=original,
        action=action,
        reply=reply_of(fields.all("diagnostic-code"), status, action),
        remote_mta=_host(fields.get("remote-mta")),
    )


def _status(value: str) -> str:
    match = _STATUS.search(value)
    return match.group(1) if match else ""


def _action(value: str, status: str) -> Action:
    """The action as given; where it is missing or made up, what the status class says."""
    word = re.match(r"[a-z]*", value.strip().lower())
    named = _ACTIONS.get(word.group() if word else "")
    if named is not None:
        return named
    # Nobody sends a report for good news without saying so: without a status it is a failure.
    return {"2": Action.DELIVERED, "4": Action.DELAYED}.get(status[:1], Action.FAILED)


def _kind(recipients: tuple[NoticeRecipient, ...]) -> NoticeKind:
    actions = {recipient.action for recipient in recipients}
    return next(kind for action, kind in _KIND_BY_GRAVITY if action in actions)


def _host(value: str) -> str:
    """The host in "dns; mx.example.com (192.0.2.1, the server ...)"."""
    _, semicolon, text = value.partition(";")
    words = (text if semicolon else value).split()
    return words[0].strip("<>").lower() if words else ""
