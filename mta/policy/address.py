"""Addresses: one mailbox as RFC 5321 lets it stand in MAIL, RCPT and between angle brackets.

    user@example.com    "odd local"@example.com    user@bücher.example (SMTPUTF8)

The local part stays exactly as given; the domain becomes lower-case A-labels (RFC 5891), which is
what DNS, the queue and every comparison use. Domain literals are refused: no sending domain or
receiver of the box has one. Comments, folding white space and the obsolete forms of RFC 5322
(`a . b@c`, `"a".b@c`) are refused too: they have no place in an envelope.

Raises Refused with the reply for an envelope address; never touches DNS. The common address costs
under 2 µs; an internationalised domain is looked up in a small cache (idna takes 30 µs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import idna

from mta.policy.quoting import shown
from mta.policy.refusal import Refused

MAX_LOCAL: Final = 64  # octets, RFC 5321 4.5.3.1.1
MAX_DOMAIN: Final = 253  # octets without the root dot: 255 on the wire of DNS (RFC 1035 2.3.4)
MAX_ADDRESS: Final = 254  # RFC 5321 4.5.3.1.3: a path is 256 with its angle brackets

_ATEXT: Final = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN: Final = re.compile(rf"([{_ATEXT}]+(?:\.[{_ATEXT}]+)*)@({_LABEL}(?:\.{_LABEL})*)")
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Above U+007F everything printable may stand in a local part (RFC 6531 3.3); C1 controls, spaces
# and surrogates may not.
_WIDE: Final = "\u00a1-\ud7ff\ue000-\U0010ffff"
_DOT_STRING: Final = re.compile(rf"[{_ATEXT}{_WIDE}]+(?:\.[{_ATEXT}{_WIDE}]+)*")
_QUOTED: Final = re.compile(rf'"(?:[ !#-\[\]-~{_WIDE}]|\\[ -~])*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A mailbox. `is_utf8`: its local part is not ASCII, so that every hop must offer SMTPUTF8."""

    local: str
    domain: str
    is_utf8: bool = False

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@lru_cache(maxsize=1024)  # a sender is read for every message, a recipient at RCPT and at admission
def parse_mailbox(text: str, *, smtputf8: bool) -> Address:
    """Read `local@domain`. With `smtputf8` either side may hold what is not ASCII (RFC 6531)."""
    match = _PLAIN.fullmatch(text)
    if match is None:
        return _parse_unusual(text, smtputf8=smtputf8)
    address = Address(local=match[1], domain=match[2].lower())
    if len(text) > MAX_LOCAL:  # otherwise neither side can be too long
        _check_lengths(text, address)
    return address


def _parse_unusual(text: str, *, smtputf8: bool) -> Address:
    """Quoted local parts, internationalised addresses, and all that is wrong."""
    local, domain = _split(text)
    if not text.isascii() and not smtputf8:
        raise Refused(553, "5.6.7", f"{shown(text)}: an address that is not ASCII needs SMTPUTF8")
    _check_local(text, local)
    address = Address(local=local, domain=ascii_domain(domain), is_utf8=not local.isascii())
    _check_lengths(text, address)
    return address


def ascii_domain(text: str) -> str:
    """A domain name as lower-case A-labels. Raises Refused (501 5.1.3) when it is not one."""
    if text.startswith("["):
        raise Refused(
            553, "5.1.3", f"{shown(text)}: an address literal is not accepted; use a domain name"
        )
    name = text.lower() if text.isascii() or len(text) > MAX_DOMAIN else _to_ascii(text)
    if len(name) > MAX_DOMAIN:
        raise Refused(501, "5.1.3", f"the domain is longer than {MAX_DOMAIN} octets")
    if _DOMAIN.fullmatch(name) is None:
        raise Refused(501, "5.1.3", f"{shown(text)} is not a domain name")
    return name


@lru_cache(maxsize=1024)
def _to_ascii(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise Refused(
            501, "5.1.3", f"{shown(domain)} is not a domain name: {shown(str(error))}"
        ) from error


def _split(text: str) -> tuple[str, str]:
    if len(text) > 2 * MAX_ADDRESS:
        raise Refused(501, "5.1.3", f"the address is longer than {MAX_ADDRESS} octets")
    local, at, domain = text.rpartition("@")
    if not at or not domain:
        raise Refused(501, "5.1.3", f"{shown(text)} has no domain: write it as user@example.com")
    if not local:
        raise Refused(501, "5.1.3", f"{shown(text)} has nothing before the @")
    return local, domain


def _check_local(text: str, local: str) -> None:
    if _DOT_STRING.fullmatch(local) is None and _QUOTED.fullmatch(local) is None:
        raise Refused(
            501,
            "5.1.3",
            f"{shown(text)} is not an address: {shown(local)} cannot stand before the @",
        )


def _check_lengths(text: str, address: Address) -> None:
    octets = len(address.local.encode())
    if octets > MAX_LOCAL:
        raise Refused(501, "5.1.3", f"{shown(text)}: more than {MAX_LOCAL} octets before the @")
    if octets + 1 + len(address.domain) > MAX_ADDRESS:
        raise Refused(
            501, "5.1.3", f"{shown(text)}: the address is longer than {MAX_ADDRESS} octets"
        )
