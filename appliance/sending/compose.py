"""Compose: a checked letter as a MIME message (RFC 2045-2047, 2231, 5322), with its control headers. Pure.

    text                 text/plain                 text + html    multipart/alternative
    html with pictures   multipart/related          attachments    multipart/mixed around it

Lines end in CRLF and have at most 998 octets: a body that is not such ASCII is quoted-printable. The
standard library's encoders do the work; its message classes would take 1 ms a message instead of 0.1.
"""

from __future__ import annotations

import base64
import binascii
import re
from email.header import Header
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from appliance.core import clock
from appliance.sending.model import Outgoing
from appliance.sending.rules import folded_json
from mta.policy import controls
from mta.policy.quoting import header_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from appliance.sending.model import Attachment
    from appliance.sending.rules import Person, Ready

_LONGEST: Final = 998  # octets of a line, RFC 5322 2.1.1
_FOLD: Final = 76
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_PHRASE_SPECIAL: Final = re.compile(r'(["\\])')


def compose(ready: Ready, *, boundary: Callable[[], str], key: str = "") -> Outgoing:
    """The message and its envelope. `boundary` gives a fresh random word; `key`: its idempotency key."""
    headers = [*_addresses(ready), *_subject(ready), *_controls(ready, key)]
    head = "".join(headers) + "MIME-Version: 1.0\r\n"
    return Outgoing(
        sender=str(ready.author.address),
        recipients=tuple(dict.fromkeys(str(one.address) for one in ready.everybody)),
        data=head.encode("utf-8") + _body(ready, boundary),
        smtputf8=any(one.address.is_utf8 for one in (ready.author, *ready.everybody)),
    )


# -- header fields -----------------------------------------------------------


def _addresses(ready: Ready) -> Iterable[str]:
    yield _people("From", (ready.author,))
    for name, people in (("To", ready.to), ("Cc", ready.cc), ("Reply-To", ready.reply_to)):
        if people:
            yield _people(name, people)
    if not ready.to and not ready.cc:
        yield "To: undisclosed-recipients:;\r\n"  # RFC 5322 3.4: a group without members


def _people(name: str, people: tuple[Person, ...]) -> str:
    return _folded(f"{name}:", [_person(one) for one in people], ",")


def _person(person: Person) -> str:
    if not person.name:
        return str(person.address)
    return f"{_phrase(person.name)} <{person.address}>"


def _phrase(name: str) -> str:
    if not name.isascii():
        return Header(name, "utf-8", maxlinelen=60).encode(linesep="\r\n")
    if _SAFE_NAME.fullmatch(name):
        return name
    return '"' + _PHRASE_SPECIAL.sub(r"\\\1", name) + '"'


def _folded(start: str, items: list[str], separator: str) -> str:
    """Items behind a field's name, on as many lines as they need."""
    lines, line = [], start
    for n, item in enumerate(items):
        piece = f" {item}{separator if n + 1 < len(items) else ''}"
        if len(line) + len(piece) > _FOLD and line != start:
            lines.append(line)
            line = ""
        line += piece
    return "\r\n".join([*lines, line]) + "\r\n"


def _subject(ready: Ready) -> Iterable[str]:
    if ready.letter.subject:
        yield _field("Subject", ready.letter.subject)
    for name, value in ready.letter.headers.items():
        yield _field(name, value)


def _field(name: str, value: str) -> str:
    if value.isascii() and len(name) + 2 + len(value) <= _FOLD:
        return f"{name}: {value}\r\n"
    if value.isascii():
        return _folded(f"{name}:", _pieces(value), "")
    encoded = Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
    return f"{name}: {encoded}\r\n"


def _pieces(value: str) -> list[str]:
    """Words, of which one that no line can hold is cut: receivers refuse longer lines (RFC 5322 2.1.1)."""
    cut = _LONGEST - _FOLD
    return [
        word[at : at + cut] for word in value.split() for at in range(0, max(1, len(word)), cut)
    ]


def _controls(ready: Ready, key: str) -> Iterable[str]:
    letter = ready.letter
    if letter.traffic_class is not None:
        yield _control(controls.CLASS, letter.traffic_class)
    for tag in letter.tags:
        yield _control(controls.TAG, tag)
    if letter.metadata:
        yield _control(controls.METADATA, folded_json(letter.metadata))
    if ready.send_at:
        yield _control(controls.SEND_AT, clock.iso(ready.send_at))
    if letter.pool:
        yield _control(controls.POOL, letter.pool)
    if key:
        yield _control(controls.IDEMPOTENCY_KEY, key)


def _control(name: bytes, value: str) -> str:
    """Folded between JSON's tokens and words only: the box takes these fields off again."""
    return f"{header_name(name)}: {value}\r\n"


# -- the body ------------------------------------------------------------------


def _body(ready: Ready, boundary: Callable[[], str]) -> bytes:
    letter = ready.letter
    inline = [one for one in letter.attachments if one.content_id]
    files = [one for one in letter.attachments if not one.content_id]
    body = _text("html", letter.html) if letter.html else b""
    if inline:
        body = _multipart("related", [body or _text("plain", ""), *map(_file, inline)], boundary)
    if letter.text or not body:
        plain = _text("plain", letter.text)
        body = _multipart("alternative", [plain, body], boundary) if body else plain
    if files:
        body = _multipart("mixed", [body, *map(_file, files)], boundary)
    return body


def _text(kind: str, text: str) -> bytes:
    if "\r" in text or not text.endswith("\n"):
        text = _LINE_END.sub("\n", text).rstrip("\n") + "\n"
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: '
    if text.isascii() and max(map(len, text.split("\n"))) <= _LONGEST:
        return (head + "7bit\r\n\r\n" + text.replace("\n", "\r\n")).encode("ascii")
    octets = binascii.b2a_qp(text.encode("utf-8"), istext=True)
    return (head + "quoted-printable\r\n\r\n").encode("ascii") + octets.replace(b"\n", b"\r\n")


def _file(attachment: Attachment) -> bytes:
    disposition = "inline" if attachment.content_id else "attachment"
    head = (
        f"Content-Type: {attachment.content_type}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: {disposition};\r\n {_filename(attachment.filename)}\r\n"
    )
    if attachment.content_id:
        head += f"Content-ID: <{attachment.content_id}>\r\n"
    octets = base64.encodebytes(attachment.content).replace(b"\n", b"\r\n")
    return f"{head}\r\n".encode("ascii") + octets


def _filename(name: str) -> str:
    if name.isascii():
        return 'filename="' + _PHRASE_SPECIAL.sub(r"\\\1", name) + '"'
    parts = ["utf-8''"]
    for character in name:  # readers decode each part by itself: no character is cut in two
        coded = quote(character, safe="")
        if len(parts[-1]) + len(coded) > _FOLD - 16:
            parts.append("")
        parts[-1] += coded
    if len(parts) == 1:
        return f"filename*={parts[0]}"
    return ";\r\n ".join(f"filename*{n}*={part}" for n, part in enumerate(parts))


def _multipart(kind: str, parts: list[bytes], boundary: Callable[[], str]) -> bytes:
    mark = boundary()
    head = f'Content-Type: multipart/{kind}; boundary="{mark}"\r\n\r\n'.encode("ascii")
    line = f"--{mark}\r\n".encode("ascii")
    pieces = [head]
    for part in parts:
        pieces += [line, part, b"" if part.endswith(b"\r\n") else b"\r\n"]
    return b"".join([*pieces, f"--{mark}--\r\n".encode("ascii")])
