"""Kill switch and pauses on both databases."""

from __future__ import annotations

import pytest

from appliance.core.clock import HOUR
from appliance.core.control import Part, generations
from appliance.core.database import open_engine, reading
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


@pytest.mark.parametrize(
    "target",
    [
        Target(provider="Google"),
        Target(egress="out1"),
        Target(tag="newsletter"),
        Target(provider="google", egress="out1"),
        Target(domain="example.com", tag="newsletter"),
    ],
)
async def test_a_provider_an_address_and_a_tag_can_be_paused(engine, target):
    operations = Operations(engine)
    made = await operations.pause(ADMIN, target, reason="x")
    assert await operations.find_pause(ADMIN, target) == made
    assert (made.provider, made.egress, made.tag) == (
        target.provider.lower(),
        target.egress,
        target.tag,
    )
    with pytest.raises(NotFoundError):
        await operations.find_pause(ADMIN, Target(domain="example.com"))


async def test_a_pause_with_an_end_is_gone_when_it_comes(engine, now):
    operations = Operations(engine, now)
    target = Target(provider="google")
    made = await operations.pause(ADMIN, target, reason="rate", expires_at=now.at + HOUR)
    await operations.pause(ADMIN, Target(domain="a.example"), reason="stays")
    now.move(HOUR - 1)
    assert made in await operations.pauses(ADMIN)
    now.move(1)
    assert [one.domain for one in await operations.pauses(ADMIN)] == ["a.example"]
    with pytest.raises(NotFoundError):
        await operations.find_pause(ADMIN, target)


async def test_what_has_expired_is_tidied_away_with_a_line_in_the_audit_log(engine, now):
    operations = Operations(engine, now)
    await operations.pause(ADMIN, Target(tag="news"), reason="typo", expires_at=now.at + HOUR)
    assert await operations.forget_expired() == 0
    now.move(HOUR)
    assert await operations.forget_expired() == 1
    last = (await AuditLog(engine).list(ADMIN))[0]
    assert (last.action, last.by, last.record) == ("pause.end", "clock", "pause of tag news")
    assert "typo" in last.detail


async def test_with_nothing_to_forget_no_process_is_told_to_look(engine):
    async with reading(engine) as connection:
        before = (await generations(connection))[Part.OPERATIONS]
    assert await Operations(engine).forget_expired() == 0
    async with reading(engine) as connection:
        assert (await generations(connection))[Part.OPERATIONS] == before


async def test_a_pause_again_lasts_as_long_as_the_longer(engine, now):
    operations = Operations(engine, now)
    target = Target(domain="a.example")

    async def again(end):
        return (await operations.pause(ADMIN, target, reason="x", expires_at=end)).expires_at

    assert await again(now.at + HOUR) == now.at + HOUR
    assert await again(now.at + 60_000) == now.at + HOUR
    assert await again(now.at + 2 * HOUR) == now.at + 2 * HOUR
    assert await again(0) == 0
    assert await again(now.at + HOUR) == 0
    assert (await operations.find_pause(ADMIN, target)).expires_at == 0


async def test_an_expired_pause_makes_room_for_another_of_the_same_target(engine, now):
    operations = Operations(engine, now)
    target = Target(domain="a.example")
    first = await operations.pause(ADMIN, target, reason="one", expires_at=now.at + HOUR)
    now.move(2 * HOUR)
    second = await operations.pause(ADMIN, target, reason="two")
    assert second.id > first.id
    assert await operations.pauses(ADMIN) == (second,)


async def test_a_pause_ends_in_the_future(engine, now):
    with pytest.raises(UsageError, match="future"):
        await Operations(engine, now).pause(
            ADMIN, Target(domain="a.example"), reason="x", expires_at=now.at
        )


async def test_a_tenant_that_pauses_an_address_pauses_its_own_mail_from_there(engine, acme):
    made = await Operations(engine).pause(
        Scope.tenant(acme.id), Target(egress="out1"), reason="bounces"
    )
    assert (made.tenant_id, made.egress) == (acme.id, "out1")
