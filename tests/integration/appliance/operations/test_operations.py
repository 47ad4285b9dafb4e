"""Kill switch and pauses on both databases."""

from __future__ import annotations

import pytest

from appliance.core.database import open_engine
from appliance.core.errors import NotFoundError, UsageError
from appliance.core.scope import Scope
from appliance.operations import KillStatus, Operations, Target
from appliance.tenancy import AuditLog, Tenants

ADMIN = Scope.system(by="ann")


@pytest.fixture
async def acme(engine):
    return await Tenants(engine).create(ADMIN, name="acme")


async def test_the_kill_switch_says_who_when_and_why(engine, now):
    operations = Operations(engine, now)
    assert not (await operations.kill_status()).is_on
    status = await operations.kill(ADMIN, reason="leaked password")
    assert status == KillStatus(is_on=True, by="ann", at=now.at, reason="leaked password")
    assert await operations.kill_status() == status


async def test_a_second_kill_keeps_the_first_reason(engine, now):
    operations = Operations(engine, now)
    first = await operations.kill(ADMIN, reason="leaked password")
    now.move(1000)
    assert await operations.kill(Scope.system(by="bob"), reason="me too") == first
    assert len(await AuditLog(engine).list(ADMIN)) == 1


async def test_the_switch_survives_a_restart(engine, control_location, now):
    await Operations(engine, now).kill(ADMIN, reason="x")
    fresh = open_engine(control_location)
    assert (await Operations(fresh).kill_status()).is_on
    await Operations(fresh).revive(Scope.system(by="bob"), reason="fixed")
    await fresh.dispose()
    status = await Operations(engine).kill_status()
    assert (status.is_on, status.by, status.reason) == (False, "bob", "fixed")
    actions = [entry.action for entry in await AuditLog(engine).list(ADMIN)]
    assert actions == ["kill-switch.off", "kill-switch.on"]


async def test_a_tenant_has_no_kill_switch(engine, acme):
    with pytest.raises(UsageError):
        await Operations(engine).kill(Scope.tenant(acme.id), reason="x")


async def test_a_pause_stands_until_it_is_lifted(engine, now):
    operations = Operations(engine, now)
    made = await operations.pause(ADMIN, Target(domain="Example.com"), reason="their MX is down")
    assert (made.domain, made.reason, made.by, made.at) == (
        "example.com",
        "their MX is down",
        "ann",
        now.at,
    )
    assert await operations.pauses(ADMIN) == (made,)
    assert await operations.resume(ADMIN, made.id) == made
    assert await operations.pauses(ADMIN) == ()
    with pytest.raises(NotFoundError):
        await operations.resume(ADMIN, made.id)


async def test_the_same_pause_again_is_the_one_that_stands(engine):
    operations = Operations(engine)
    first = await operations.pause(ADMIN, Target(site="mx.example.net"), reason="slow")
    assert await operations.pause(ADMIN, Target(site="mx.example.net"), reason="other") == first


async def test_a_pause_is_found_by_what_it_stops(engine):
    operations = Operations(engine)
    made = await operations.pause(ADMIN, Target(credential_id=4), reason="looks odd")
    assert await operations.find_pause(ADMIN, Target(credential_id=4)) == made
    with pytest.raises(NotFoundError, match="credential 5"):
        await operations.find_pause(ADMIN, Target(credential_id=5))


async def test_a_tenant_pauses_and_lifts_its_own_mail_only(engine, acme):
    operations = Operations(engine)
    scope = Scope.tenant(acme.id)
    mine = await operations.pause(scope, Target(domain="example.com"), reason="typo in the letter")
    assert mine.tenant_id == acme.id
    whole = await operations.pause(ADMIN, Target(domain="example.com"), reason="x")
    assert await operations.pauses(scope) == (mine,)
    with pytest.raises(NotFoundError):
        await operations.resume(scope, whole.id)
    with pytest.raises(UsageError):
        await operations.pause(scope, Target(tenant_id=acme.id + 1), reason="x")
