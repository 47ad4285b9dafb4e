"""MIME as notices really have it: a bounded walk over raw bytes that never raises.

`parse` splits a message into header fields and its leaf parts, in order. Returned messages
(`message/rfc822`) are leaves too and are not opened: what somebody else wrote into the message that
came back must not be taken for the report about it.

Why not the `email` package: it takes time that grows with depth times lines, recurses on nested
multiparts, and its parser of addresses and dates raises on garbage. A notice needs none of that.

Bounds: 2 MiB of the message, 256 KiB and 1000 fields a header, depth 8, 64 parts. What lies beyond
is not looked at. Line ends may be CRLF, LF or both. Fails never: garbage gives one part of garbage.
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES: Final = 2 << 20
MAX_HEADER: Final = 256 << 10
MAX_FIELDS: Final = 1000
MAX_VALUE: Final = 16 << 10
MAX_DEPTH: Final = 8
MAX_PARTS: Final = 64

# Codecs of names with 63 octets: the time they take grows with the square.
_NO_CHARSETS: Final = frozenset({"punycode", "idna"})
_BLANK_LINE: Final = re.compile(rb"(?:\A|\n)\r?\n")
_FIELD: Final = re.compile(r"([!-9;-~]{1,100})[ \t]*:[ \t]*(.*)", re.DOTALL)
_FOLD: Final = re.compile(rb"\r?\n[ \t]+")
_PARAMETER: Final = re.compile(
    r';\s*([a-zA-Z0-9*_-]{1,60})\s*=\s*(?:"((?:[^"\\]|\\.){0,500})"|([^\s;"]{1,500}))'
)
_TYPE: Final = re.compile(r"\s*([a-z0-9.+_-]{1,100}/[a-z0-9.+_-]{1,100})", re.IGNORECASE)


class Fields:
    """Header fields in order; names in any case, values unfolded."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[tuple[str, str], ...]) -> None:
        """`items`: lower-case name and value."""
        self.items = items

    def get(self, name: str) -> str:
        """The first value of a field, "" when there is none."""
        return next((value for key, value in self.items if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for key, value in self.items if key == name]

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self.items)

    def __bool__(self) -> bool:
        return bool(self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One leaf: its type (lower case), parameters (names lower case), fields, and body as it came."""

    content_type: str
    parameters: Mapping[str, str]
    fields: Fields
    body: bytes

    def content(self) -> bytes:
        """The body without its transfer encoding; as it came when that is broken."""
        encoding = self.fields.get("content-transfer-encoding").strip().lower()
        if encoding == "quoted-printable":
            return quopri.decodestring(self.body)
        if encoding == "base64":
            return _base64(self.body)
        return self.body

    def text(self) -> str:
        """The content as text with LF line ends; what its charset cannot read becomes U+FFFD."""
        content = self.content().replace(b"\r\n", b"\n")
        charset = self.parameters.get("charset", "utf-8")
        try:
            is_charset = codecs.lookup(charset).name not in _NO_CHARSETS
            return content.decode(charset if is_charset else "utf-8", "replace")
        except (LookupError, ValueError):  # no such charset, or one with a NUL in its name
            return content.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole message: its header, its type, its leaves."""

    fields: Fields
    content_type: str
    parameters: Mapping[str, str]
    parts: tuple[Part, ...]


def parse(raw: bytes) -> Document:
    """Read a message."""
    raw = raw[:MAX_BYTES]
    if raw.startswith(b"From "):  # an mbox separator, where a notice came out of a file
        raw = raw.partition(b"\n")[2]
    header, body = split(raw)
    fields = parse_fields(header)
    content_type, parameters = _content_type(fields)
    root = Part(content_type=content_type, parameters=parameters, fields=fields, body=body)
    return Document(
        fields=fields,
        content_type=content_type,
        parameters=parameters,
        parts=tuple(_leaves(root)),
    )


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Header block and body. What starts without a header is all body."""
    blank = _BLANK_LINE.search(raw, 0, MAX_HEADER)
    if blank is None:
        return raw[:MAX_HEADER], b""
    return raw[: blank.start()], raw[blank.end() :]


def parse_fields(block: bytes) -> Fields:
    """The fields of a header block, or of one group of a status part. Odd lines are passed over."""
    unfolded = _FOLD.sub(b" ", block[:MAX_HEADER])
    fields: list[tuple[str, str]] = []
    for line in unfolded.split(b"\n", MAX_FIELDS)[:MAX_FIELDS]:
        match = _FIELD.match(line[:MAX_VALUE].decode("utf-8", "replace"))
        if match is not None:
            fields.append((match.group(1).lower(), match.group(2).strip()))
    return Fields(tuple(fields))


def _content_type(fields: Fields) -> tuple[str, dict[str, str]]:
    value = fields.get("content-type")
    match = _TYPE.match(value)
    if match is None:
        return "text/plain", {}
    parameters = {
        name.lower(): quoted.replace('\\"', '"') or plain
        for name, quoted, plain in _PARAMETER.findall(value, match.end())
    }
    return match.group(1).lower(), parameters


def _leaves(root: Part) -> Iterator[Part]:
    """Depth first with a stack of our own: garbage cannot exhaust Python's."""
    waiting = [(root, 0)]
    found = 0
    while waiting and found < MAX_PARTS:
        part, depth = waiting.pop()
        children = _children(part) if depth < MAX_DEPTH else []
        if children:
            waiting.extend((child, depth + 1) for child in reversed(children))
        else:
            found += 1
            yield part


def _children(part: Part) -> list[Part]:
    boundary = part.parameters.get("boundary", "").rstrip()
    if not part.content_type.startswith("multipart/") or not boundary:
        return []
    pieces = _pieces(part.body, boundary.encode("utf-8", "replace"))
    # RFC 2046 5.1.5: in multipart/digest a part without a type is a message.
    return [_part(piece, digest=part.content_type == "multipart/digest") for piece in pieces]


def _pieces(body: bytes, boundary: bytes) -> list[bytes]:
    """The bytes between delimiter lines; preamble and epilogue are dropped (RFC 2046 5.1.1)."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    pieces = []
    start = None
    for match in delimiter.finditer(body):
        if start is not None:
            pieces.append(body[start : match.start()])
        start = match.end()
        if match.group(1) or len(pieces) >= MAX_PARTS:
            return pieces
    if start is not None:  # cut off before the closing delimiter
        pieces.append(body[start:])
    return pieces


def _part(piece: bytes, *, digest: bool) -> Part:
    # The line end after the delimiter belongs to it, unless the part has no header at all.
    header, body = split(piece.removeprefix(b"\r").removeprefix(b"\n"))
    fields = parse_fields(header)
    content_type, parameters = _content_type(fields)
    if digest and "content-type" not in fields:
        content_type = "message/rfc822"
    return Part(content_type=content_type, parameters=parameters, fields=fields, body=body)


def _base64(body: bytes) -> bytes:
    compact = b"".join(body.split())
    try:
        return binascii.a2b_base64(compact + b"=" * (-len(compact) % 4))
    except binascii.Error:
        return body
