"""Values of tenancy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRecord:
    """A tenant as it stands in the store."""

    id: int
    name: str
    weight: int  # share of the egress when several tenants wait
    recipients_per_day: int  # 0 = no limit
    suspended_at: int  # 0 = active
    suspended_reason: str
    created_at: int
    pool: str = ""  # egress pool of its mail; "" = the default
    bulk_pool: str = ""  # the same for one class; "" = as `pool`
    transactional_pool: str = ""
    sandboxed: bool = False  # what it sends is accepted and delivered to nobody
    organisation: str = ""  # its full name
    country: str = ""  # two letters (ISO 3166)
    postal_address: str = ""  # lines
    privacy_url: str = ""  # its own pages, to which its public ones link
    terms_url: str = ""

    @property
    def has_profile(self) -> bool:
        """Whether it is known who this is by post."""
        return bool(self.organisation and self.country and self.postal_address)

    @property
    def suspended(self) -> bool:
        """Whether it may not send."""
        return self.suspended_at > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCounts:
    """How many tenants there are."""

    whole: int
    suspended: int
    sandboxed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody did, for the audit log. `subject` names the record as people know it."""

    tenant_id: int  # 0 = the box
    at: int
    action: str  # "credential.revoke"
    subject: str  # "credential 12 (app)"
    detail: str = ""  # never a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, on which record, when, from where."""

    id: int
    at: int
    tenant_id: int  # 0 = the box
    by: str
    action: str  # "credential.revoke"
    record: str  # "credential 12 (app)"
    detail: str
    address: str = ""  # an IP address; "" = from within the box: a command line, the box itself


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are meant; empty fields match everything."""

    action: str = ""  # or how it begins: "domain."
    by: str = ""
    record: str = ""
    address: str = ""
    since: int = 0
    until: int = 0
