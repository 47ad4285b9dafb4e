"""Values of suppressions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ERRORS: Final = 100  # rows of an import that are told of


class Reason(StrEnum):
    """Why somebody is not written to."""

    HARD_BOUNCE = "hard_bounce"  # the receiver says the address does not exist
    COMPLAINT = "complaint"  # reported as unwanted through a feedback loop
    UNSUBSCRIBE = "unsubscribe"  # asked not to get any more
    REPEATED_SOFT_BOUNCES = "repeated_soft_bounces"  # failed again and again, never delivered
    MANUAL = "manual"  # a person added it
    IMPORT = "import"  # came with a list


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One suppression. `target` is an address, or a domain when it has no @."""

    id: int
    tenant_id: int  # 0 = the whole box
    target: str
    reason: Reason
    event_id: str  # the event that caused it, "" if a person did
    created_at: int
    expires_at: int  # 0 = never


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many stand, by reason. `is_cut`: there are more than were looked at."""

    by_reason: Mapping[Reason, int]
    is_cut: bool

    @property
    def total(self) -> int:
        """All that were counted."""
        return sum(self.by_reason.values())


class SuppressionEvent(NamedTuple):
    """A bounce, complaint or unsubscription; applied once per `event_id`."""

    event_id: str
    tenant_id: int
    address: str
    reason: Reason
    at: int


class SoftBounce(NamedTuple):
    """A message given up after temporary failures; counted once per `event_id`."""

    event_id: str
    tenant_id: int
    address: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftBounceRule:
    """How many soft bounces, over how long, with no delivery between, suppress an address."""

    count: int = 5
    span: int = 7 * clock.DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """A row of an import that was left out."""

    line: int
    text: str  # shortened
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What an import did. `errors` holds the first ones; `failed` counts all."""

    imported: int
    failed: int
    errors: tuple[RowError, ...]

    def plus(self, more: ImportResult) -> ImportResult:
        """Of this and what came after it."""
        return ImportResult(
            imported=self.imported + more.imported,
            failed=self.failed + more.failed,
            errors=(*self.errors, *more.errors)[:MAX_ERRORS],
        )
