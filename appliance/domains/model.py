"""Values of domains."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from mta.signing.dns_records import RecordKind  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from mta.message import ReturnPathMode


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxNames:
    """What records of tenants' domains point to."""

    hostname: str
    bounce_domain: str  # has MX and SPF records of the box
    addresses: tuple[str, ...] = ()  # from which the box sends, where it is set; for SPF


KEY_AGE: Final = 330 * clock.DAY
"""A signing key is changed within a year (M3AAWG, best practices for key rotation, asks for more often)."""


class KeyState(StrEnum):
    """Where a selector stands: pending -> active -> retiring -> withdrawn."""

    PENDING = "pending"  # made, waits until its record is seen in DNS
    ACTIVE = "active"  # signs
    RETIRING = "retiring"  # signs no more, stays published for what is under way
    WITHDRAWN = "withdrawn"  # its record may be deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainKey:
    """A signing key without its private half."""

    id: int
    domain_id: int
    selector: str
    algorithm: str
    public_key: str
    state: KeyState
    created_at: int
    updated_at: int
    withdraw_at: int  # when a retiring key may go; 0 before

    def is_old(self, now: int) -> bool:
        """Whether it has signed for so long that another should."""
        return self.state is KeyState.ACTIVE and now - self.created_at > KEY_AGE


class CheckState(StrEnum):
    """What DNS says of one record."""

    OK = "ok"
    MISSING = "missing"  # it is not there
    DIFFERENT = "different"  # it is there and says something else
    UNKNOWN = "unknown"  # DNS could not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One record: what it should be, what was found, what is wrong in words."""

    kind: RecordKind
    name: str
    state: CheckState
    problem: str = ""
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The checks of one domain at one time."""

    at: int
    checks: tuple[Check, ...]
    servers: tuple[str, ...] = ()  # addresses of the name servers that were asked

    def state(self, kind: RecordKind) -> CheckState:
        """The state of a kind of record: the first that is not ok decides."""
        states = [check.state for check in self.checks if check.kind is kind]
        bad = [state for state in states if state is not CheckState.OK]
        return bad[0] if bad else CheckState.OK if states else CheckState.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRecord:
    """A sending domain as it stands in the store, with its keys, newest first."""

    id: int
    tenant_id: int
    name: str
    is_default: bool
    token: str
    verified_at: int  # 0 = not proved
    return_path: str
    return_path_verified: bool
    has_dmarc: bool
    return_path_mode: ReturnPathMode | None
    report: Report | None  # of the last check
    checked_at: int
    created_at: int
    keys: tuple[DomainKey, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether the last look found every record as it must be."""
        checks = self.report.checks if self.report else ()
        return bool(checks) and all(check.state is CheckState.OK for check in checks)

    @property
    def verified(self) -> bool:
        """Whether its ownership was proved."""
        return self.verified_at > 0
