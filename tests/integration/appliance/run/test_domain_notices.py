"""A DNS record that broke stands as a notice until it is right, or nobody needs it any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.core.clock import DAY
from appliance.core.scope import BOX, Scope
from appliance.core.settings import Settings
from appliance.domains import CheckState, DomainRecord
from appliance.domains.model import Check, Report
from appliance.notices import Notices, Severity
from appliance.run import web_desks
from appliance.run.domain_notices import KIND, VERIFIED, tell, tell_verified, tidy
from appliance.run.web_desks import BoxDns
from appliance.tenancy import Tenants
from mta.signing.dns_records import RecordKind

ADMIN = Scope.system()


def check(kind=RecordKind.DKIM, state=CheckState.OK, name="s1._domainkey.shop.example"):
    return Check(kind=kind, name=name, state=state, problem="it is not there")


def domain(tenant_id, *checks, name="shop.example"):
    values = dict.fromkeys(DomainRecord.__dataclass_fields__, 0)
    report = Report(at=1, checks=checks)
    return DomainRecord(**values | {"tenant_id": tenant_id, "name": name, "report": report})


@pytest.fixture
def notices(engine, now):
    return Notices(engine, now)


@pytest.fixture
async def acme(engine):
    return (await Tenants(engine).create(ADMIN, name="acme")).id


async def test_what_broke_is_told_to_admin_and_tenant_until_it_is_right(notices, acme):
    broken = check(state=CheckState.MISSING)
    after = domain(acme, broken, check(RecordKind.DMARC, name="_dmarc.shop.example"))
    await tell(notices, after, [broken])
    (notice,) = await notices.list(Scope.tenant(acme))
    assert (notice.kind, notice.tenant_id) == (KIND, acme)
    assert notice.subject == "shop.example: dkim s1._domainkey.shop.example"
    assert "was right and is missing now: it is not there" in notice.text
    assert "pillarbox domain records shop.example" in notice.next_step
    await tell(notices, after, [])  # the day after: still wrong, not broken anew
    assert len(await notices.list(ADMIN)) == 1
    await tell(notices, domain(acme, check()), [])
    assert await notices.list(ADMIN) == ()


async def test_dns_trouble_does_not_make_it_right(notices, acme):
    broken = check(state=CheckState.MISSING)
    await tell(notices, domain(acme, broken), [broken])
    await tell(notices, domain(acme, replace(broken, state=CheckState.UNKNOWN)), [])
    assert len(await notices.list(ADMIN)) == 1


async def test_a_record_that_nobody_needs_any_more_is_over(notices, acme):
    broken = check(state=CheckState.DIFFERENT)
    await tell(notices, domain(acme, broken), [broken])
    await tell(notices, domain(acme, check(name="s2._domainkey.shop.example")), [])
    assert await notices.list(ADMIN) == ()


async def test_a_check_of_one_domain_leaves_the_notices_of_others(notices, acme):
    broken = check(state=CheckState.MISSING)
    await tell(notices, domain(acme, broken), [broken])
    await tell(notices, domain(BOX, broken), [broken])
    await tell(notices, domain(acme, check(), name="other.example"), [])
    assert len(await notices.list(ADMIN)) == 2


async def test_a_domain_that_was_given_up_troubles_nobody(notices, acme):
    broken = check(state=CheckState.MISSING)
    kept, gone = domain(BOX, broken), domain(acme, broken)
    for after in (kept, gone):
        await tell(notices, after, [broken])
    await tidy(notices, [kept])
    (left,) = await notices.list(ADMIN)
    assert left.tenant_id == BOX


async def test_a_domain_that_was_proved_is_told_once_and_for_a_day(notices, acme, now):
    proved = replace(domain(acme), created_at=now.at - 5, verified_at=now.at)
    assumed = replace(domain(acme, name="lab.example"), created_at=now.at, verified_at=now.at)
    ours = replace(domain(BOX, name="box.example"), verified_at=now.at)
    for _ in range(2):
        now.move(5)
        await tell_verified(notices, [proved, assumed, ours], now.at)
    (notice,) = await notices.list(Scope.tenant(acme))
    assert (notice.kind, notice.subject, notice.count) == (VERIFIED, "shop.example", 1)
    assert notice.severity is Severity.INFO
    now.move(DAY)
    await tell_verified(notices, [proved, assumed, ours], now.at)
    assert await notices.list(ADMIN) == ()
    assert len(await notices.list(ADMIN, open_only=False)) == 1


async def test_what_a_look_by_a_person_finds_broken_is_told_to_the_others_too(
    notices, acme, engine, monkeypatch
):
    broken = check(state=CheckState.MISSING)

    class Looked:
        """appliance.domains.Domains, after whose look a record is gone."""

        def __init__(self, *_args, **_options):
            pass

        async def check(self, *_args, **_options):
            return domain(acme, broken)

    monkeypatch.setattr(web_desks, "Domains", Looked)
    desk = BoxDns(Settings(), engine, None, None)
    await desk.check_domain(Scope.tenant(acme, by="ann"), domain(acme, check()))
    (notice,) = await notices.list(Scope.tenant(acme))
    assert (notice.kind, "is missing now" in notice.text) == (KIND, True)
