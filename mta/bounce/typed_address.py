r"""Typed addresses of reports: "rfc822; user@example.com" (RFC 3464, RFC 3461, RFC 6533).

Reading is tolerant (any case, missing type, brackets, xtext left undecoded) and never raises;
writing is exact. Three encodings meet here: xtext ("+2B" for "+") in ESMTP parameters, unitext
("\x{4E2D}") where UTF-8 cannot be written, and UTF-8 itself.
"""

from __future__ import annotations

import re
from typing import Final

_XTEXT_CODES: Final = frozenset({"20", "2B", "3D", "40"})
"""Characters that must be, or often are, written that way in an address."""


def address_of(value: str) -> str:
    """The address in a field's value, in any of the forms met.

    What has no "@" (an X.400 name, a bare user) is returned as it stands; a pipe or file is "".
    """
    kind, semicolon, text = value.partition(";")
    if not semicolon:
        kind, text = "", value
    bracketed = re.search(r"<([^<>\s]+)>", text)
    address = (bracketed.group(1) if bracketed else text).strip().strip("' ")
    if address.startswith(("|", "/")) or re.search(r"\s", address.rpartition('"')[2]):
        return ""  # a pipe, a file or prose
    if kind.strip().lower() == "utf-8":
        return _from_unitext(address)
    return from_xtext(address)


def typed(address: str, *, utf8: bool) -> str:
    """An address as reports write it. Beyond ASCII it is UTF-8 where the report may hold that."""
    if address.isascii():
        return f"rfc822; {address}"
    return f"utf-8; {address if utf8 else _to_unitext(address)}"


def from_xtext(text: str) -> str:
    """RFC 3461 section 4 undone. Reporting hosts should have done so, and some did not.

    Decoded only where nothing else can be meant: every "+" is followed by two hexadecimal digits
    of a character that needs it. "user+tag@example.com" stays.
    """
    codes = re.findall(r"\+(.{0,2})", text)
    if not codes or any(code not in _XTEXT_CODES for code in codes):
        return text
    return re.sub(r"\+(..)", lambda m: chr(int(m.group(1), 16)), text)


def decode_xtext(text: str) -> str:
    """An ESMTP parameter that is xtext by definition (ENVID, ORCPT): every "+XX" is decoded."""
    return re.sub(r"\+([0-9A-F]{2})", lambda m: chr(int(m.group(1), 16)), text)


def _from_unitext(address: str) -> str:
    return re.sub(r"\\x\{([0-9A-F]{2,6})\}", lambda m: _character(m.group(1)), address)


def _to_unitext(address: str) -> str:
    return "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in address)


def _character(digits: str) -> str:
    number = int(digits, 16)
    valid = number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    return chr(number) if valid else "\ufffd"
