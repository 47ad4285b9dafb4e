"""Source: the bytes of a message as a page shows them: header fields, and the text with its long parts folded. Pure.

All of it is a stranger's: control characters are shown as signs, nothing is run, and no more than MOST characters
are drawn; the whole is for download.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Final

from admin_ui.console.words import size

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 200_000
MOST_FIELDS: Final = 300
_SHOWN_OF_RUN: Final = 2
_LONG_RUN: Final = 8
_FIELD: Final = re.compile(r"[!-9;-~]+:")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
_CONTROLS: Final = {n: 0x2400 + n for n in range(32) if n not in (9, 10)} | {127: 0x2421}
# What turns the direction of the text around it, or is not seen.
_HIDDEN: Final = dict.fromkeys(
    (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd"
)


@dataclass(frozen=True, slots=True)
class Field:
    """A header field; `read` is what an encoded one says."""

    name: str
    value: str
    read: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text; `name` is that of the header field which begins there, `is_note` ours."""

    name: str
    text: str
    is_note: bool = False


def text_of(content: bytes) -> str:
    """As far as it is shown."""
    text = content[:MOST].decode("utf-8", "replace").replace("\r\n", "\n")
    return text.translate(_CONTROLS).translate(_HIDDEN)


def fields_of(content: bytes) -> list[Field]:
    """The header, unfolded."""
    head = text_of(content).partition("\n\n")[0]
    found: list[tuple[str, list[str]]] = []
    for line in head.split("\n"):
        if line[:1] in (" ", "\t") and found:
            found[-1][1].append(line.strip())
        else:
            name, _, value = line.partition(":")
            found.append((name, [value.strip()]))
    return [_field(name, " ".join(parts)) for name, parts in found[:MOST_FIELDS]]


def _field(name: str, value: str) -> Field:
    if "=?" not in value:
        return Field(name, value)
    try:
        read = str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return Field(name, value)
    return Field(name, value, read.translate(_CONTROLS).translate(_HIDDEN) if read != value else "")


def lines_of(content: bytes) -> list[Line]:
    """The text; long runs of base64 are folded to their first lines."""
    found = list(_lines(text_of(content)))
    if len(content) > MOST:
        found.append(
            Line("", f"... {size(len(content) - MOST)} more: download it to see all", is_note=True)
        )
    return found


def _lines(text: str) -> Iterator[Line]:
    run: list[str] = []
    in_head = True
    for line in text.split("\n"):
        if _BASE64.fullmatch(line):
            run.append(line)
            continue
        yield from _folded(run)
        run = []
        # A part's own header follows its boundary.
        in_head = (in_head or line.startswith("--")) and bool(line)
        match = _FIELD.match(line) if in_head else None
        yield Line(match.group(), line[match.end() :]) if match else Line("", line)
    yield from _folded(run)


def _folded(run: list[str]) -> Iterator[Line]:
    shown = run if len(run) <= _LONG_RUN else run[:_SHOWN_OF_RUN]
    yield from (Line("", line) for line in shown)
    if rest := run[len(shown) :]:
        words = f"... {len(rest):,} more lines ({size(sum(map(len, rest)))} of base64)"
        yield Line("", words, is_note=True)
