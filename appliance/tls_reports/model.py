"""Values of TLS reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mta.transport.tls_results import TlsResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who reports."""

    organisation: str
    contact: str  # an address
    hostname: str


@dataclass(frozen=True, slots=True)
class Line:
    """How often a result was seen on the day of a report."""

    result: TlsResult
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A report to be made now: claimed by who got it, until `claimed_until`."""

    day: int  # ms of its midnight, UTC
    domain: str
    tries: int  # this one included
    claimed_until: int
