"""Rules of suppressions, pure: normal form of targets, rows of import and export, soft bounces.

An address is compared without regard to case: RFC 5321 lets a host tell local parts apart by case,
none of note does, and writing to somebody who said no is the worse mistake.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import idna

from appliance.core import clock
from appliance.core.errors import UsageError
from appliance.suppressions.model import Entry, Reason

if TYPE_CHECKING:
    from appliance.suppressions.model import SoftBounceRule

MAX_LINE: Final = 1000
MAX_TARGET: Final = 320  # 64 local part, @, 255 domain (RFC 5321 4.5.3.1)
HEADER: Final = "target,reason,expires"


class Row(NamedTuple):
    """One row of an import."""

    target: str
    reason: Reason
    expires_at: int


def normal_target(text: str) -> str:
    """An address or a domain in lower case with an A-label domain. Raises UsageError in words.

    "user@example.com" and "<user@example.com>" are addresses; "example.com" and "@example.com" domains.
    """
    bare = text.strip().removeprefix("<").removesuffix(">").strip()
    local, at, domain = bare.rpartition("@")
    if not bare or len(bare) > MAX_TARGET:
        raise UsageError(f"{text[:60]!r} is no address: write user@example.com or example.com")
    if any(char.isspace() or not char.isprintable() for char in bare):
        raise UsageError(f"{text[:60]!r} holds a space or control character")
    name = _domain(domain)
    return f"{local.lower()}@{name}" if at and local else name


def _domain(text: str) -> str:
    name = text.rstrip(".").lower()
    try:
        name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError as error:
        raise UsageError(f"{text!r} is no domain name: {error}") from error
    labels = name.split(".")
    if len(labels) < 2 or not all(labels) or len(name) > 253:
        raise UsageError(f"{text!r} is no domain name: write it in full, as in example.com")
    return name


def is_domain(target: str) -> bool:
    """Whether a target in normal form is a domain."""
    return "@" not in target


def parse_row(line: str) -> Row | None:
    """Read a line of an import: a plain address, or target,reason,expires. None for nothing.

    Raises UsageError in words.
    """
    text = line.strip().lstrip("\ufeff")
    if (
        not text
        or text.startswith("#")
        or text.lower().startswith(("target,", "address,", "email,"))
    ):
        return None
    if len(text) > MAX_LINE:
        raise UsageError(f"the line has more than {MAX_LINE} characters")
    try:
        fields = [field.strip() for field in next(csv.reader([text], strict=True))]
    except csv.Error as error:
        raise UsageError(f"the line is no CSV: {error}") from error
    if len(fields) > 3:
        raise UsageError(f"the line has {len(fields)} fields, at most 3: {HEADER}")
    target, reason, expires = (*fields, "", "")[:3]
    return Row(normal_target(target), _reason(reason), _expires(expires))


def _reason(text: str) -> Reason:
    if not text:
        return Reason.IMPORT
    try:
        return Reason(text.lower())
    except ValueError as error:
        raise UsageError(f"{text!r} is no reason: one of {', '.join(Reason)}") from error


def _expires(text: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(clock.from_datetime(zoned), 1)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no date: write it as 2027-01-31 or with a time") from error


def format_row(entry: Entry) -> str:
    """The entry as a line of an export, which an import takes back."""
    out = io.StringIO()
    expires = clock.iso(entry.expires_at) if entry.expires_at else ""
    csv.writer(out, lineterminator="\n").writerow([entry.target, entry.reason, expires])
    return out.getvalue()


def is_repeated(rule: SoftBounceRule, *, count: int, first_at: int, last_at: int) -> bool:
    """Whether soft bounces since the last delivery are enough: many, and over a long time.

    Ten in an hour are one outage of the receiver; five over a week are a dead mailbox.
    """
    return count >= rule.count and last_at - first_at >= rule.span
