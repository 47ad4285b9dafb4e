"""Rules of letters, pure: what a type cannot say. Every refusal names its field.

No text of a letter can end a header line: what holds a control character is refused before anything is
composed. Fields that the box writes itself cannot be given as further headers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.sending.model import MAX_RECIPIENTS, Mailbox
from mta.policy.address import Address, parse_mailbox
from mta.policy.controls import MAX_DAYS_AHEAD, MAX_METADATA
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.sending.model import Attachment, Letter

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,76}")
_TYPE: Final = re.compile(
    r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*(?:; ?charset=[A-Za-z0-9_-]+)?"
)
_CONTENT_ID: Final = re.compile(r"[A-Za-z0-9._@+-]{1,200}")
_LONGEST_MEMBER: Final = 900  # and its header's name fits into a line of 998 octets
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ODD: Final = re.compile(r"[\ud800-\udfff]")  # half a character cannot be encoded
_OURS: Final = frozenset(
    [
        "from",
        "sender",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "subject",
        "date",
        "return-path",
        "received",
        "mime-version",
        "dkim-signature",
    ]
)
_OUR_PREFIXES: Final = ("content-", "x-pillarbox-", "arc-", "resent-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A checked mailbox."""

    address: Address
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A letter that can be composed."""

    letter: Letter
    author: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    send_at: int  # ms; 0 = now

    @property
    def everybody(self) -> tuple[Person, ...]:
        """Who gets it."""
        return self.to + self.cc + self.bcc


def ready(letter: Letter, now: int) -> Ready:
    """The letter with its addresses read. Raises UsageError naming the field that is wrong."""
    made = Ready(
        letter=letter,
        author=_person(letter.from_, "from"),
        to=_people(letter.to, "to"),
        cc=_people(letter.cc, "cc"),
        bcc=_people(letter.bcc, "bcc"),
        reply_to=_people(letter.reply_to, "reply_to"),
        send_at=_moment(letter, now),
    )
    _check_recipients(made)
    _check_line(letter.subject, "subject")
    _check_body(letter)
    _check_headers(letter)
    for n, tag in enumerate(letter.tags):
        if "," in tag or not tag.isprintable():
            raise _wrong(f"tags[{n}]", "a tag has neither commas nor control characters")
    if not letter.pool.isascii() or not letter.pool.isprintable():
        raise _wrong("pool", "this is no pool's name")
    return made


def _check_recipients(made: Ready) -> None:
    if not made.everybody:
        raise _wrong("to", "name at least one recipient in to, cc or bcc")
    if len(made.everybody) > MAX_RECIPIENTS:
        raise _wrong(
            "to",
            f"{len(made.everybody)} recipients; one letter goes to {MAX_RECIPIENTS} at most:"
            " send the others in letters of their own, with /send/batch",
        )


def _check_body(letter: Letter) -> None:
    if not letter.text and not letter.html and not letter.attachments:
        raise _wrong("text", "a letter has a text, an html part or an attachment")
    for name, body in (("text", letter.text), ("html", letter.html)):
        if "\0" in body or _is_odd(body):
            raise _wrong(name, "it holds a NUL, or half a character")
    for n, attachment in enumerate(letter.attachments):
        _check_attachment(attachment, f"attachments[{n}]")
    if letter.metadata:
        _check_metadata(letter.metadata)


def _check_metadata(metadata: dict[str, Any]) -> None:
    lines = folded_json(metadata)
    if len(lines) > MAX_METADATA:
        raise _wrong("metadata", f"it may have {MAX_METADATA} octets as JSON in ASCII")
    if max(map(len, lines.split("\r\n"))) > _LONGEST_MEMBER:
        raise _wrong("metadata", f"no value in it may have more than {_LONGEST_MEMBER} characters")


def folded_json(value: dict[str, Any]) -> str:
    """JSON in ASCII as a header field holds it: folded between members, lines being bounded."""
    return json.dumps(value, separators=(",\r\n ", ":"))


def _check_attachment(attachment: Attachment, field: str) -> None:
    _check_line(attachment.filename, f"{field}.filename")
    if not _TYPE.fullmatch(attachment.content_type.lower()):
        raise _wrong(f"{field}.content_type", "write it as type/subtype, such as application/pdf")
    if attachment.content_type.lower().startswith(("multipart/", "message/")):
        raise _wrong(f"{field}.content_type", "an attachment is one part and no message")
    if attachment.content_id and not _CONTENT_ID.fullmatch(attachment.content_id):
        raise _wrong(f"{field}.content_id", "use letters, digits and . _ @ + -")


def _check_headers(letter: Letter) -> None:
    for name, value in letter.headers.items():
        field = f"headers.{name}" if name.isascii() and name.isprintable() else "headers"
        if not _NAME.fullmatch(name):
            raise _wrong(field, "a header's name is made of letters, digits and hyphens")
        low = name.lower()
        if low in _OURS or low.startswith(_OUR_PREFIXES):
            raise _wrong(field, "the box writes this field itself: use the letter's own fields")
        _check_line(value, field)


def _check_line(text: str, field: str) -> None:
    if _CONTROL.search(text) or _is_odd(text):
        raise _wrong(field, "it holds a line break or another control character")


def _is_odd(text: str) -> bool:
    return not text.isascii() and _ODD.search(text) is not None


def _people(given: Iterable[Mailbox | str], field: str) -> tuple[Person, ...]:
    return tuple(_person(one, f"{field}[{n}]") for n, one in enumerate(given))


def _person(given: Mailbox | str, field: str) -> Person:
    email, name = (given, "") if isinstance(given, str) else (given.email, given.name)
    where = field if isinstance(given, str) else f"{field}.email"
    _check_line(name, f"{field}.name")
    try:
        return Person(address=parse_mailbox(email.strip(" "), smtputf8=True), name=name.strip())
    except Refused as error:
        raise _wrong(where, error.reply.text) from error


def _moment(letter: Letter, now: int) -> int:
    if letter.send_at is None:
        return 0
    at = clock.from_datetime(letter.send_at)
    if at > now + MAX_DAYS_AHEAD * clock.DAY:
        raise _wrong("send_at", f"it lies more than {MAX_DAYS_AHEAD} days ahead")
    return at if at > now else 0


def _wrong(field: str, words: str) -> UsageError:
    return UsageError(words, field=field)
