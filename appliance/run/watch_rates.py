"""RateWatch: looks at the counts of the day and tells a tenant, and so the admin, what goes wrong with its mail.

    quota        80 and 100 % of recipients a day        until the day is over
    bounces      more than notifications.bounce_percent of what was tried today
    complaints   more than notifications.complaint_percent of what was delivered today

Days are those of UTC, as quotas and statistics have them. One question to the statistics for all tenants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.notices import Finding, Severity
from appliance.statistics import Counts, Dimension, Measure, Period, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from appliance.core.settings import Notifications as Options
    from appliance.notices import Notices
    from appliance.statistics import Statistics
    from appliance.tenancy import TenantRecord, Tenants

QUOTA: Final = "quota"
BOUNCES: Final = "bounces"
COMPLAINTS: Final = "complaints"
_KINDS: Final = (QUOTA, BOUNCES, COMPLAINTS)
_MOST: Final = 1000  # tenants, those with most mail first
_SYSTEM: Final = Scope.system(by="worker")


class RateWatch:
    """The loop of the worker."""

    def __init__(
        self,
        tenants: Tenants,
        statistics: Statistics,
        notices: Notices,
        options: Options,
        now: Callable[[], int] = clock.now_ms,
    ) -> None:
        self._tenants, self._statistics, self._notices = tenants, statistics, notices
        self._options, self._now = options, now

    async def step(self) -> bool:
        """Look once."""
        now = self._now()
        today = Period(since=now - now % clock.DAY, until=now + 1, step=Step.DAY)
        found = await self._statistics.top(
            _SYSTEM, today, Dimension.TENANT, order=Measure.ACCEPTED, limit=_MOST
        )
        counts = {one.value: one.counts for one in found}
        wanted: dict[tuple[int, str, str], Finding] = {}
        for tenant in await self._tenants.list(_SYSTEM):
            mine = counts.get(str(tenant.id))
            if mine is not None:
                for finding in findings(tenant, mine, self._options):
                    wanted[tenant.id, finding.kind, finding.subject] = finding
        await self._settle(wanted)
        return False

    async def _settle(self, wanted: dict[tuple[int, str, str], Finding]) -> None:
        """Raise what is new, take back what is over; what stands already is left alone."""
        standing = {
            (one.tenant_id, one.kind, one.subject)
            for kind in _KINDS
            for one in await self._notices.list(_SYSTEM, kind=kind, limit=_MOST)
        }
        for key, finding in wanted.items():
            if key not in standing:
                await self._notices.raise_(_SYSTEM, finding)
        for tenant_id, kind, subject in standing - wanted.keys():
            await self._notices.resolve(_SYSTEM, kind, subject, tenant_id=tenant_id)


def findings(tenant: TenantRecord, counts: Counts, options: Options) -> Iterator[Finding]:
    """What the counts of a day say of a tenant; pure."""
    limit = tenant.recipients_per_day
    if limit and counts.accepted >= 0.8 * limit:
        yield _quota(tenant, counts.accepted)
    bounced = counts.bounced_hard + counts.bounced_soft
    tried = counts.delivered + bounced
    if tried >= options.least_messages and 100 * bounced > options.bounce_percent * tried:
        yield Finding(
            kind=BOUNCES,
            subject=tenant.name,
            text=f"{bounced} of {tried} recipients of {tenant.name} bounced today"
            f" ({100 * bounced / tried:.1f} %)",
            next_step="look at the reasons (`pillarbox messages list --status bounced`), and stop"
            " writing to addresses that do not exist: receivers judge the box by it",
            tenant_id=tenant.id,
        )
    delivered = counts.delivered
    share = options.complaint_percent * delivered
    if delivered >= options.least_messages and 100 * counts.complained > share:
        yield Finding(
            kind=COMPLAINTS,
            subject=tenant.name,
            severity=Severity.CRITICAL,
            text=f"{counts.complained} of {delivered} recipients of {tenant.name} complained today"
            f" ({100 * counts.complained / delivered:.2f} %)",
            next_step="find out who did not want this mail, and why; above 0.3 % Gmail and Yahoo"
            " refuse it",
            tenant_id=tenant.id,
        )


def _quota(tenant: TenantRecord, accepted: int) -> Finding:
    limit = tenant.recipients_per_day
    is_used_up = accepted >= limit
    return Finding(
        kind=QUOTA,
        subject="100 %" if is_used_up else "80 %",
        severity=Severity.WARNING if is_used_up else Severity.INFO,
        text=f"{tenant.name} has sent to {accepted} of {limit} recipients a day",
        next_step="what comes above it is refused until midnight UTC: send less, or have the limit"
        f" raised (`pillarbox tenant limits {tenant.name}`)",
        tenant_id=tenant.id,
    )
