"""What the counts of a day say of a tenant."""

from __future__ import annotations

import pytest

from appliance.core.settings import Notifications
from appliance.run.watch_rates import findings
from appliance.statistics import Counts
from appliance.tenancy import TenantRecord

OPTIONS = Notifications()


def tenant(limit=0):
    return TenantRecord(
        id=3,
        name="acme",
        weight=1,
        recipients_per_day=limit,
        suspended_at=0,
        suspended_reason="",
        created_at=0,
    )


@pytest.mark.parametrize(
    ("counts", "limit", "kinds"),
    [
        (Counts(accepted=79), 100, []),
        (Counts(accepted=80), 100, [("quota", "80 %")]),
        (Counts(accepted=100), 100, [("quota", "100 %")]),
        (Counts(accepted=10**6), 0, []),
        (Counts(delivered=98, bounced_hard=1, bounced_soft=1), 0, []),
        (Counts(delivered=97, bounced_hard=2, bounced_soft=1), 0, [("bounces", "acme")]),
        (Counts(delivered=50, bounced_hard=49), 0, []),  # too little mail to say anything
        (Counts(delivered=1000, complained=1), 0, []),
        (Counts(delivered=1000, complained=2), 0, [("complaints", "acme")]),
        (Counts(delivered=99, complained=9), 0, []),
    ],
)
def test_shares_and_quotas_are_told_when_they_are_passed(counts, limit, kinds):
    found = list(findings(tenant(limit), counts, OPTIONS))
    assert [(one.kind, one.subject) for one in found] == kinds
    assert all(one.tenant_id == 3 and one.next_step for one in found)
