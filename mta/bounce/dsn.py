"""Reading a delivery status notification (RFC 3464, RFC 6533), as the world writes them.

Strict where it decides who failed, tolerant in form: any letter case, folded lines, missing angle
brackets or address types, groups run together or torn apart by blank lines, status fields in a text
part, encoded status parts. Status part first; a text that holds status fields is believed only when
the caller knows that a mail system wrote it.

Returns None when there is no report. Never raises, never guesses a recipient from prose.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from mta.bounce.mime import Fields, parse_fields, split
from mta.bounce.model import Action, Notice, NoticeKind, NoticeRecipient
from mta.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mta.bounce.mime import Document, Part

MAX_RECIPIENTS: Final = 1000
MAX_DIAGNOSTIC: Final = 2000

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

_STARTS: Final = frozenset({"final-recipient", "original-recipient", "action"})
_RECIPIENT_FIELDS: Final = _STARTS | {"status", "remote-mta", "diagnostic-code"}
_GROUP_END: Final = re.compile(rb"\n(?:[ \t]*\r?\n)+")
_STATUS_TEXT: Final = re.compile(rb"^(?:reporting-mta|final-recipient)[ \t]*:", re.I | re.M)

_STATUS: Final = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
# "550 5.1.1 text", "#550 ...", "(550) ...", at the start; or the words of a remote host, quoted.
_CODE_AT_START: Final = re.compile(r"[#<(\s]*([2-5]\d\d)(?=[\s#:;,)>-]|$)[\s#:;,)>-]*")
_CODE_WITHIN: Final = re.compile(
    r"(?:said|say|says|returned|response|reply|error):?\s*[\"'(]*([2-5]\d\d)[ -]+"
    r"|\b([45]\d\d)[ -]+(?=#?[45]\.\d{1,3}\.\d{1,3}\b)",
    re.I,
)

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
        envelope_id=_from_xtext(message.get("original-envelope-id")),
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
        return [group for part in parts for group in _groups(part.content())]
    if not trust_text:
        return []
    return next(filter(None, map(_groups_in_text, document.parts)), [])


def _groups_in_text(part: Part) -> list[Fields]:
    if not part.content_type.startswith(_TEXT_TYPES):
        return []
    content = part.content()
    start = _STATUS_TEXT.search(content)
    return _groups(content[start.start() :]) if start else []


def _groups(content: bytes) -> list[Fields]:
    blocks = _GROUP_END.split(content.lstrip(), MAX_RECIPIENTS + 1)[: MAX_RECIPIENTS + 1]
    return [fields for block in blocks if (fields := parse_fields(block))]


def _recipient_groups(groups: list[Fields]) -> Iterator[Fields]:
    """One group of fields a recipient, however blank lines were strewn.

    A new recipient starts where a group brings an address and we hold one already, and where a
    field repeats that may stand only once.
    """
    current: list[tuple[str, str]] = []
    for group in groups:
        if _has_address(group.items) and _has_address(current):
            yield Fields(tuple(current))
            current = []
        for name, value in group.items:
            if name in _STARTS and _has_address(current) and any(name == key for key, _ in current):
                yield Fields(tuple(current))
                current = []
            if name in _RECIPIENT_FIELDS:
                current.append((name, value))
    if current:
        yield Fields(tuple(current))


def _has_address(items: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> bool:
    return any(name in ("final-recipient", "original-recipient") for name, _ in items)


def _recipients(groups: list[Fields], returned: Fields) -> tuple[NoticeRecipient, ...]:
    """Every recipient; a report of one that names only a pipe or file means the addressee."""
    described = [g for g in _recipient_groups(groups) if _has_address(g.items)]
    found = [_recipient(group) for group in islice(described, MAX_RECIPIENTS)]
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
        reply=_reply(fields.all("diagnostic-code"), status, action),
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


def _reply(diagnostics: list[str], status: str, action: Action) -> Reply:
    """The remote's words as a reply; what they lack is taken from Status, then from the action."""
    replies = [_from_diagnostic(value) for value in diagnostics]
    reply = next((r for r in replies if r.code), replies[0] if replies else Reply(0, "", ""))
    code = reply.code or _code_of(status, action)
    return Reply(code, _better_status(reply.enhanced, status, code), reply.text)


def _from_diagnostic(value: str) -> Reply:
    kind, semicolon, text = value.partition(";")
    if not semicolon or " " in kind.strip():
        text = value
    # One space between words and a bound: the patterns below would be slow on runs of blanks.
    code, text = _split_code(" ".join(text[:MAX_DIAGNOSTIC].split()))
    if code:
        # A reply of several lines, folded into one: "550-5.1.1 The account 550-5.1.1 you tried".
        text = re.sub(rf"\s*\b{code}-(?:[45]\.\d{{1,3}}\.\d{{1,3}}\b)?\s*", " ", text).strip()
        text = re.sub(rf"\s+{code} (?=[45]\.\d{{1,3}}\.\d{{1,3}}\b)", " ", text)
    enhanced = re.match(r"[#(\s]*([245]\.\d{1,3}\.\d{1,3})\b[)\s:-]*", text)
    if enhanced is None:
        within = _STATUS.search(text) if code else None
        return Reply(code, within.group(1) if within else "", text)
    rest = text[enhanced.end() :].replace(f" {enhanced.group(1)} ", " ")
    return Reply(code, enhanced.group(1), rest)


def _split_code(text: str) -> tuple[int, str]:
    start = _CODE_AT_START.match(text)
    if start is not None:
        return int(start.group(1)), text[start.end() :]
    within = _CODE_WITHIN.search(text)
    if within is not None:
        return int(within.group(1) or within.group(2)), text[within.end() :]
    return 0, text


def _code_of(status: str, action: Action) -> int:
    if status:
        return {"2": 250, "4": 450}.get(status[0], 550)
    return {Action.FAILED: 550, Action.DELAYED: 450}.get(action, 250)


def _better_status(said: str, status: str, code: int) -> str:
    """What the remote said goes before what the reporting host made of it, unless that says nothing."""
    candidates = [s for s in (said, status) if s and s[0] == str(code)[0]]
    telling = [s for s in candidates if not s.endswith(".0.0")]
    return (telling or candidates or [""])[0]


def address_of(value: str) -> str:
    """The address in "rfc822; user@example.com", in any of the forms met (RFC 3464, RFC 6533).

    What has no "@" (an X.400 name, a bare user) is returned as it stands; a pipe or file is "".
    """
    kind, semicolon, text = value.partition(";")
    if not semicolon:
        kind, text = "", value
    bracketed = re.search(r"<([^<>\s]+)>", text)
    address = (bracketed.group(1) if bracketed else text).strip().strip("'\" ")
    if address.startswith(("|", "/")) or re.search(r"\s", address.rpartition('"')[2]):
        return ""  # a pipe, a file or prose
    if kind.strip().lower() == "utf-8":
        return _from_unitext(address)
    return _from_xtext(address)


def _host(value: str) -> str:
    """The host in "dns; mx.example.com (192.0.2.1, the server ...)"."""
    _, semicolon, text = value.partition(";")
    words = (text if semicolon else value).split()
    return words[0].strip("<>").lower() if words else ""


def _from_unitext(address: str) -> str:
    r"""RFC 6533 section 3: "\x{4E2D}" stands for a character that could not be written."""
    return re.sub(r"\\x\{([0-9A-F]{2,6})\}", lambda m: _character(m.group(1)), address)


def _from_xtext(text: str) -> str:
    """RFC 3461 section 4: "+2B" for "+". Hosts should have decoded it, and some do not.

    Decoded only where nothing else can be meant: every "+" is followed by two hexadecimal digits
    that name a character which must be, or often is, written that way.
    """
    codes = re.findall(r"\+(.{0,2})", text)
    if not codes or any(code not in _XTEXT_CODES for code in codes):
        return text
    return re.sub(r"\+(..)", lambda m: chr(int(m.group(1), 16)), text)


_XTEXT_CODES: Final = frozenset({"20", "2B", "3D", "40"})


def _character(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if number <= 0x10FFFF else "\ufffd"
