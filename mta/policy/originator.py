"""Originator: the one address in From:, on which the right to send is decided.

The common shapes (`user@example.com`, `Name <user@example.com>`, `"Name" <user@example.com>`) are
read by one regular expression. The rest (comments, several mailboxes) goes through a small strict
reader: what it does not understand is refused, because a receiver that reads it differently would
see another sender than the one we checked. The standard library's parser guesses, and raises
IndexError on some input.

Several addresses are allowed only when they share one domain; the first counts. With different
domains there is no single domain that DMARC could be aligned with (RFC 7489 6.6.1).

Raises Refused (550 5.6.0) naming From.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mta.policy.address import Address, parse_mailbox
from mta.policy.quoting import shown
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from mta.policy.headers import HeaderBlock

_MAX_OCTETS: Final = 8192

_QUOTED: Final = r'"(?:[^"\\]|\\.)*+"'
_SPECIAL: Final = r'"(),:;<>@\[\]\\'
_WORD: Final = rf"[^\s{_SPECIAL}]++"
_MAILBOX: Final = rf"(?:{_QUOTED}|{_WORD})@{_WORD}"
# A phrase takes dots (obs-phrase): "John Q. Public" is written without quotes everywhere.
_PHRASE: Final = rf"(?:{_QUOTED}|[^{_SPECIAL}])*+"
_COMMON: Final = re.compile(
    rf"(?:{_QUOTED}|[^{_SPECIAL}]*+)\s*<({_WORD}@{_WORD})>|({_WORD}@{_WORD})"
)
_ELEMENT: Final = re.compile(rf"\s*(?:{_PHRASE}<\s*({_MAILBOX})\s*>|({_MAILBOX}))\s*(,|\Z)")
# Encoded words often hold punctuation that RFC 2047 5 (3) forbids there; harmless unless it could
# pass for an address.
_ENCODED_WORD: Final = re.compile(r'=\?[^?\s<>@",]*\?[BbQq]\?[^?\s<>@",]*\?=')
_COMMENT_PART: Final = re.compile(rf"{_QUOTED}|\\.|[()]", re.DOTALL)


def originator(block: HeaderBlock, *, allow_utf8: bool) -> Address:
    """The address in From:. There must be exactly one From field."""
    count = block.count(b"from")
    if count != 1:
        problem = (
            "the message has no From header"
            if not count
            else f"the message has {count} From headers"
        )
        raise Refused(550, "5.6.0", f"{problem}; it needs exactly one")
    value = _text(block.get(b"from") or b"")
    match = _COMMON.fullmatch(value)
    specs = [match[1] or match[2]] if match is not None else _mailboxes(value)
    addresses = [_address(spec, allow_utf8=allow_utf8) for spec in specs]
    if len({address.domain for address in addresses}) > 1:
        raise Refused(
            550,
            "5.6.0",
            "the From header names several domains; use one, or move the others to Reply-To",
        )
    return addresses[0]


def _text(value: bytes) -> str:
    if len(value) > _MAX_OCTETS:
        raise Refused(550, "5.6.0", f"the From header is longer than {_MAX_OCTETS} octets")
    try:
        return value.decode("utf-8")
    except (
        UnicodeDecodeError
    ):  # let in by accept_8bit_headers: some old applications write Latin-1 names
        return value.decode("latin-1")


def _mailboxes(value: str) -> list[str]:
    """Every addr-spec of a mailbox-list (RFC 5322 3.4)."""
    text = _ENCODED_WORD.sub("x", value)
    text = _without_comments(text) if "(" in text else text
    specs: list[str] = []
    position = 0
    while True:
        match = _ELEMENT.match(text, position)
        if match is None:
            raise _unreadable(value)
        specs.append(match[1] or match[2])
        if not match[3]:
            return specs
        position = match.end()


def _without_comments(text: str) -> str:
    """Comments (they nest, RFC 5322 3.2.2) become a space; quoted strings are left alone."""
    kept: list[str] = []
    depth = start = position = 0
    while (match := _COMMENT_PART.search(text, position)) is not None:
        position = match.end()
        part = match[0]
        if depth and part.startswith('"'):  # a quote means nothing inside a comment
            position = match.start() + 1
        elif part == "(":
            if not depth:
                kept.append(text[start : match.start()])
            depth += 1
        elif part == ")":
            depth -= 1
            start = position
            if depth < 0:
                raise _unreadable(text)
    if depth:
        raise _unreadable(text)
    return " ".join([*kept, text[start:]])


def _address(spec: str, *, allow_utf8: bool) -> Address:
    try:
        return parse_mailbox(spec, smtputf8=allow_utf8)
    except Refused as refused:
        raise Refused(550, "5.6.0", f"the From header: {refused.reply.text}") from refused


def _unreadable(value: str) -> Refused:
    return Refused(
        550,
        "5.6.0",
        f"the From header cannot be read: {shown(value)}; write it as Name <user@example.com>, "
        "a name with punctuation in double quotes",
    )
