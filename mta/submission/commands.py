"""Commands: the arguments of MAIL and RCPT, read into values (RFC 5321, 1870, 3461, 6152, 6531).

    FROM:<sender@example.com> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=Order-7
    TO:<user@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;User@example.com

Pure. Parameters that come back to the sender (ENVID, ORCPT) keep their case and their xtext exactly
as given; source routes are dropped (RFC 5321 appendix C); whether the address is one is left to
mta/policy/address.py. Unknown parameters, parameters given twice and values out of form raise
Refused: 555 5.5.4, 501 5.5.4. Lengths are bounded by the reader of the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mta.message import RecipientRequest
from mta.policy.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_ENVID: Final = 100  # RFC 3461 4.4
MAX_ORCPT: Final = 500  # RFC 3461 4.2

# A path in angle brackets, its source route left out; a quoted local part may hold anything.
_ROUTE: Final = r"(?:@[^\s<>:\"]*:)?"
_ADDRESS: Final = r'(?:"(?:[^"\\]|\\.)*"|[^\s<>"])*'
# Without brackets is against RFC 5321 but what printers and scanners send; nothing is ambiguous.
_PATH: Final = rf"[ \t]*(?:<{_ROUTE}({_ADDRESS})>|([^\s<>]+))(?:[ \t]+(\S.*))?"
_FROM: Final = re.compile(f"FROM:{_PATH}", re.IGNORECASE)
_TO: Final = re.compile(f"TO:{_PATH}", re.IGNORECASE)
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
# RFC 6533: with the type "utf-8" the address may hold UTF-8 or \x{...} escapes instead of xtext.
_ORCPT: Final = re.compile(
    r"(?i:utf-8);[^\x00- \x7f]+|[A-Za-z0-9.-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"
)
_NOTIFY: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCommand:
    """MAIL FROM with its parameters; `sender` is "" for the null return path."""

    sender: str
    size: int = 0  # as declared; never trusted
    body_8bit: bool = False
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""


def parse_mail(argument: bytes) -> MailCommand:
    """What stands after `MAIL `."""
    sender, parameters = _path(_FROM, argument, "MAIL FROM:<sender@example.com>")
    if not parameters:
        return MailCommand(sender=sender)
    fields = _fields(parameters, _MAIL_PARAMETERS)
    fields.pop("auth", None)  # RFC 4954 5: taken, and not believed
    return MailCommand(sender=sender, **fields)


def parse_rcpt(argument: bytes) -> RecipientRequest:
    """What stands after `RCPT `."""
    address, parameters = _path(_TO, argument, "RCPT TO:<user@example.com>")
    if not address:
        raise Refused(501, "5.1.3", "the recipient is empty: write RCPT TO:<user@example.com>")
    if not parameters:
        return RecipientRequest(address=address)
    return RecipientRequest(address=address, **_fields(parameters, _RCPT_PARAMETERS))


def _path(pattern: re.Pattern[str], argument: bytes, example: str) -> tuple[str, str]:
    try:
        match = pattern.fullmatch(argument.decode())
    except UnicodeDecodeError as error:
        raise Refused(501, "5.5.4", "the command is not UTF-8") from error
    if match is None:
        raise Refused(501, "5.5.4", f"syntax: {example}")
    return match.group(1) or match.group(2) or "", match.group(3) or ""


_Parameters = dict[str, tuple[str, "Callable[[str], object]"]]


def _fields(text: str, known: Mapping[str, tuple[str, Callable[[str], object]]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for word in text.split():
        keyword, _, value = word.partition("=")
        entry = known.get(keyword.upper())
        if entry is None:
            raise Refused(555, "5.5.4", f"parameter {_shown(keyword)} is not supported")
        name, read = entry
        if name in fields:
            raise Refused(501, "5.5.4", f"parameter {keyword.upper()} was given twice")
        try:
            fields[name] = read(value)
        except ValueError as error:
            raise Refused(501, "5.5.4", f"parameter {keyword.upper()}: {error}") from error
    return fields


def _size(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 20):
        raise ValueError("the size is a number of octets of at most 20 digits")
    return int(value)


def _body(value: str) -> bool:
    if value.upper() not in ("7BIT", "8BITMIME"):
        raise ValueError("the body is 7BIT or 8BITMIME")
    return value.upper() == "8BITMIME"


def _flag(value: str) -> bool:
    if value:
        raise ValueError("it takes no value")
    return True


def _ret(value: str) -> str:
    if value.upper() not in ("FULL", "HDRS"):
        raise ValueError("it is FULL or HDRS")
    return value.upper()


def _envid(value: str) -> str:
    if len(value) > MAX_ENVID or _XTEXT.fullmatch(value) is None:
        raise ValueError(f"it is xtext of at most {MAX_ENVID} characters (RFC 3461)")
    return value


def _auth(value: str) -> str:
    if value != "<>" and _XTEXT.fullmatch(value) is None:
        raise ValueError("it is <> or xtext (RFC 4954)")
    return value


def _notify(value: str) -> str:
    words = value.upper().split(",")
    if words != ["NEVER"] and (not _NOTIFY.issuperset(words) or len(set(words)) != len(words)):
        raise ValueError("it is NEVER or a list of SUCCESS, FAILURE, DELAY")
    return ",".join(words)


def _orcpt(value: str) -> str:
    if len(value) > MAX_ORCPT or _ORCPT.fullmatch(value) is None:
        raise ValueError(
            f"it is an address type, a semicolon and xtext, {MAX_ORCPT} characters at most"
        )
    return value


def _shown(word: str) -> str:
    return "".join(char if "!" <= char <= "~" else "?" for char in word[:40])


_MAIL_PARAMETERS: Final[_Parameters] = {
    "SIZE": ("size", _size),
    "BODY": ("body_8bit", _body),
    "SMTPUTF8": ("smtputf8", _flag),
    "RET": ("ret", _ret),
    "ENVID": ("envid", _envid),
    "AUTH": ("auth", _auth),
}
_RCPT_PARAMETERS: Final[_Parameters] = {"NOTIFY": ("notify", _notify), "ORCPT": ("orcpt", _orcpt)}
