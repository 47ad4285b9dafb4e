"""Notices of domains: a DNS record that was right and broke stands as a notice until it is right again.

tell(notices, after, broken)      after a check of one domain
tidy(notices, domains)            takes back the notices of domains that are gone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core.scope import Scope
from appliance.domains import CheckState
from appliance.notices import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from appliance.domains import Check, DomainRecord
    from appliance.notices import Notice, Notices

KIND: Final = "domain-record"
_MANY: Final = 1000
_SYSTEM: Final = Scope.system(by="worker")


async def tell(notices: Notices, after: DomainRecord, broken: Iterable[Check]) -> None:
    """Raise what broke; take back what is right."""
    for check in broken:
        finding = Finding(
            kind=KIND,
            subject=_subject(after, check),
            text=f"the {check.kind} record {check.name} of {after.name} was right and is"
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
