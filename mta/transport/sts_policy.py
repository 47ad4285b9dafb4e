"""MTA-STS policies (RFC 8461): what is published, read and applied. Pure.

    id_in()    the id in the _mta-sts TXT records; "" when there is no sound record, or more than one
    parse()    the policy file, or Unsound with what is wrong in words
    Policy     mode, patterns of MX hosts, max_age; `allows(host)`

Unknown fields are passed over, and of a field that stands twice the first counts (section 3.2).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_AGE: Final = 31_557_600  # seconds: a year
MAX_BYTES: Final = 64 * 1024
_MAX_PATTERNS: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
_FIELD: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*:[ \t]*(.*)")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_PATTERN: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")


class Mode(StrEnum):
    """What becomes of a host that does not pass."""

    ENFORCE = "enforce"  # it gets no mail
    TESTING = "testing"  # it gets mail, and the domain a report
    NONE = "none"  # the domain has taken its policy back


class Policy(Struct, frozen=True):
    """A policy as published."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int  # seconds

    def allows(self, host: str) -> bool:
        """Whether a pattern names the host; a wildcard stands for exactly one label (section 4.1)."""
        name = host.lower().rstrip(".")
        return name in self.mx or "*." + name.partition(".")[2] in self.mx

    def lines(self) -> tuple[str, ...]:
        """As a report quotes it."""
        patterns = (f"mx: {pattern}" for pattern in self.mx)
        return ("version: STSv1", f"mode: {self.mode}", *patterns, f"max_age: {self.max_age}")


class KeptPolicy(Struct, frozen=True, kw_only=True):
    """A policy as the box keeps it; it holds for `max_age`, whatever becomes of its record in DNS."""

    policy: Policy
    id: str  # of the TXT record when it was fetched
    fetched_at: int
    expires_at: int


class Unsound(Exception):  # noqa: N818 - a verdict on what somebody published
    """The policy cannot be used; the text says why."""


def id_in(texts: Iterable[str]) -> str:
    """The id of the one STSv1 record among the TXT records of a name."""
    records = [text for text in texts if re.match(r"v=STSv1[ \t]*(;|$)", text)]
    if len(records) != 1:
        return ""
    for field in records[0].split(";")[1:]:
        name, _, value = field.partition("=")
        if name.strip() == "id":
            return value.strip() if _ID.fullmatch(value.strip()) else ""
    return ""


def parse(text: str) -> Policy:
    """Read a policy file. Raises Unsound."""
    fields, patterns = _fields(text)
    if fields.get("version") != "STSv1":
        raise Unsound("the policy does not say version: STSv1")
    mode, age = fields.get("mode", ""), fields.get("max_age", "")
    if mode not in list(Mode):
        raise Unsound(f"the policy has no mode that is known: {mode[:40]!r}")
    if not (age.isascii() and age.isdigit()) or len(age) > 10:
        raise Unsound(f"max_age of the policy is no number of seconds: {age[:40]!r}")
    if not patterns and mode != Mode.NONE:
        raise Unsound("the policy names no mx")
    return Policy(mode=Mode(mode), mx=patterns, max_age=min(int(age), MAX_AGE))


def _fields(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    fields: dict[str, str] = {}
    patterns: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        found = _FIELD.fullmatch(line.strip())
        if found is None:
            raise Unsound(f"a line of the policy cannot be read: {line[:80]!r}")
        name, value = found[1], found[2].strip()
        if name == "mx":
            patterns.append(_pattern(value))
        else:
            fields.setdefault(name, value)
    return fields, tuple(dict.fromkeys(patterns))[:_MAX_PATTERNS]


def _pattern(value: str) -> str:
    pattern = value.lower().rstrip(".")
    if not _PATTERN.fullmatch(pattern):
        raise Unsound(f"an mx of the policy is no host name: {value[:80]!r}")
    return pattern
