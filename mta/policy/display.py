"""Display: a header value as people read it, for lists and searches.

RFC 2047 encoded words are decoded, whatever their charset; what cannot be decoded stays as it
stands. The text is bounded and holds no control characters. It never goes back into a message.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

MAX_CHARACTERS: Final = 250
_MAX_OCTETS: Final = 2000  # what 250 characters can need, encoded

_ENCODED_WORD: Final = re.compile(r"=\?([^?\s*]++)(?:\*[^?\s]*+)?\?([BbQq])\?([^?\s]*+)\?=")
_BETWEEN_WORDS: Final = re.compile(r"(?<=\?=)\s+(?==\?)")  # RFC 2047 6.2: not part of the text


def display_text(value: bytes | None) -> str:
    """An unfolded header value as one bounded line of text."""
    if not value:
        return ""
    text = _decoded(value[:_MAX_OCTETS])
    if "=?" in text:
        text = _ENCODED_WORD.sub(_word, _BETWEEN_WORDS.sub("", text))
    return _printable(text).strip()[:MAX_CHARACTERS]


def plain_text(value: bytes | None, *, limit: int) -> str:
    """An unfolded header value as it stands, not decoded: for identifiers."""
    return _printable(_decoded(value[:limit])) if value else ""


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else " " for char in text])


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _word(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    try:
        octets = text.encode("ascii")
        raw = (
            binascii.a2b_base64(octets)
            if encoding in "Bb"
            else binascii.a2b_qp(octets, header=True)
        )
        return raw.decode(charset, "replace")
    except (
        LookupError,
        ValueError,
    ):  # unknown charset, broken base64, not ASCII, a codec that is none
        return match[0]
