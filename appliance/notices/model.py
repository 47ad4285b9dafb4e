"""Values of notices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.core.scope import BOX


class Severity(StrEnum):
    """How soon somebody should look."""

    INFO = "info"  # good to know; mail is not affected
    WARNING = "warning"  # some mail suffers, or will
    CRITICAL = "critical"  # much mail suffers now


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that was found: what a notice is made of."""

    kind: str  # "blocklist", "domain-record": a word for programs
    subject: str  # what it is about; with the kind it says whether two findings are the same
    text: str  # what is the matter
    next_step: str  # what to do about it
    severity: Severity = Severity.WARNING
    tenant_id: int = BOX  # whose it is, too; the admin sees all


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A finding that stands, or stood."""

    id: int
    tenant_id: int
    kind: str
    subject: str
    severity: Severity
    text: str  # as found last
    next_step: str
    raised_at: int
    last_at: int  # when it was found last
    count: int  # how often it was found
    seen_at: int  # when a person took note of it; 0 = not yet
    resolved_at: int  # 0 = it stands

    @property
    def is_open(self) -> bool:
        """Whether it stands."""
        return self.resolved_at == 0
