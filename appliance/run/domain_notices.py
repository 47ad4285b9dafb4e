"""Notices of domains: a DNS record that was right and broke stands as a notice until it is right again.

tell(notices, after, broken)      after a check of one domain
tell_verified(notices, domains)   that one was proved stands for a day, whoever or whatever looked
tidy(notices, domains)            takes back the notices of domains that are gone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.scope import BOX, Scope
from appliance.domains import CheckState
from appliance.notices import Finding, Severity
from mta.signing.dns_records import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.domains import Check, DomainRecord
    from appliance.notices import Notice, Notices

KIND: Final = "domain-record"
VERIFIED: Final = "domain-verified"
_NEWS: Final = clock.DAY
_MANY: Final = 1000
_NAMES: Final = {
    RecordKind.OWNERSHIP: "ownership record",
    RecordKind.DKIM: "DKIM record",
    RecordKind.SPF: "SPF record",
    RecordKind.DMARC: "DMARC record",
    RecordKind.RETURN_PATH: "return path",
}
_SYSTEM: Final = Scope.system(by="worker")


async def tell(notices: Notices, after: DomainRecord, broken: Iterable[Check]) -> None:
    """Raise what broke; take back what is right."""
    for check in broken:
        finding = Finding(
            kind=KIND,
            subject=_subject(after, check),
            text=f"the {_NAMES[check.kind]} {check.name} of {after.name} was right and is"
            f" {check.state} now: {check.problem}",
            next_step=f"`pillarbox domain records {after.name}` shows what to publish; then"
            f" `pillarbox domain check {after.name}`",
            tenant_id=after.tenant_id,
        )
        await notices.raise_(_SYSTEM, finding)
    # What is not looked at any more (a selector that was withdrawn) is over too.
    wrong = {
        _subject(after, check)
        for check in (after.report.checks if after.report else ())
        if check.state is not CheckState.OK
    }
    for one in await _standing(notices):
        is_ours = (one.tenant_id, _domain_of(one)) == (after.tenant_id, after.name)
        if is_ours and one.subject not in wrong:
            await notices.resolve(_SYSTEM, KIND, one.subject, tenant_id=one.tenant_id)


async def tell_verified(notices: Notices, domains: Iterable[DomainRecord], now: int) -> None:
    """Raise what was proved within a day; take back what is no news any more."""
    fresh = {
        (found.tenant_id, found.name)
        for found in domains
        if found.tenant_id != BOX and found.verified_at > max(now - _NEWS, found.created_at)
    }
    standing = {
        (one.tenant_id, one.subject)
        for one in await notices.list(_SYSTEM, kind=VERIFIED, limit=_MANY)
    }
    for tenant_id, name in sorted(fresh - standing):
        await notices.raise_(_SYSTEM, _verified(tenant_id, name))
    for tenant_id, name in sorted(standing - fresh):
        await notices.resolve(_SYSTEM, VERIFIED, name, tenant_id=tenant_id)


def _verified(tenant_id: int, name: str) -> Finding:
    return Finding(
        kind=VERIFIED,
        subject=name,
        severity=Severity.INFO,
        text=f"{name} is verified: mail from its addresses is accepted and signed as soon as its DKIM"
        " records are published",
        next_step=f"`pillarbox domain check {name}` shows whether any of its records is missing",
        tenant_id=tenant_id,
    )


async def tidy(notices: Notices, domains: Iterable[DomainRecord]) -> None:
    """Nobody need care for a domain that was given up."""
    known = {(found.tenant_id, found.name) for found in domains}
    for one in await _standing(notices):
        if (one.tenant_id, _domain_of(one)) not in known:
            await notices.resolve(_SYSTEM, KIND, one.subject, tenant_id=one.tenant_id)


async def _standing(notices: Notices) -> tuple[Notice, ...]:
    return await notices.list(_SYSTEM, kind=KIND, limit=_MANY)


def _subject(found: DomainRecord, check: Check) -> str:
    return f"{found.name}: {check.kind} {check.name}"


def _domain_of(notice: Notice) -> str:
    return notice.subject.partition(":")[0]
